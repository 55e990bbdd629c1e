"""Alarm panels over DC-09: what their reports mean, what they are answered, and encryption."""

from datetime import timedelta

import msgspec
import pytest

from devices.families import sia_dc09, sia_dc09_wire
from devices.families.sia_dc09_codes import KIND_OF_CID, KIND_OF_SIA
from devices.framing import crc16
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import FIRE_TEXT, NOW
from tests.devices.frames import sia_dc09 as frame

KEY = "AAAAAAAAAAAAAAAA"
STAMP = "_12:29:50,11-24-2026"


def session(**settings: object) -> sia_dc09.Session:
    return sia_dc09.Session(msgspec.convert(settings, sia_dc09.Settings), {"1234", "000010"})


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def contact_id(data: str, kind: str = "ADM-CID", sequence: str = "0002", stamp: str = STAMP) -> bytes:
    return frame(f'"{kind}"{sequence}R0L0#000010[#000010|{data}]{stamp}')


def encrypted(content: str, key: str = KEY) -> bytes:
    return frame(f'"*SIA-DCS"0008R0L0#1234[{sia_dc09_wire.encrypt(content, key.encode())}')


def test_fire_is_acknowledged_and_named_by_area_and_point() -> None:
    link = session()
    found = link.receive(frame(FIRE_TEXT), NOW)
    assert bodies(found) == [Alarm(kind="fire", component="2-017", description="Hall A")]
    assert link.to_send() == frame('"ACK"0008R0L0#1234[]')


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ("1110 01 005", Alarm(kind="fire", component="01-005", description="fire")),
        ("3110 01 005", Alarm(kind="fire", raised=False, component="01-005", description="fire")),
        ("6111 01 005", Alarm(kind="smoke", component="01-005", description="smoke")),
        ("1114 00 001", Alarm(kind="heat", component="00-001", description="heat")),
        ("1115 00 001", Alarm(kind="manual_call_point", component="00-001", description="pull_station")),
        ("1120 00 005", Alarm(kind="sos", component="00-005", description="panic")),
        ("1121 00 005", Alarm(kind="duress", component="00-005", description="duress")),
        ("1130 00 012", Alarm(kind="intrusion", component="00-012", description="burglary")),
        ("1151 00 008", Alarm(kind="gas", component="00-008", description="gas")),
        ("1162 00 008", Alarm(kind="carbon_monoxide", component="00-008", description="co")),
        ("1301 00 000", Alarm(kind="power_fault", component="00-000", description="ac_loss")),
        ("1461 00 000", Alarm(kind="tamper", component="00-000", description="wrong_code")),
        ("1454 01 003", Alarm(kind="fault", component="01-003", description="failed_to_arm")),
    ],
)
def test_contact_id_alarms(data: str, body: Alarm) -> None:
    assert bodies(session().receive(contact_id(data), NOW)) == [body]


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("FA01", Alarm(kind="fire", component="1-01")),
        ("FR01", Alarm(kind="fire", component="1-01", raised=False)),
        ("KA01", Alarm(kind="heat", component="1-01")),
        ("GA01", Alarm(kind="gas", component="1-01")),
        ("HA01", Alarm(kind="duress", component="1-01")),
        ("QA01", Alarm(kind="sos", component="1-01")),
        ("BB01", Alarm(kind="shielded", component="1-01")),
        ("BU01", Alarm(kind="shielded", component="1-01", raised=False)),
        ("GS01", Alarm(kind="supervisory", component="1-01")),
        ("EM01", Alarm(kind="communication_fault", component="1-01")),
        ("EN01", Alarm(kind="communication_fault", component="1-01", raised=False)),
        ("FW01", Alarm(kind="fault", component="1-01")),
        ("FQ01", Alarm(kind="fault", component="1-01", raised=False)),
        ("DF01", Alarm(kind="door_forced", component="1-01")),
        ("DM01", Alarm(kind="door_held_open", component="1-01")),
        ("CI01", Alarm(kind="fault", component="1-01")),
    ],
)
def test_sia_alarms(code: str, body: Alarm) -> None:
    assert bodies(session().receive(frame(f'"SIA-DCS"0001L0#1234[#1234|Nri1/{code}]'), NOW)) == [body]


