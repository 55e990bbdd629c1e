"""DMR radios: registration, locations, texts and emergencies of Hytera and Motorola, and what they are answered."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from devices.families import dmr, dmr_hytera, dmr_lrrp, dmr_motorola
from devices.families.dmr_mbxml import Reader, write_uintvar
from devices.family import CommandRefused, DeviceCommand, Message
from devices.observation import Alarm, CommandAnswer, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import EMERGENCY_LP, hytera
from tests.devices.messages import dmr as datagram

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)
RADIO_20 = bytes((10, 0, 0, 20))
ARS, TMS = 4005, 4007
# A triggered report under request 7FFFFFFF: 50.891521 N 15.210160 E, 440 m, 0.0625 m/s, direction 324.
LOCATION = "0D1A22047FFFFFFF69486109950AD0ECD28338156C000856A270400A"


def session(**settings: object) -> dmr.Session:
    return dmr.Session(msgspec.convert(settings, dmr.Settings), {"11", "20", "192.168.1.10"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def sent(link: dmr.Session) -> list[str]:
    return [message.data.hex().upper() for message in link.to_send()]


# --- Hytera ---


def test_an_emergency_report_is_an_sos_with_its_place() -> None:
    alarm, position = session().receive(hytera(0x08, 0xB003, EMERGENCY_LP), NOW)
    assert isinstance(alarm, Observation)
    assert (alarm.device, alarm.body, alarm.observed_at) == ("dmr:20", Alarm(kind="sos"), OBSERVED)
    assert isinstance(position, Observation)
    assert position.body == Position(longitude=120.4838, latitude=30.7436, speed_kmh=18.52, course_deg=90.0)


def test_a_report_with_the_strength_of_its_signal_tells_that_too() -> None:
    report = bytes(4) + RADIO_20 + b"\0\0" + EMERGENCY_LP[5:]
    strength, position = bodies(session().receive(hytera(0x08, 0xA003, report + (-71).to_bytes(2, signed=True)), NOW))
    assert strength == Telemetry({"signal_dbm": -71})
    assert isinstance(position, Position)
    [alone] = bodies(session().receive(hytera(0x08, 0xA003, report + b"\x7f\xff"), NOW))
    assert isinstance(alone, Position)


def test_an_emergency_without_a_fix_is_an_sos() -> None:
    assert bodies(session().receive(hytera(0x08, 0xB003, RADIO_20 + b"\1V" + bytes(39)), NOW)) == [Alarm(kind="sos")]


def test_two_presses_without_a_time_are_two() -> None:
    nowhen = RADIO_20 + b"\1A" + bytes(39)
    [found] = session().receive(hytera(0x08, 0xB003, nowhen), NOW)
    assert isinstance(found, Observation)
    assert found.frame_id == ""
    names = [session().receive(hytera(0x08, 0xB003, nowhen, sequence), NOW)[0] for sequence in (7, 7, 8)]
    first, again, other = (result.frame_id for result in names if isinstance(result, Observation))
    assert first == again != other
    link, packet = session(), hytera(0x08, 0xB003, nowhen, 7)
    times = [NOW + timedelta(minutes=minutes) for minutes in (0, 1, 20)]
    soon, copy, later = [
        result.frame_id for at in times for result in link.receive(packet, at) if isinstance(result, Observation)
    ]
    assert first == soon == copy != later, "a repeater that was started again counts anew"


def test_a_registration_is_accepted_and_the_packet_acknowledged() -> None:
    link = session()
    assert bodies(link.receive(hytera(0x11, 0x0003, RADIO_20), NOW)) == [Event(kind="registered")]
    accepted = dmr_hytera.write_message(0x11, 0x0080, RADIO_20 + b"\0" + (1800).to_bytes(4))
    assert [message.data for message in link.to_send()] == [accepted]
    link.receive(hytera(0x11, 0x0003, RADIO_20, sequence=7), NOW)
    assert [message.data for message in link.to_send()] == [
        dmr_hytera.write_packet(dmr_hytera.ACK, 7),
        dmr_hytera.write_packet(0, 1, accepted),
    ]


def test_a_repeater_lives_by_its_heartbeats() -> None:
    link = session()
    for type_, answer in ((0x04, "324200050000"), (0x02, "324200020000"), (0x08, "324200010000")):
        data = dmr_hytera.write_packet(type_, 0).hex()
        [found] = link.receive(datagram(data, 30001, "192.168.1.10"), NOW)
        assert isinstance(found, Observation)
        assert (found.device, found.body) == ("dmr:192.168.1.10", Telemetry({}))
        assert sent(link) == [answer]
    link.receive(datagram(dmr_hytera.write_packet(0x05, 0).hex(), 30001, "192.168.1.10"), NOW)
    assert sent(link) == []  # an answer is not answered


def test_a_repeater_that_is_not_enrolled_is_named_and_not_answered() -> None:
    link = session()
    [stranger] = link.receive(datagram("324200040000", 30001, "192.168.1.99"), NOW)
    assert isinstance(stranger, Rejected)
    assert stranger.device == "dmr:192.168.1.99"
    assert sent(link) == []


def test_an_enrolled_repeaters_packet_is_acknowledged_whoever_speaks() -> None:
    link = session()
    [stranger] = link.receive(hytera(0x11, 0x0003, bytes((10, 0, 0, 99)), sequence=7), NOW)
    assert isinstance(stranger, Rejected)
    assert stranger.device == "dmr:99"
    assert sent(link) == ["324200010007"]


def test_a_confirmed_text_is_acknowledged_and_told() -> None:
    link = session(emergency_text="HELP")
    body = (1).to_bytes(4) + bytes((10, 0, 0, 1)) + RADIO_20 + "HELP me".encode("utf-16-le")
    found = bodies(link.receive(hytera(0x09, 0x80A1, body), NOW))
    assert found == [
        Alarm(kind="sos", description="HELP me"),
        Event(kind="text_message", attributes={"text": "HELP me"}),
    ]
    [answer] = dmr_hytera.read_messages(link.to_send()[0].data) or []
    fields = dmr_hytera.read_body(answer)
    assert fields is not None
    assert (fields["message"], fields["result_code"], fields["destination_id"]) == ("private_text_ack", 0, 20)


def test_several_messages_of_one_packet_and_a_wrong_checksum() -> None:
    good = dmr_hytera.write_message(0x11, 0x0003, RADIO_20)
    packet = dmr_hytera.write_packet(0, 3, good + dmr_hytera.write_message(0x11, 0x0001, RADIO_20))
    found = session().receive(datagram(packet.hex(), 30001, "192.168.1.10"), NOW)
    assert bodies(found) == [Event(kind="registered"), Event(kind="logout")]
    assert len({result.frame_id for result in found if isinstance(result, Observation)}) == 2
    broken = good[:-2] + bytes((good[-2] ^ 1, 3))
    [refused] = session().receive(datagram(broken.hex(), 30001), NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "checksum wrong"


# --- Motorola ---


def test_ars_registration_is_answered_and_subscribed() -> None:
    link = session(report_every_s=60)
    assert bodies(link.receive(datagram("0007F0200231310000", ARS), NOW)) == [Event(kind="registered")]
    answer, subscription = link.to_send()
    assert answer == Message("udp/4005/12.0.0.11:4005", bytes.fromhex("0002BF01"))
    assert subscription.channel == "udp/4001/12.0.0.11:4001"
    document = dmr_lrrp.read_document(subscription.data)
    assert document is not None
    assert (document.name, document.first("interval"), document.whole) == ("Triggered-Location-Request", 60, True)
    assert bodies(link.receive(datagram("000131", ARS), NOW)) == [Event(kind="logout")]
    assert sent(link) == []


def test_the_short_form_of_an_answer_is_told_from_a_plain_one() -> None:
    short, plain = (dmr_motorola.read_ars(bytes.fromhex(raw)) for raw in ("00033F1080", "00013F"))
    assert short is not None and plain is not None
    assert (short["csbk"], short["success"]) == (True, True)
    assert (plain["csbk"], plain["success"]) == (False, True)


def test_an_lrrp_report_is_a_position_of_the_sender() -> None:
    [found] = session().receive(datagram(LOCATION), NOW)
    assert isinstance(found, Observation)
    assert found.device == "dmr:11"
    place = found.body
    assert isinstance(place, Position)
    assert (round(place.latitude, 6), round(place.longitude, 6)) == (50.891521, 15.21016)
    assert (place.altitude_m, place.speed_kmh, place.course_deg) == (440.1640625, 0.225, 324)


def test_the_emergency_subscription_raises_an_sos() -> None:
    found = bodies(session(emergency_request_id="7fffffff").receive(datagram(LOCATION), NOW))
    assert found[0] == Alarm(kind="sos")
    assert isinstance(found[1], Position)
    assert Alarm(kind="sos") not in bodies(session(emergency_request_id="01").receive(datagram(LOCATION), NOW))


def test_a_time_counts_and_a_refusal_is_told() -> None:
    timed = "0D10" + "2301" + "341FAAF0C772" + "66118ECD8D118AD47B"
    data = bytes.fromhex(timed[4:])
    [found, *_] = session().receive(datagram((b"\x0d" + write_uintvar(len(data)) + data).hex()), NOW)
    assert isinstance(found, Observation)
    assert found.observed_at == datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)
    [refused] = bodies(session().receive(datagram("070C22042468ACE0390503515355"), NOW))
    assert refused == Event(kind="answer", attributes={"document": "Immediate-Location-Report", "code": "5"})


def test_what_is_not_known_ends_the_reading_and_is_told() -> None:
    found = session().receive(datagram("0D0B2301667000000000000000AA"), NOW)
    assert isinstance(found[-1], Rejected)


def test_texts_are_acknowledged_with_their_number() -> None:
    link = session()
    assert bodies(link.receive(datagram("0003D00001", TMS), NOW)) == [Telemetry({})]
    assert sent(link) == ["00021F00"]
    text = bytes((0xC0, 0, 0x95, 0x24)) + "\r\nSmoke in hall A".encode("utf-16-le")
    data = len(text).to_bytes(2) + text
    [found] = bodies(link.receive(datagram(data.hex(), TMS), NOW))
    assert found == Event(kind="text_message", attributes={"text": "Smoke in hall A"})
    assert sent(link) == ["00049F009520"]


# --- commands ---


def ask(link: dmr.Session, action: str, native_id: str, text: str = "", **args: str) -> Message:
    args |= {"text": text} if text else {}
    link.command(DeviceCommand(nonce="n", native_id=native_id, action=action, args=args), NOW)
    [asked] = link.to_send()
    return asked


def answers(found: list[Result]) -> list[CommandAnswer]:
    return [result for result in found if isinstance(result, CommandAnswer)]


ACCEPTED = [CommandAnswer(nonce="n", result="accepted")]
CONFIRMED = [CommandAnswer(nonce="n", result="confirmed")]


def refused(reason: str) -> list[CommandAnswer]:
    return [CommandAnswer(nonce="n", result="refused", reason=reason)]


def test_a_motorola_radio_is_asked_where_it_is() -> None:
    link = session()
    link.receive(datagram("000131", ARS), NOW)
    asked = ask(link, "locate", "11")
    assert asked.channel == "udp/4001/12.0.0.11:4001"
    request = dmr_lrrp.read_document(asked.data)
    assert request is not None
    assert (request.name, request.whole) == ("Immediate-Location-Request", True)
    number = request.first("request-id").hex()
    found = link.receive(datagram(f"070D2202{number}66118ECD8D118AD47B"), NOW)
    assert answers(found) == CONFIRMED
    assert any(isinstance(body, Position) for body in bodies(found))
    assert answers(link.receive(datagram(f"070D2202{number}66118ECD8D118AD47B"), NOW)) == []


def test_a_motorola_radio_gets_a_text_and_acknowledges_it() -> None:
    link = session()
    link.receive(datagram("000131", ARS), NOW)
    asked = ask(link, "text", "11", "Hall A")
    assert asked.channel == "udp/4007/12.0.0.11:4007"
    fields = dmr_motorola.read_tms(asked.data)
    assert fields is not None
    assert (fields["text"].strip(), fields["ack_requested"], fields["sequence"]) == ("Hall A", True, 1)
    assert answers(link.receive(datagram("00049F008100", TMS), NOW)) == ACCEPTED


@pytest.mark.parametrize("sequence", [None, 7])
def test_a_hytera_radio_is_asked_where_it_spoke_from(sequence: int | None) -> None:
    link = session(dispatcher=9)
    heard = hytera(0x11, 0x0001, RADIO_20, sequence)
    link.receive(heard, NOW)
    link.to_send()
    asked = ask(link, "locate", "20")
    assert asked.channel == heard.channel
    number = (1).to_bytes(4)
    request = dmr_hytera.write_message(0x08, 0xA001, number + RADIO_20)
    assert asked.data == (request if sequence is None else dmr_hytera.write_packet(0, 1, request))
    report = number + RADIO_20 + b"\0\0" + EMERGENCY_LP[5:]
    assert answers(link.receive(hytera(0x08, 0xA002, report, sequence), NOW)) == CONFIRMED


def on(port: int, message: Message) -> Message:
    """The same, from a radio that uses the same port as we do."""
    return Message(f"udp/{port}/10.0.0.20:{port}", message.data)


@pytest.mark.parametrize("slot", [0, 1])
def test_each_service_of_a_hytera_radio_is_asked_on_its_own_port(slot: int) -> None:
    link = session()
    link.receive(on(30_001 + slot, hytera(0x11, 0x0003, RADIO_20)), NOW)
    link.to_send()
    for action, port in (("ping", 30_001), ("locate", 30_003), ("text", 30_007)):
        text = "Hall A" if action == "text" else ""
        assert ask(link, action, "20", text).channel == f"udp/{port + slot}/10.0.0.20:{port + slot}"
    link.receive(on(4000, hytera(0x08, 0xB003, EMERGENCY_LP)), NOW)  # it has a port of the site's own for that
    link.receive(on(30_001 + slot, hytera(0x11, 0x0003, RADIO_20)), NOW)
    link.to_send()
    assert ask(link, "locate", "20").channel == "udp/4000/10.0.0.20:4000"


def test_a_radio_is_asked_whether_it_is_there() -> None:
    link = session()
    link.receive(hytera(0x11, 0x0003, RADIO_20), NOW)
    link.to_send()
    assert ask(link, "ping", "20").data == dmr_hytera.write_message(0x11, 0x0002, RADIO_20)
    assert answers(link.receive(hytera(0x11, 0x0082, RADIO_20 + b"\0"), NOW)) == CONFIRMED
    ask(link, "ping", "20")
    gone = link.receive(hytera(0x11, 0x0082, RADIO_20 + b"\1"), NOW)
    assert (answers(gone), bodies(gone)) == (refused("not there"), [Event(kind="logout")])
    link.receive(datagram("000131", ARS), NOW)
    asked = ask(link, "ping", "11")
    assert asked == Message("udp/4005/12.0.0.11:4005", bytes.fromhex("000174"))
    assert answers(link.receive(datagram("00013F", ARS), NOW)) == CONFIRMED
    assert answers(link.receive(datagram("00013F", ARS), NOW)) == []


def test_a_motorola_radio_reports_as_often_as_it_is_asked_to() -> None:
    link = session()
    link.receive(datagram("000131", ARS), NOW)
    request = dmr_lrrp.read_document(ask(link, "track", "11", every_s="60").data)
    assert request is not None
    assert (request.name, request.first("interval")) == ("Triggered-Location-Request", 60)
    assert answers(link.receive(datagram("0B0722040000000138"), NOW)) == ACCEPTED
    stop = dmr_lrrp.read_document(ask(link, "track", "11", every_s="0").data)
    assert stop is not None
    assert (stop.name, stop.first("request-id"), stop.whole) == (
        "Triggered-Location-Stop-Request",
        request.first("request-id"),
        True,
    )
    assert answers(link.receive(datagram("110822040000000137 05".replace(" ", "")), NOW)) == refused(
        "the radio refused it"
    )
    for every_s in ("", "9", "86401", "often"):
        with pytest.raises(CommandRefused, match="every_s"):
            ask(link, "track", "11", every_s=every_s)
    link.receive(hytera(0x11, 0x0001, RADIO_20), NOW)
    with pytest.raises(CommandRefused, match="programme"):
        ask(link, "track", "20", every_s="60")


def test_a_hytera_radio_that_cannot_refuses() -> None:
    link = session(dispatcher=9)
    link.receive(hytera(0x11, 0x0001, RADIO_20), NOW)
    ask(link, "locate", "20")
    nowhere = (1).to_bytes(4) + RADIO_20 + b"\0\6" + b"V" + bytes(39)
    assert answers(link.receive(hytera(0x08, 0xA002, nowhere), NOW)) == refused("no location")
    asked = ask(link, "text", "20", "Hall A")
    assert asked.data == dmr_hytera.write_message(
        0x09, 0x80A1, (2).to_bytes(4) + RADIO_20 + bytes((10, 0, 0, 9)) + "Hall A".encode("utf-16-le")
    )
    for kept in (RADIO_20 + bytes((10, 0, 0, 9)), bytes((10, 0, 0, 9)) + RADIO_20):
        busy = hytera(0x09, 0x00A2, (2).to_bytes(4) + kept + b"\4")
        assert all(result.device == "dmr:20" for result in link.receive(busy, NOW) if isinstance(result, Observation))
    ask(link, "text", "20", "Hall A")
    busy = hytera(0x09, 0x00A2, (3).to_bytes(4) + RADIO_20 + bytes((10, 0, 0, 9)) + b"\4")
    assert answers(link.receive(busy, NOW)) == refused("not delivered")


@pytest.mark.parametrize(
    ("native_id", "action", "text", "reason"),
    [
        ("11", "locate", "", "not been heard"),
        ("99", "locate", "", "no enrolled"),
        ("20", "reboot", "", "no command"),
        ("20", "text", "", "empty"),
        ("20", "text", "x" * 201, "longer"),
    ],
)
def test_commands_that_cannot_be_sent_are_refused(native_id: str, action: str, text: str, reason: str) -> None:
    link = session()
    link.receive(hytera(0x11, 0x0001, RADIO_20), NOW)
    link.to_send()
    with pytest.raises(CommandRefused, match=reason):
        ask(link, action, native_id, text)
    assert link.to_send() == []


@pytest.mark.parametrize("port", [4001, 4005, 4007, 30001])
def test_rubbish_is_refused_and_not_answered(port: int) -> None:
    link = session()
    for data in ("", "00", "FFFFFFFF", "3242", "0D7F22", "0001", "32420020000BFF"):
        assert all(isinstance(result, Rejected) for result in link.receive(datagram(data, port), NOW))
    assert sent(link) == []


def test_numbers_end_with_their_bytes() -> None:
    reader = Reader(bytes.fromhex("FFFFFFFFFF7F"))
    assert reader.uintvar() == 0
    assert reader.short
    assert reader.take(2**40) == bytes(6)


@pytest.mark.parametrize(("value", "raw"), [(0, "00"), (127, "7F"), (128, "8100"), (34725, "828F25")])
def test_numbers_of_several_bytes_are_written_as_they_are_read(value: int, raw: str) -> None:
    assert write_uintvar(value).hex().upper() == raw
    assert Reader(bytes.fromhex(raw)).uintvar() == value


def test_speeds_in_hundredths_are_a_quirk() -> None:
    [found] = bodies(session(speed_in_cm_s=True).receive(datagram(LOCATION), NOW))
    assert isinstance(found, Position)
    assert found.speed_kmh == pytest.approx(0.00225)


def test_a_refusal_without_words_and_a_text_without_a_number() -> None:
    [refused] = bodies(session().receive(datagram("070423013705"), NOW))
    assert refused == Event(kind="answer", attributes={"document": "Immediate-Location-Report", "code": "5"})
    link = session()
    body = bytes((0x40, 0)) + "hello".encode("utf-16-le")
    link.receive(datagram((len(body).to_bytes(2) + body).hex(), TMS), NOW)
    assert sent(link) == ["00021F00"]


def test_ports_must_differ() -> None:
    with pytest.raises(ValueError, match="different"):
        dmr.Settings(ars_port=4001)
