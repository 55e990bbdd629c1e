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