def test_arming_bypass_and_tests_are_no_alarms_of_people() -> None:
    [armed] = bodies(session().receive(contact_id("3401 01 057"), NOW))
    assert isinstance(armed, Event)
    assert (armed.kind, armed.component, armed.attributes["user"]) == ("armed", "01", "057")
    [disarmed] = bodies(session().receive(contact_id("1401 01 057"), NOW))
    assert isinstance(disarmed, Event)
    assert disarmed.kind == "disarmed"
    [test] = bodies(session().receive(contact_id("1602 00 000"), NOW))
    assert isinstance(test, Event)
    assert test.kind == "test"
    [unknown] = bodies(session().receive(contact_id("1999 00 000"), NOW))
    assert isinstance(unknown, Event)
    assert (unknown.kind, unknown.attributes["code"]) == ("unknown_report", "999")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("3400 00 000", "armed"),
        ("1400 00 000", "disarmed"),
        ("3441 00 000", "armed"),
        ("1456 00 000", "armed"),  # some panels say that they arm in part with 1, some with 3
        ("3456 00 000", "armed"),
        ("1459 00 000", "armed"),  # "closed just now": comes beside an alarm
        ("E407 00 001", "disarmed"),
        ("R407 00 001", "armed"),
    ],
)
def test_who_arms_and_who_disarms(data: str, kind: str) -> None:
    [event] = bodies(session().receive(contact_id(data), NOW))
    assert isinstance(event, Event) and event.kind == kind


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ("1113 00 007", Alarm(kind="water_leak", component="00-007", description="water_flow")),
        ("1709 00 101", Alarm(kind="sos", component="00-101", description="phone_sos")),
        ("1702 02 001", Alarm(kind="fault", component="02-001", description="sub_sensor_fault")),
        ("3703 02 001", Alarm(kind="power_fault", raised=False, component="02-001", description="sub_power_fault")),
        ("1387 00 004", Alarm(kind="tamper", component="00-004", description="light_interference")),
    ],
)
def test_private_codes_of_hengbo(data: str, body: Alarm) -> None:
    assert bodies(session().receive(contact_id(data, kind="HENG-BO"), NOW)) == [body]


def test_what_a_hengbo_panel_is_and_does_is_an_event() -> None:
    for code, kind, told in (("1757", "attributes", "device_type"), ("1711", "alarm_cleared", "phone_alarm_cleared")):
        [event] = bodies(session().receive(contact_id(f"{code} 00 000", kind="HENG-BO"), NOW))
        assert isinstance(event, Event)
        assert (event.kind, event.attributes["meaning"]) == (kind, told)


@pytest.mark.parametrize("stamp", ["_12:29:50,11-24-202", "_25:61:00,11-24-2026", "_yesterday"])
def test_a_time_stamp_that_cannot_be_read_costs_no_alarm(stamp: str) -> None:
    link = session()
    [found] = link.receive(contact_id("1110 01 005", stamp=stamp), NOW)
    assert isinstance(found, Observation)
    assert (found.body, found.observed_at, found.flags) == (
        Alarm(kind="fire", component="01-005", description="fire"),
        NOW,
        ("time_invalid",),
    )
    assert link.to_send() == frame('"ACK"0002R0L0#000010[]')
    strict = session(strict_time=True)
    [refused] = strict.receive(contact_id("1110 01 005", stamp=stamp), NOW)
    assert isinstance(refused, Rejected)
    assert b'"NAK"' in strict.to_send()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("DG7", Event(kind="access", component="1-7", attributes={"granted": "yes", "code": "DG"})),
        ("id12/DK7", Event(kind="access", component="1-7", attributes={"granted": "no", "code": "DK"})),
        ("FL", Event(kind="mute", component="1", attributes={"code": "FL"})),
        ("FC", Event(kind="alarm_cleared", component="1", attributes={"code": "FC"})),
        ("XI", Event(kind="reset", component="1", attributes={"code": "XI"})),
        ("OP12", Event(kind="disarmed", component="1", attributes={"code": "OP", "user": "12"})),
        ("id12/CL", Event(kind="armed", component="1", attributes={"code": "CL", "user": "12"})),
    ],
)
def test_passages_and_what_is_done_at_the_panel(data: str, told: Event) -> None:
    """A passage says where, never who: the number is a door's in SIA, a user's in Contact ID."""
    assert bodies(session().receive(frame(f'"SIA-DCS"0001L0#1234[#1234|Nri1/{data}]'), NOW)) == [told]


def test_a_passage_in_contact_id_is_told_without_its_user() -> None:
    for code, granted in (("421", "no"), ("422", "yes")):
        told = Event(kind="access", component="01", attributes={"granted": granted, "code": code})
        assert bodies(session().receive(contact_id(f"1{code} 01 007"), NOW)) == [told]


