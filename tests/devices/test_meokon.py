"""Pressure terminals: records with their own times, alarms that are the whole state, and types that are not read."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from devices.dictionary import ALARMS
from devices.families import meokon, meokon_wire
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW, PRESSURE

OBSERVED = NOW - timedelta(seconds=10)


def session() -> meokon.Session:
    return meokon.Session(meokon.Settings(), {"SHMK19060013"})


def receive(**changed: object) -> list[Result]:
    return session().receive(meokon_wire.write_frame(replace(PRESSURE, **changed)), NOW)


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def test_a_pressure_above_its_limit() -> None:
    found = receive()
    first = found[0]
    assert isinstance(first, Observation)
    assert (first.body, first.observed_at) == (Alarm(kind="supervisory", component="pressure_high"), OBSERVED)
    assert Telemetry({"signal_dbm": -56, "battery_percent": 100}) in bodies(found)
    assert bodies(found)[-1] == Telemetry({"pressure_mpa": 0.538})


def test_what_is_not_set_is_ended() -> None:
    alarms = [body for body in bodies(receive(alarms=0b100)) if isinstance(body, Alarm)]
    assert alarms[0] == Alarm(kind="low_battery")
    assert {(body.kind, body.component) for body in alarms[1:] if not body.raised} == {
        ("supervisory", "pressure_low"),
        ("supervisory", "pressure_high"),
        ("supervisory", "second_low"),
        ("supervisory", "second_high"),
        ("supervisory", "third_alarm"),
        ("fault", "sensor"),
        ("fault", "hardware"),
    }
    assert not any(ALARMS[body.kind].latching for body in alarms)


def test_what_stays_ended_is_not_told_again() -> None:
    link = session()
    link.receive(meokon_wire.write_frame(PRESSURE), NOW)
    again = bodies(link.receive(meokon_wire.write_frame(replace(PRESSURE, alarms=0)), NOW))
    assert [body for body in again if isinstance(body, Alarm)] == [
        Alarm(kind="supervisory", raised=False, component="pressure_high")
    ]


def test_a_name_stands_for_one_thing_however_often_it_is_told() -> None:
    """A terminal that gets no answer sends again, on the same link or on a new one."""
    link, told = session(), {}
    frame = meokon_wire.write_frame(PRESSURE)
    for one in [*link.receive(frame, NOW), *link.receive(frame, NOW), *session().receive(frame, NOW)]:
        assert isinstance(one, Observation)
        assert told.setdefault(one.frame_id, one.body) == one.body


def test_records_lie_their_interval_apart_and_keep_their_ids() -> None:
    def records(found: list[Result]) -> dict[str, tuple[object, object]]:
        return {
            one.frame_id: (one.observed_at, one.body)
            for one in found
            if isinstance(one, Observation) and isinstance(one.body, Telemetry) and "pressure_mpa" in one.body.values
        }

    two = records(receive(records=(530, 538)))
    assert list(two.values()) == [
        (OBSERVED - timedelta(seconds=60), Telemetry({"pressure_mpa": 0.53})),
        (OBSERVED, Telemetry({"pressure_mpa": 0.538})),
    ]
    later = records(receive(records=(530, 538, 540), epoch=PRESSURE.epoch + 60))
    assert set(two) < set(later)


@pytest.mark.parametrize(
    ("type_", "raw", "values"),
    [(0, 1013, {"pressure_kpa": 101.3}), (1, -5, {"pressure_mpa": -0.005}), (2, 605, {"pressure_kpa": 605.0})],
)
def test_units(type_: int, raw: int, values: dict[str, float]) -> None:
    assert bodies(receive(type=type_, now=raw, records=(raw,)))[-1] == Telemetry(values)


def test_on_a_mains_supply_there_is_no_battery() -> None:
    assert Telemetry({"signal_dbm": -56}) in bodies(receive(battery=0xD4))


def test_a_type_that_is_not_read_still_tells_its_alarms() -> None:
    found = bodies(receive(type=34))
    assert found[0] == Alarm(kind="supervisory", component="pressure_high")
    assert found[-1] == Event(kind="unknown_report", attributes={"type": "34"})
    assert not any(isinstance(body, Telemetry) and "pressure_mpa" in body.values for body in found)


@pytest.mark.parametrize("epoch", [0, 1, 2**32 - 1])
def test_impossible_times_are_those_of_receiving(epoch: int) -> None:
    first = receive(epoch=epoch)[0]
    assert isinstance(first, Observation)
    assert (first.observed_at, first.flags) == (NOW, ("time_invalid",))


# The other generation says how many digits are behind the dot.
WITH_DIGITS = replace(
    PRESSURE, digits=3, signal_dbm=-70, interval_s=0, alarms=0, low=0, high=2500, now=605, records=(605,)
)


def test_the_other_generation_says_its_decimals() -> None:
    frame = meokon_wire.write_frame(WITH_DIGITS)
    assert (len(frame), frame[19:25].hex()) == (41, "000001010300")
    assert meokon_wire.read_report(frame) == replace(WITH_DIGITS, record_count=1)
    assert bodies(session().receive(frame, NOW))[-1] == Telemetry({"pressure_mpa": 0.605})
    two = replace(WITH_DIGITS, digits=2, now=60, records=(59, 60))
    assert bodies(session().receive(meokon_wire.write_frame(two), NOW))[-2:] == [
        Telemetry({"pressure_mpa": 0.59}),
        Telemetry({"pressure_mpa": 0.6}),
    ]


def test_decimals_that_cannot_be_are_refused() -> None:
    [refused] = session().receive(meokon_wire.write_frame(replace(WITH_DIGITS, digits=9)), NOW)
    assert isinstance(refused, Rejected)


def test_every_flipped_bit_is_caught() -> None:
    frame = meokon_wire.write_frame(PRESSURE)
    for bit in range(len(frame) * 8):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        link = session()
        assert not bodies([*link.receive(bytes(flipped), NOW), *link.idle(NOW)])


def test_a_frame_with_parts_that_do_not_fit_is_refused() -> None:
    [refused] = receive(id="SHMK/19 0013")
    assert isinstance(refused, Rejected)
