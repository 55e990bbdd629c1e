"""Fire transmission devices: what their reports mean, and what they are answered."""

from datetime import UTC, datetime, timedelta
from typing import Any

from devices.families import gbt26875, gbt26875_wire
from devices.family import Everyone
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
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