def test_several_events_of_one_block_are_several_alarms_with_ids_of_their_own() -> None:
    found = session().receive(frame('"SIA-DCS"0001L0#1234[#1234|Nri1/FA01/FA02]'), NOW)
    assert [body.component for body in bodies(found) if isinstance(body, Alarm)] == ["1-01", "1-02"]
    assert len({result.frame_id for result in found if isinstance(result, Observation)}) == 2


def test_supervision_is_a_sign_of_life() -> None:
    link = session()
    assert bodies(link.receive(frame(f'"NULL"0000R0L0#1234[]{STAMP}'), NOW)) == [Telemetry({})]
    assert link.to_send() == frame('"ACK"0000R0L0#1234[]')


def test_what_cannot_be_read_is_answered_duh() -> None:
    link = session()
    [refused] = link.receive(contact_id("what?"), NOW)
    assert isinstance(refused, Rejected)
    assert link.to_send() == frame('"DUH"0002R0L0#000010[]')


def test_a_wrong_checksum_is_not_answered() -> None:
    link = session()
    [broken] = link.receive(contact_id("1110 01 005").replace(b"1110", b"1111"), NOW)
    assert isinstance(broken, Rejected)
    assert broken.reason == "checksum wrong"
    assert link.to_send() == b""


def test_a_second_delivery_has_the_same_id_and_a_new_press_another() -> None:
    def name(data: bytes) -> str:
        [found] = session().receive(data, NOW)
        assert isinstance(found, Observation)
        return found.frame_id

    assert name(contact_id("1120 00 005")) == name(contact_id("1120 00 005")) != ""
    assert name(contact_id("1120 00 005")) != name(contact_id("1120 00 005", sequence="0003"))
    again = contact_id("1120 00 005", sequence="0000", stamp=STAMP.replace(":50", ":55"))
    assert name(contact_id("1120 00 005", sequence="0000")) != name(again)
    assert name(contact_id("1120 00 005", sequence="0000", stamp="")) == ""


