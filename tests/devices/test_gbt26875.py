"""Fire transmission devices: what their reports mean, and what they are answered."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.asked import WAITING_MAX
from devices.families import gbt26875, gbt26875_wire
from devices.family import CommandRefused, DeviceCommand, Everyone
from devices.observation import Alarm, CommandAnswer, Event, Observation, Rejected, Result, Telemetry
from tests.devices import frames
from tests.devices.frames import NOW

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)


def session(**settings: object) -> gbt26875.Session:
    return gbt26875.Session(gbt26875.Settings(**settings), {"889"})  # type: ignore[arg-type]


def bodies(found: list[Result]) -> list[Any]:
    return [result.body for result in found if isinstance(result, Observation)]


def state(bits: int) -> bytes:
    return frames.gbt26875(unit=frames.SMOKE_UNIT[:18] + bits.to_bytes(2, "little").hex() + frames.SMOKE_UNIT[22:])


def heartbeat() -> bytes:
    return frames.gbt26875(head=frames.SMOKE_HEAD[:-6] + "000002", unit="")


def test_smoke_is_an_alarm_of_its_component() -> None:
    found, *cleared = session().receive(frames.gbt26875(), NOW)
    assert isinstance(found, Observation)
    assert all(isinstance(body, Alarm) and not body.raised for body in bodies(cleared))
    assert found.body == Alarm(kind="smoke", component="1-3-0x00000012", description="大堂")
    assert (found.device, found.observed_at, found.flags) == ("gbt26875:889", OBSERVED, ())


def test_a_report_is_confirmed_with_its_serial_and_our_clock() -> None:
    link = session()
    link.receive(frames.gbt26875(), NOW)
    answer = gbt26875_wire.read_frame(link.to_send())
    assert (answer.command, answer.serial, answer.source, answer.destination, answer.unit) == (3, 7, 88888, 889, b"")
    assert answer.time == datetime(2026, 11, 24, 20, 30)  # noqa: DTZ001 - wall clock of the device
    assert link.to_send() == b""


def test_a_heartbeat_is_confirmed_and_is_a_sign_of_life() -> None:
    link = session()
    assert bodies(link.receive(heartbeat(), NOW)) == [Telemetry({})]
    assert gbt26875_wire.read_frame(link.to_send()).command == gbt26875_wire.CONFIRM


def test_an_alarm_that_is_not_set_any_more_is_cleared() -> None:
    link = session()
    link.receive(state(0x0006), NOW)  # fire and fault
    assert bodies(link.receive(state(0x0003), NOW))[1:] == [
        Alarm(kind="fault", raised=False, component="1-3-0x00000012", description="大堂")
    ]
    assert [body.kind for body in bodies(link.receive(state(0x0001), NOW))] == ["smoke"]
    assert bodies(link.receive(state(0x0001), NOW)) == [
        Event(kind="state", component="1-3-0x00000012", attributes={"flags": "normal"})
    ]


def test_after_a_reconnect_the_first_report_clears_what_it_does_not_raise() -> None:
    everything = {"smoke", "fault", "shielded", "supervisory", "power_fault"}
    assert {body.kind for body in bodies(session().receive(state(0x0001), NOW))} == everything
    after = bodies(session().receive(state(0x0004), NOW))
    assert {body.kind for body in after if not body.raised} == everything - {"fault"}


def test_a_wrong_checksum_is_denied_and_a_short_report_too() -> None:
    link = session()
    frame = frames.gbt26875()
    [broken, *_] = [*link.receive(frame[:-3] + bytes((frame[-3] ^ 1,)) + frame[-2:], NOW), *link.idle(NOW)]
    assert isinstance(broken, Rejected)
    assert broken.reason == "checksum wrong"
    assert gbt26875_wire.read_frame(link.to_send()).command == gbt26875_wire.DENY
    short = frames.gbt26875(head=frames.SMOKE_HEAD[:-6] + "140002", unit=frames.SMOKE_UNIT[:40])
    [cut] = link.receive(short, NOW)
    assert isinstance(cut, Rejected)
    assert gbt26875_wire.read_frame(link.to_send()).command == gbt26875_wire.DENY


def test_a_clock_that_is_off_is_set_once_a_link() -> None:
    link = session()
    late = NOW + timedelta(minutes=5)
    link.receive(heartbeat(), late)
    confirm, command = link.to_send()[:30], None
    assert gbt26875_wire.read_frame(confirm).command == gbt26875_wire.CONFIRM
    link = session()
    link.receive(heartbeat(), late)
    command = gbt26875_wire.read_frame(link.to_send()[30:])
    assert (command.command, command.unit.hex()) == (gbt26875_wire.CONTROL, "5a01002314180b1a")
    link.receive(heartbeat(), late)
    assert len(link.to_send()) == 30


def test_impossible_times_are_replaced_and_flagged() -> None:
    for time in ("FFFFFFFFFFFF", "321D14180B28", "000000010114"):  # no date, 2040, 2020 under a frame of 2026
        found = session().receive(frames.gbt26875(unit=frames.SMOKE_UNIT[:-12] + time), NOW)[0]
        assert isinstance(found, Observation)
        assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_analog_values_are_telemetry_of_their_component() -> None:
    unit = "0301" + "01032A12000000" + "03" + "2003" + "321D14180B1A"
    [found] = session().receive(frames.gbt26875(head=frames.SMOKE_HEAD[:-6] + "120002", unit=unit), NOW)
    assert bodies([found]) == [Telemetry({"temperature_c": 80.0}, "1-3-0x00000012")]


def test_source_zero_is_the_configured_device() -> None:
    frame = frames.gbt26875(head=frames.SMOKE_HEAD.replace("790300000000", "000000000000"))
    [unknown] = session().receive(frame, NOW)
    assert isinstance(unknown, Rejected)
    found = session(device="889").receive(frame, NOW)[0]
    assert isinstance(found, Observation)
    assert found.device == "gbt26875:889"


def test_three_marks_in_a_row_do_not_hide_the_frame() -> None:
    found = gbt26875.Session(gbt26875.Settings(), Everyone()).receive(b"@" + frames.gbt26875() * 2, NOW)
    assert sum(isinstance(body, Alarm) and body.raised for body in bodies(found)) == 2


def test_a_stopped_clock_and_a_constant_serial_do_not_hide_a_second_fire() -> None:
    stuck = frames.gbt26875(unit=frames.SMOKE_UNIT[:-12] + "000000010100", head=frames.SMOKE_HEAD)
    ids = set()
    for hours in (0, 2, 4):
        found = session().receive(stuck, NOW + timedelta(hours=hours))[0]
        assert isinstance(found, Observation)
        assert (found.observed_at, found.flags) == (NOW + timedelta(hours=hours), ("time_invalid",))
        ids.add(found.frame_id)
    assert len(ids) == 3


def test_a_device_whose_clock_fell_back_years_is_timed_by_ours() -> None:
    """Header and object agree on the year 2000: an empty clock battery, not a report of that year."""
    head = frames.SMOKE_HEAD.replace("331D14180B1A", "331D14010100")
    found = session().receive(frames.gbt26875(head=head, unit=frames.SMOKE_UNIT[:-12] + "321D14010100"), NOW)[0]
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_a_report_of_last_week_keeps_its_time() -> None:
    unit = frames.SMOKE_UNIT[:-12] + "321D14110B1A"
    found = session().receive(frames.gbt26875(unit=unit), NOW)[0]
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (OBSERVED - timedelta(days=7), ())


def operation(bits: int, kind: str = "04", address: str = "0103") -> bytes:
    unit = f"{kind}01{address}{bits:02X}01321D14180B1A"
    return frames.gbt26875(head=f"{frames.SMOKE_HEAD[:-6]}{len(unit) // 2:02X}0002", unit=unit)


def test_the_button_of_the_transmission_device_is_a_fire_report() -> None:
    link = session()
    found = bodies(link.receive(operation(0x04, kind="18", address=""), NOW))
    assert found == [Alarm(kind="manual_call_point"), Event(kind="manual_alarm", attributes={"operator": "1"})]
    found = bodies(link.receive(operation(0x08, kind="18", address=""), NOW))
    assert found == [
        Alarm(kind="manual_call_point", raised=False),
        Event(kind="alarm_cleared", attributes={"operator": "1"}),
    ]
    assert bodies(link.receive(operation(0x04), NOW))[0] == Alarm(kind="manual_call_point", component="1-3")


def test_a_system_that_says_reset_is_an_event() -> None:
    unit = "0101" + "0103" + "0120" + "321D14180B1A"
    found = bodies(session().receive(frames.gbt26875(head=frames.SMOKE_HEAD[:-6] + "0C0002", unit=unit), NOW))
    assert Event(kind="reset", component="1-3") in found


def test_the_clock_is_sent_again_until_it_is_right_and_three_times_at_most() -> None:
    link, sent = session(), 0
    for second in range(0, 120, 5):
        link.receive(heartbeat(), NOW + timedelta(minutes=5, seconds=second))
        sent += len(link.to_send()) > 30
    assert sent == gbt26875.SYNC_TRIES_MAX
    link.receive(heartbeat(), NOW)  # the clock is right again, and then runs away once more
    link.to_send()
    link.receive(heartbeat(), NOW + timedelta(hours=1))
    assert len(link.to_send()) > 30


def test_a_wrong_checksum_of_the_configured_device_is_denied_too() -> None:
    frame = frames.gbt26875(head=frames.SMOKE_HEAD.replace("790300000000", "000000000000"))
    link = session(device="889")
    link.receive(frame[:-3] + bytes((frame[-3] ^ 1,)) + frame[-2:], NOW)
    assert gbt26875_wire.read_frame(link.to_send()).command == gbt26875_wire.DENY


def test_the_one_byte_handshake_is_answered_only_where_the_quirk_is_on() -> None:
    greeting = frames.gbt26875(head=frames.SMOKE_HEAD[:-6] + "010002", unit="16")
    for on, unit in ((False, b""), (True, b"\x17")):
        link = session(one_byte_handshake=on)
        assert bodies(link.receive(greeting, NOW)) == [Telemetry({})]
        answer = gbt26875_wire.read_frame(link.to_send())
        assert (answer.command, answer.unit) == (gbt26875_wire.CONFIRM, unit)


# --- commands ---


def asked(action: str, native_id: str = "889", **args: str) -> DeviceCommand:
    return DeviceCommand(nonce=f"n-{action}", native_id=native_id, action=action, args=args)


def heard() -> gbt26875.Session:
    """A link on which panel 889 has shown itself."""
    link = session()
    link.receive(heartbeat(), NOW)
    link.to_send()
    return link


def said(command: int, unit: str = "", serial: int = 1, time: str = "331D14180B1A") -> bytes:
    """What panel 889 says to a command of ours with this serial number."""
    head = serial.to_bytes(2, "little").hex() + frames.SMOKE_HEAD[4:8] + time + frames.SMOKE_HEAD[20:44]
    return frames.gbt26875(head=f"{head}{len(unit) // 2:02X}00{command:02X}", unit=unit)


def answers(found: list[Result]) -> list[tuple[str, str]]:
    return [(result.nonce, result.result) for result in found if isinstance(result, CommandAnswer)]


READS: list[tuple[str, dict[str, str], str]] = [
    ("read_state", {}, "510100"),
    ("read_state", {"of": "1-3"}, "3d010103"),
    ("read_state", {"of": "1-3-0x00000012"}, "3e01010312000000"),
    ("read_value", {"of": "1-3-18"}, "3f01010312000000"),
    ("read_version", {}, "550100"),
    ("read_version", {"of": "1-3"}, "41010103"),
    ("read_configuration", {}, "560100"),
    ("read_configuration", {"of": "1-3"}, "42010103"),
    ("read_configuration", {"of": "1-3-0xffffffff"}, "43010103ffffffff"),
    ("read_time", {}, "580100"),
    ("read_time", {"of": "255-255"}, "4401ffff"),
    ("read_records", {"count": "5", "since": "2026-11-24T20:00:00"}, "54010500001418" + "0b1a"),
    ("read_records", {"of": "1-3", "since": "2026-11-24T12:00:00Z"}, "400101030a00001418" + "0b1a"),
]


@pytest.mark.parametrize(
    ("action", "args", "unit"), READS, ids=[f"{read[0]} {read[1].get('of', '')}" for read in READS]
)
def test_a_query_is_a_request_and_its_response_confirms_it(action: str, args: dict[str, str], unit: str) -> None:
    link = heard()
    link.command(asked(action, **args), NOW)
    sent = gbt26875_wire.read_frame(link.to_send())
    assert (sent.command, sent.unit.hex(), sent.source, sent.destination) == (gbt26875_wire.REQUEST, unit, 88888, 889)
    assert sent.time == datetime(2026, 11, 24, 20, 30)  # noqa: DTZ001 - wall clock of the device
    assert answers(link.receive(said(3, serial=sent.serial), NOW)) == [(f"n-{action}", "accepted")]
    of_type = {"read_value": "03", "read_records": "18", "read_state": "15"}.get(action, "19")
    found = link.receive(said(5, of_type + "01" + "00" * 40, serial=sent.serial), NOW)
    expected = "confirmed" if action in ("read_value", "read_records", "read_state", "read_version") else "accepted"
    assert answers(found) == [(f"n-{action}", expected)]
    assert answers(link.receive(said(5, serial=sent.serial), NOW)) == [], "it is answered"


def test_a_response_is_an_observation_too() -> None:
    link = heard()
    link.command(asked("read_time"), NOW)
    found = link.receive(said(5, "1C01321D14180B1A"), NOW)
    assert bodies(found) == [Event(kind="device_time", attributes={"text": "2026-11-24T20:29:50"})]
    assert answers(found) == [("n-read_time", "confirmed")]


def test_a_denied_command_is_refused() -> None:
    link = heard()
    link.command(asked("initialise"), NOW)
    sent = gbt26875_wire.read_frame(link.to_send())
    assert (sent.command, sent.unit.hex()) == (gbt26875_wire.CONTROL, "590100")
    [_, answer] = link.receive(said(6), NOW)
    assert answer == CommandAnswer(nonce="n-initialise", result="refused", reason="the device denies it")


def test_a_clock_is_set_when_a_frame_shows_it() -> None:
    late = NOW + timedelta(minutes=5)
    link = gbt26875.Session(gbt26875.Settings(sync_clock=False), {"889"})
    link.receive(heartbeat(), late)
    link.to_send()
    link.command(asked("set_time"), late)
    assert gbt26875_wire.read_frame(link.to_send()).unit.hex() == "5a01002314180b1a"
    assert answers(link.receive(said(3), late)) == [("n-set_time", "accepted")]
    assert answers(link.receive(heartbeat(), late)) == [], "its clock is what it was"
    assert answers(link.receive(said(2, serial=9, time="002314180B1A"), late)) == [("n-set_time", "confirmed")]
    assert answers(link.receive(said(2, serial=9, time="002314180B1A"), late)) == []


def test_a_duty_check_is_confirmed_by_the_person_on_duty() -> None:
    link = heard()
    link.command(asked("duty_check", minutes="10"), NOW)
    assert gbt26875_wire.read_frame(link.to_send()).unit.hex() == "5b010a"
    assert answers(link.receive(operation(0x20, kind="18", address=""), NOW)) == [], "a key pressed for something else"
    assert answers(link.receive(said(3), NOW)) == [("n-duty_check", "accepted")]
    assert answers(link.receive(operation(0x04, kind="18", address=""), NOW)) == []
    minutes = NOW + timedelta(minutes=9)
    found = link.receive(operation(0x20, kind="18", address=""), minutes)
    assert bodies(found) == [Event(kind="confirm", attributes={"operator": "1"})]
    assert answers(found) == [("n-duty_check", "confirmed")]


def test_an_answer_that_nobody_waits_for_is_no_error_and_none_counts_for_ever() -> None:
    link = heard()
    assert answers(link.receive(said(3, serial=77) + said(6, serial=78) + said(5, serial=79), NOW)) == []
    link.command(asked("initialise"), NOW)
    assert answers(link.receive(said(3), NOW + timedelta(hours=2))) == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (asked("read_state", native_id="890"), "890 has not shown itself on this link"),
        (asked("explode"), "no command 'explode'; there are read_state,"),
        (asked("read_state", which="1-3"), "read_state does not take which; it takes of"),
        (asked("initialise", now="1"), "initialise does not take now; it takes no arguments"),
        (asked("read_state", of="1"), "'1' is no system such as 1-3"),
        (asked("read_state", of="256-1"), "'256-1' is no system"),
        (asked("read_state", of="1-3-4294967296"), "is no system"),
        (asked("read_value", of="1-3"), "read_value cannot be asked of a system"),
        (asked("read_value"), "read_value cannot be asked of the device itself"),
        (asked("read_records", since="yesterday"), "since: 'yesterday' is no time"),
        (asked("read_records", since="2026-11-24T20:00:00", count="0"), "count: '0' is no whole number from 1 to 100"),
        (asked("duty_check", minutes="61"), "minutes: '61' is no whole number from 1 to 60"),
        (asked("read_state", of="1-" * 2_000), "an argument has more than"),
    ],
)
def test_commands_that_cannot_be_are_refused(command: DeviceCommand, text: str) -> None:
    link = heard()
    with pytest.raises(CommandRefused, match=re.escape(text)):
        link.command(command, NOW)
    assert link.to_send() == b""


def test_what_waits_is_bounded() -> None:
    link = heard()
    for _ in range(3 * WAITING_MAX):
        link.command(asked("initialise"), NOW)
    assert len(link._waiting) == WAITING_MAX


def test_a_query_of_records_is_read_in_the_standards_words() -> None:
    [asked_for] = gbt26875_wire.read_unit(bytes.fromhex("400101030a000014180b1a")).objects
    assert asked_for == {
        "system_type": 1,
        "system_address": 3,
        "record_count": 10,
        "start_time": datetime(2026, 11, 24, 20),  # noqa: DTZ001 - wall clock of the device
    }


def test_flags_that_have_no_event_of_their_own_are_told_with_the_others() -> None:
    found = bodies(session().receive(state(0x0083), NOW))
    assert found[0] == Alarm(kind="smoke", component="1-3-0x00000012", description="大堂")
    assert found[-1].attributes == {"flags": "normal fire_alarm delay"}
