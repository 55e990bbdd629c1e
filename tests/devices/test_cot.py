"""TAK phones and radios: what their events mean, and what is sent to them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from devices.families import cot, cot_sent, cot_wire
from devices.family import CommandRefused, DeviceCommand, Everyone
from devices.observation import Alarm, CommandAnswer, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import COT_LINK, NOW
from tests.devices.frames import cot as frame

OBSERVED = datetime(2026, 11, 24, 12, 29, 53, tzinfo=UTC)
POINT = cot_wire.Point(30.7436, 120.4838, hae=12.5, ce=4.0)
UNIT = cot_sent.Unit("PHONE-7", "North gate", POINT)
CANCEL = f'<emergency cancel="true">North gate</emergency>{COT_LINK}'


def session(**settings: object) -> cot.Session:
    return cot.Session(msgspec.convert(settings, cot.Settings), {"PHONE-7"})


def bodies(found: list[Result]) -> list[object]:
    assert all(isinstance(result, Observation) for result in found), found
    return [result.body for result in found if isinstance(result, Observation)]


def unit(detail: str = "", type_: str = "a-f-G-U-C") -> bytes:
    return frame(type_, detail).replace(b"-9-1-1", b"")


def test_an_alert_belongs_to_its_sender_and_is_located() -> None:
    found = session().receive(frame(), NOW)
    alarm, position = bodies(found)
    assert alarm == Alarm(kind="sos", description="Ring The Bell North gate")
    assert position == Position(longitude=120.4838, latitude=30.7436, altitude_m=12.5, accuracy_m=4.0)
    first = found[0]
    assert isinstance(first, Observation)
    assert (first.device, first.observed_at, first.flags) == ("cot:PHONE-7", OBSERVED, ())


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("b-a-o-tbl", "sos"),
        ("b-a-o-pan", "sos"),
        ("b-a-o-opn", "sos"),
        ("b-a-o", "sos"),
        ("b-a-o-c", "sos"),
        ("b-a-g", "zone_violation"),
        ("b-a-x-new", "unspecified_alarm"),
    ],
)
def test_every_alert_is_an_alarm(type_: str, kind: str) -> None:
    for detail in ("", COT_LINK):
        [alarm, _] = bodies(session().receive(frame(type_, detail), NOW))
        assert isinstance(alarm, Alarm)
        assert (alarm.kind, alarm.raised) == (kind, True)


def test_an_emergency_inside_a_position_is_an_alarm() -> None:
    assert bodies(session().receive(unit("<emergency>North gate</emergency>"), NOW))[0] == Alarm(
        kind="sos", description="North gate"
    )


def test_a_cancel_clears_what_was_raised_and_a_first_one_clears_sos() -> None:
    link = session()
    link.receive(frame("b-a-g"), NOW)
    kinds = [body for body in bodies(link.receive(frame("b-a-o-can", CANCEL), NOW)) if isinstance(body, Alarm)]
    assert kinds == [Alarm(kind="sos", raised=False), Alarm(kind="zone_violation", raised=False)]
    again = bodies(link.receive(frame("b-a-o-tbl", CANCEL), NOW))
    assert again[0] == Alarm(kind="sos", raised=False)


def test_a_position_with_speed_and_battery() -> None:
    detail = '<track speed="10" course="370"/><status battery="87"/><contact callsign="x"/>'
    position, telemetry = bodies(session().receive(unit(detail), NOW))
    assert isinstance(position, Position)
    assert (position.speed_kmh, position.course_deg, position.fix) == (36.0, 10.0, "gnss")
    assert telemetry == Telemetry({"battery_percent": 87})


@pytest.mark.parametrize(("how", "fix"), [("m-g", "gnss"), ("m-g-n", "gnss"), ("h-e", "fixed"), ("m-r", "network")])
def test_how_a_position_was_found(how: str, fix: str) -> None:
    [position, _] = bodies(session().receive(unit().replace(b'how="m-g"', f'how="{how}"'.encode()), NOW))
    assert isinstance(position, Position)
    assert position.fix == fix


@pytest.mark.parametrize("place", ['lat="0" lon="0.0"', 'lat="91" lon="1"', 'lat="nan" lon="1"'])
def test_no_position_is_none(place: str) -> None:
    nowhere = frame().replace(b'lat="30.743600" lon="120.483800"', place.encode())
    assert bodies(session().receive(nowhere, NOW)) == [Alarm(kind="sos", description="Ring The Bell North gate")]


def test_impossible_times_are_replaced_and_flagged() -> None:
    found = session().receive(frame().replace(b"2026-11-24T12:29", b"2031-11-24T12:29"), NOW)[0]
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_chats_are_told_drawings_are_not_and_strangers_are_named() -> None:
    chat = frame("b-t-f", f"<remarks>Gate 3 is open</remarks>{COT_LINK}")
    told = Event(kind="text_message", attributes={"text": "Gate 3 is open"})
    assert bodies(session().receive(chat, NOW)) == [told]
    drawn = unit("<remarks>x</remarks>", "u-d-f")
    assert bodies(session().receive(drawn, NOW)) == [Event(kind="unknown_report", attributes={"type": "u-d-f"})]
    [stranger] = session().receive(frame().replace(b"PHONE-7", b"PHONE-8"), NOW)
    assert isinstance(stranger, Rejected)
    assert (stranger.reason, stranger.device) == ("not enrolled", "cot:PHONE-8")


@pytest.mark.parametrize(
    "mine",
    [
        frame(detail='<_flow-tags_ gridward="2026-11-24T12:29:53Z"/>'),
        frame().replace(b"PHONE-7-9", b"gridward-7-9"),
    ],
)
def test_what_we_sent_ourselves_is_dropped(mine: bytes) -> None:
    assert session().receive(mine, NOW) == []


def test_entities_and_documents_without_end_are_refused() -> None:
    bomb = b'<event uid="PHONE-7" type="a-f"><!DOCTYPE x [<!ENTITY a "b">]></event>'
    for refused in (bomb, unit("<a>" * 40 + "</a>" * 40), unit().replace(b"<detail>", b"<detail")):
        [result] = session().receive(refused, NOW)
        assert isinstance(result, Rejected)
        assert result.reason == "event unreadable"
    before = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]>'
    assert any(isinstance(result, Observation) for result in session().receive(before + frame(), NOW))


def test_an_event_cut_short_does_not_swallow_the_next() -> None:
    found = session().receive(frame()[:100] + frame(), NOW)
    assert [result.reason for result in found if isinstance(result, Rejected)] == ["event cut short"]
    assert len(found) == 3


def test_the_end_of_an_event_inside_cdata_is_not_the_end() -> None:
    chat = unit("<remarks><![CDATA[ <event> </event> ]]></remarks>")
    assert len(bodies(session().receive(chat, NOW))) == 2


def test_all_three_forms_are_read_on_one_link() -> None:
    alert = cot_sent.alert(UNIT, "b-a-o-tbl", OBSERVED)
    link = cot.Session(cot.Settings(own_flow_tag=""), Everyone())
    found = link.receive(cot_wire.write_event(alert) + cot_wire.write_stream(alert), NOW)
    found += link.receive(cot_wire.write_mesh(alert), NOW)
    found += link.idle(NOW)
    first, second, third = (bodies(found[at : at + 2]) for at in (0, 2, 4))
    assert first == second == third
    assert first[0] == Alarm(kind="sos", description="911 Alert North gate")


def test_protobuf_keeps_what_a_field_cannot_hold() -> None:
    for detail in ('<status battery="87" readiness="true"/>', '<takv device="x"/>', '<track course="1" speed="2.5"/>'):
        event = cot_wire.read_event(unit(detail))
        assert event is not None
        back = cot_wire.read_message(cot_wire.write_message(event))
        assert back is not None
        [before], [after] = event.detail.children, back.detail.children
        assert before.name == after.name
        assert {key: cot_wire.number(text) or text for key, text in before.attributes.items()} == {
            key: cot_wire.number(text) or text for key, text in after.attributes.items()
        }


def test_what_is_sent_is_escaped_and_marked() -> None:
    link = session()
    link.publish(cot_sent.position(cot_sent.Unit("venue-1", '<A> & "B"\x00', POINT), OBSERVED))
    sent = link.to_send()
    assert sent.startswith(cot_wire.DECLARATION + b"<event ")
    event = cot_wire.read_event(sent)
    assert event is not None
    assert event.said("contact", "callsign") == '<A> & "B"'
    assert (event.point, event.time, event.stale) == (POINT, OBSERVED, OBSERVED + cot_sent.UNIT_STALE)
    assert session().receive(sent, NOW) == []
    assert link.to_send() == b""


def test_the_change_to_protobuf() -> None:
    offer = frame("t-x-takp-v", '<TakControl><TakProtocolSupport version="1"/></TakControl>')
    answer = frame("t-x-takp-r", '<TakControl><TakResponse status="true"/></TakControl>')
    silent, link = session(), session(negotiate_protobuf=True)
    silent.receive(offer, NOW)
    assert silent.to_send() == b""
    link.receive(offer, NOW)
    link.publish(cot_sent.position(UNIT, NOW))
    question = cot_wire.read_event(link.to_send())
    assert question is not None
    assert (question.type, question.uid) == ("t-x-takp-q", "PHONE-7-9-1-1")
    assert link.to_send() == b""  # no XML any more, and no protobuf yet
    link.receive(answer, NOW)
    assert link.to_send()[:1] == b"\xbf"


def test_an_answer_that_does_not_come_leaves_xml() -> None:
    offer = frame("t-x-takp-v", '<TakControl><TakProtocolSupport version="1"/></TakControl>')
    link = session(negotiate_protobuf=True)
    link.receive(offer, NOW)
    link.publish(cot_sent.position(UNIT, NOW))
    link.to_send()
    link.idle(NOW + timedelta(seconds=61))
    assert link.to_send().startswith(b"<?xml")


def test_pings() -> None:
    link = session(uid="gridward-1")
    ping = frame("t-x-c-t", "").replace(b"-9-1-1", b"-ping")
    assert bodies(link.receive(ping, NOW)) == [Telemetry({})]
    answer = cot_wire.read_event(link.to_send())
    assert answer is not None
    assert answer.type == "t-x-c-t-r"
    link.idle(NOW)
    ours = cot_wire.read_event(link.to_send())
    assert ours is not None
    assert (ours.type, ours.uid) == ("t-x-c-t", "gridward-1-ping")


def test_the_queue_is_bounded() -> None:
    link = session()
    for number in range(cot.TO_SEND_MAX + 5):
        link.publish(cot_sent.position(cot_sent.Unit(f"u-{number}", "", POINT), NOW))
    assert link.to_send().count(b"<event ") == cot.TO_SEND_MAX


RECEIPT = '<__chat messageId="{id}" chatroom="x"/><link uid="{uid}" type="a-f-G-U-C" relation="p-p"/>'
ATAK_RECEIPT = RECEIPT.replace("__chat", "__chatreceipt")


def text(words: str) -> DeviceCommand:
    return DeviceCommand(nonce="n-7", native_id="PHONE-7", action="text", args={"text": words})


@pytest.mark.parametrize("form", [RECEIPT, ATAK_RECEIPT])
def test_a_text_is_a_chat_and_its_receipts_answer_it(form: str) -> None:
    link = session()
    link.command(text("Go to <gate 3>"), NOW)
    event = cot_wire.read_event(link.to_send())
    assert event is not None
    assert (event.type, event.uid) == ("b-t-f", "GeoChat.gridward-edge.PHONE-7.n-7")
    assert event.detail.said("remarks") == "Go to <gate 3>"
    assert event.said("__chat", "messageId") == "n-7"
    for type_, result in (("b-t-f-d", "accepted"), ("b-t-f-r", "confirmed")):
        answer, alive = link.receive(frame(type_, form.format(id="n-7", uid="PHONE-7")), NOW)
        assert bodies([alive]) == [Telemetry({})]
        assert isinstance(answer, CommandAnswer)
        assert (answer.nonce, answer.result) == ("n-7", result)
    other = session()
    receipt = frame("b-t-f-r", RECEIPT.format(id="n-7", uid="PHONE-7"))
    assert bodies(other.receive(receipt, NOW)) == [Telemetry({})]  # not ours


def test_a_receipt_of_another_unit_answers_nothing() -> None:
    link = cot.Session(cot.Settings(), Everyone())
    link.command(text("Come back"), NOW)
    assert bodies(link.receive(frame("b-t-f-r", RECEIPT.format(id="n-7", uid="PHONE-8")), NOW)) == [Telemetry({})]


@pytest.mark.parametrize("words", ["", "  ", "x" * 501])
def test_texts_that_cannot_be_sent(words: str) -> None:
    with pytest.raises(CommandRefused):
        session().command(text(words), NOW)
    with pytest.raises(CommandRefused):
        session().command(DeviceCommand(nonce="n", native_id="PHONE-7", action="fly"), NOW)


def asked_for(link: cot.Session, action: str, **args: str) -> list[cot_wire.Event]:
    """What goes out to the TAK network."""
    link.command(DeviceCommand(nonce="n-8", native_id="PHONE-7", action=action, args=args), NOW)
    pieces = link.to_send().split(cot_wire.DECLARATION)[1:]
    return [event for event in map(cot_wire.read_event, pieces) if event is not None]


def test_an_emergency_is_shown_to_everybody_and_ended() -> None:
    link = session()
    raised, place = asked_for(link, "alert", callsign="Gate 3", longitude="120.5", latitude="30.75")
    assert (raised.type, raised.uid, raised.emergency) == (
        "b-a-o-tbl",
        "PHONE-7-9-1-1",
        {"type": "911 Alert", "text": "Gate 3"},
    )
    assert (place.type, place.uid, place.point) == ("a-f-G-U-C", "PHONE-7", cot_wire.Point(30.75, 120.5))
    link.receive(unit(), NOW)
    heard_at = link._places["PHONE-7"]
    [ended] = asked_for(link, "cancel_alert")
    assert (ended.type, ended.uid, ended.point) == ("b-a-o-can", raised.uid, heard_at)
    [fence] = asked_for(link, "alert", type="fence")
    assert fence.type == "b-a-g", "a unit that is on the map tells its own place"


def test_what_we_showed_is_no_alarm_when_it_comes_back() -> None:
    link = session()
    link.command(DeviceCommand(nonce="n", native_id="PHONE-7", action="alert", args=PLACE), NOW)
    assert link.receive(link.to_send(), NOW) == []


PLACE = {"longitude": "120.5", "latitude": "30.75"}


@pytest.mark.parametrize(
    "args",
    [{}, {"longitude": "120.5"}, {**PLACE, "latitude": "91"}, {**PLACE, "type": "x"}, {**PLACE, "callsign": "x" * 65}],
)
def test_emergencies_that_cannot_be_shown(args: dict[str, str]) -> None:
    with pytest.raises(CommandRefused):
        session().command(DeviceCommand(nonce="n", native_id="PHONE-7", action="alert", args=args), NOW)