def test_times_are_utc_or_the_panels_wall_clock() -> None:
    [found] = session().receive(contact_id("1110 01 005"), NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW - timedelta(seconds=10), ())
    local = contact_id("1110 01 005", stamp=STAMP.replace("12:29", "20:29"))
    [found] = session(local_time=True).receive(local, NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW - timedelta(seconds=10), ())
    [found] = session().receive(contact_id("1110 01 005", stamp=STAMP.replace("2026", "2031")), NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_encrypted_reports_are_read_and_answered_encrypted() -> None:
    link = session(keys={"1234": KEY})
    assert bodies(link.receive(encrypted(f"|#1234|Nri2/FA017]{STAMP}"), NOW)) == [Alarm(kind="fire", component="2-017")]
    answer = sia_dc09_wire.read_frame(link.to_send())
    assert answer is not None
    assert (answer.id, answer.encrypted, answer.crc_ok) == ("ACK", True, True)
    opened = sia_dc09_wire.decrypt(answer, KEY.encode())
    assert opened is not None
    assert opened.time == NOW.replace(tzinfo=None)


def test_a_pad_of_any_text_and_no_inner_account_are_read() -> None:
    text = '"*SIA-DCS"5994L0#AAA[' + sia_dc09_wire.encrypt("ABCDE|Nri1/CL501]_12:00:00,01-02-2026", KEY.encode())
    read = sia_dc09_wire.read_frame(frame(text))
    assert read is not None
    opened = sia_dc09_wire.decrypt(read, KEY.encode())
    assert opened is not None
    assert (opened.data, opened.account) == ("Nri1/CL501", "AAA")


@pytest.mark.parametrize("late_s", [-31, 60])
def test_a_replay_of_an_encrypted_report_is_refused_with_our_time(late_s: int) -> None:
    link = session(keys={"1234": KEY})
    [refused] = link.receive(encrypted(f"|#1234|Nri2/OP017]{STAMP}"), NOW + timedelta(seconds=late_s))
    assert isinstance(refused, Rejected)
    assert refused.reason == "time stamp outside the window"
    shown = NOW + timedelta(seconds=late_s)
    assert link.to_send() == frame(f'"NAK"0000R0L0A0[]_{shown:%H:%M:%S,%m-%d-%Y}')


def test_a_recorded_frame_with_another_head_is_nothing_new() -> None:
    """The head is in clear text: whoever recorded a frame can send it again as another account or another report."""
    cipher = sia_dc09_wire.encrypt(f"|#1234|Nri2/OP017]{STAMP}", KEY.encode())
    link = session(keys={"*": KEY})
    names = set()
    for sequence in ("0008", "0009"):
        [found] = link.receive(frame(f'"*SIA-DCS"{sequence}R0L0#1234[{cipher}'), NOW)
        assert isinstance(found, Observation)
        names.add(found.frame_id)
    assert len(names) == 1
    link.to_send()
    [refused] = link.receive(frame(f'"*SIA-DCS"0010R0L0#000010[{cipher}'), NOW)
    assert isinstance(refused, Rejected) and refused.reason == "encrypted for another account"
    assert b'"DUH"0010' in link.to_send()


def test_no_downgrade_no_wrong_key_no_missing_key() -> None:
    for link, data in (
        (session(keys={"1234": KEY}), frame(FIRE_TEXT)),
        (session(keys={"1234": "B" * 16}), encrypted(f"|#1234|Nri2/FA017]{STAMP}")),
        (session(), encrypted(f"|#1234|Nri2/FA017]{STAMP}")),
    ):
        [refused] = link.receive(data, NOW)
        assert isinstance(refused, Rejected)
        assert b'"DUH"0008' in link.to_send()


@pytest.mark.parametrize("key", ["short", "hex:00", "hex:xy"])
def test_keys_are_checked_at_the_start(key: str) -> None:
    with pytest.raises(ValueError, match=r"key|hex"):
        sia_dc09.Settings(keys={"1234": key})


def test_codes_are_not_in_two_tables() -> None:
    assert len(KIND_OF_CID) > 100
    assert all(len(code) == 2 for code in KIND_OF_SIA)


def test_a_pad_may_end_at_the_bracket_when_there_is_no_data() -> None:
    """As a receiver that we did not write answers (recorded)."""
    answer = sia_dc09_wire.read_frame(
        b'\n05B90054"*ACK"0008R0L0#1234[38D689B5F629F6BCA8394431C31785CD73C878A5A298445CB4D0E306832AED89\r'
    )
    assert answer is not None
    opened = sia_dc09_wire.decrypt(answer, KEY.encode())
    assert opened is not None
    assert (opened.data, opened.time_given) == ("", True)
    assert bodies(session(keys={"1234": KEY}).receive(encrypted_null("000]" + STAMP), NOW)) == [Telemetry({})]


def encrypted_null(content: str) -> bytes:
    return frame(f'"*NULL"0009R0L0#1234[{sia_dc09_wire.encrypt(content, KEY.encode())}')


def test_a_slash_in_the_text_begins_no_event() -> None:
    [alarm] = bodies(session().receive(frame('"SIA-DCS"0001L0#1234[#1234|Nri1/FA01^Hall A/BA room^]'), NOW))
    assert alarm == Alarm(kind="fire", component="1-01", description="Hall A/BA room")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_texts_of_chinese_panels_are_read(encoding: str) -> None:
    counted = '"SIA-DCS"0001L0#1234[#1234|Nri1/FA01^一号厅^]'.encode(encoding)
    raw = b"\n%04X%04X%b\r" % (crc16(counted), len(counted), counted)
    assert bodies(session().receive(raw, NOW)) == [Alarm(kind="fire", component="1-01", description="一号厅")]


def test_two_panels_that_say_the_same_have_ids_of_their_own() -> None:
    names = set()
    for account in ("1234", "000010"):
        text = f'"ADM-CID"0001L0#{account}[#{account}|1110 00 001]'
        [found] = session().receive(frame(text), NOW)
        assert isinstance(found, Observation)
        names.add(found.frame_id)
    assert len(names) == 2


@pytest.mark.parametrize("answer", ["ACK", "NAK", "DUH", "RSP"])
def test_an_answer_is_no_sign_of_life_and_not_answered(answer: str) -> None:
    """Anyone could send it for a panel whose reports are encrypted."""
    link = session(keys={"1234": KEY})
    assert link.receive(frame(f'"{answer}"0001L0#1234[]'), NOW) == []
    assert link.to_send() == b""


def test_the_end_of_a_datagram_ends_a_frame_too() -> None:
    link = session()
    assert link.receive(frame(FIRE_TEXT).rstrip(b"\r"), NOW) == []
    assert bodies(link.idle(NOW)) == [Alarm(kind="fire", component="2-017", description="Hall A")]
    assert link.to_send() == frame('"ACK"0008R0L0#1234[]')


def test_a_frame_without_any_account_is_refused() -> None:
    [refused] = session().receive(frame('"NULL"0000R0L0[]'), NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "no account"
