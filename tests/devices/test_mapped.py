"""Any JSON or CSV by a table: what it becomes, and what is wrong with a table."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from devices.families import mapped
from devices.family import Everyone, Message
from devices.observation import Alarm, Event, Observation, Position, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import MAPPED_SETTINGS
from tests.devices.messages import mapped as report

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)
TEMPERATURE = {"at": "t", "metric": "temperature_c"}


def session(*tables: dict[str, Any], **settings: Any) -> mapped.Session:
    return mapped.Session(msgspec.convert({"tables": tables, **settings}, mapped.Settings), Everyone())


def message(body: Any, channel: str = "plant/pump-3/state") -> Message:
    return Message(channel, body.encode() if isinstance(body, str) else json.dumps(body).encode())


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def reasons(found: list[Result]) -> list[str]:
    return [result.reason for result in found if isinstance(result, Rejected)]


def test_smoke_comes_first() -> None:
    link = mapped.Session(msgspec.convert(MAPPED_SETTINGS, mapped.Settings), Everyone())
    alarm, telemetry = link.receive(report(), NOW)
    assert isinstance(alarm, Observation)
    assert (alarm.device, alarm.body, alarm.observed_at) == ("mapped:17", Alarm(kind="smoke"), OBSERVED)
    assert isinstance(telemetry, Observation)
    assert isinstance(telemetry.body, Telemetry)
    assert telemetry.body.values["temperature_c"] == pytest.approx(37)


def test_the_device_is_in_the_message_the_channel_or_always_the_same() -> None:
    for table, native_id in (
        ({"device": "meta.ids.1"}, "b"),
        ({"device": r"a\.b"}, "dotted"),
        ({"device_level": 2}, "pump-3"),
        ({"device_is": "plant"}, "plant"),
    ):
        found = session(table | {"values": [TEMPERATURE]}).receive(
            message({"t": 20, "meta": {"ids": ["a", "b"]}, "a.b": "dotted"}), NOW
        )
        assert [(one.device, one.body) for one in found if isinstance(one, Observation)] == [
            (f"mapped:{native_id}", Telemetry({"temperature_c": 20}))
        ]
    for value in (None, True, 1.5, "", "a\nb", "x" * 101, {"a": 1}):
        assert reasons(session({"device": "id"}).receive(message({"id": value}), NOW)) == ["device id missing"]


def test_csv_with_a_header_a_decimal_comma_and_local_time() -> None:
    link = session(
        {
            "format": "csv",
            "delimiter": ";",
            "encoding": "gb18030",
            "decimal_comma": True,
            "device": "编号",
            "time": "时间",
            "time_format": "%Y/%m/%d %H:%M:%S",
            "time_zone": "Asia/Shanghai",
            "values": [{"at": "温度", "metric": "temperature_c"}],
            "alarms": [{"at": "水位", "kind": "water_leak", "above": 2.5}],
        }
    )
    text = '编号;时间;温度;水位\n"a";2026/11/24 20:29:50;23,5;2,6\nb;2026/11/24 20:29:50;x;1\n\n'
    found = link.receive(Message("file/plant.csv", text.encode("gb18030")), NOW)
    assert [(one.device, one.body) for one in found if isinstance(one, Observation)] == [
        ("mapped:a", Alarm(kind="water_leak")),
        ("mapped:a", Telemetry({"temperature_c": 23.5})),
        ("mapped:b", Alarm(kind="water_leak", raised=False)),
        ("mapped:b", Telemetry({})),
    ]
    assert {one.observed_at for one in found if isinstance(one, Observation)} == {OBSERVED}
    bare = session({"format": "csv", "header": False, "device": "1", "values": [{"at": "2", "metric": "co_ppm"}]})
    assert bodies(bare.receive(message("a,12\nb,13"), NOW)) == [Telemetry({"co_ppm": 12}), Telemetry({"co_ppm": 13})]


@pytest.mark.parametrize(
    ("format_", "value", "observed_at"),
    [
        ("iso", "2026-11-24T12:29:50Z", OBSERVED),
        ("iso", "2026-11-24T12:29:50", OBSERVED),
        ("s", 1795523390, OBSERVED),
        ("s", "1795523390.0", OBSERVED),
        ("ms", 1795523390000, OBSERVED),
        ("%d.%m.%Y %H:%M:%S %z", "24.11.2026 13:29:50 +0100", OBSERVED),
        ("iso", "yesterday", NOW),
        ("iso", 5, NOW),
        ("s", 1e300, NOW),
        ("ms", None, NOW),
        ("iso", "0001-01-01T00:00:00+23:00", NOW),
    ],
)
def test_times(format_: str, value: Any, observed_at: datetime) -> None:
    [found] = session({"device_is": "a", "time": "at", "time_format": format_}).receive(message({"at": value}), NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (observed_at, () if observed_at == OBSERVED else ("time_invalid",))


@pytest.mark.parametrize(
    ("row", "reading", "values"),
    [
        ({"unit": "K"}, {"t": 300}, {"temperature_c": 26.85}),
        ({"unit_at": "u"}, {"t": 50, "u": "degF"}, {"temperature_c": 10}),
        ({"unit_at": "u"}, {"t": 50, "u": "parsec"}, {}),
        ({"unit_at": "u"}, {"t": 50, "u": "V"}, {}),
        ({"unit_at": "u"}, {"t": 50}, {}),
        ({"factor": 0.1, "offset": -40}, {"t": 650}, {"temperature_c": 25}),
        ({}, {"t": " 2.5e1 "}, {"temperature_c": 25}),
        ({}, {"t": "1_0"}, {}),
        ({}, {"t": True}, {}),
        ({}, {"t": 99999}, {}),
        ({}, {"t": 10**400}, {}),
        ({}, {"t": [1]}, {}),
    ],
)
def test_values(row: dict[str, Any], reading: dict[str, Any], values: dict[str, float]) -> None:
    [found] = bodies(session({"device_is": "a", "values": [TEMPERATURE | row]}).receive(message(reading), NOW))
    assert isinstance(found, Telemetry)
    assert found.values == pytest.approx(values)


def test_alarms_by_words_and_by_limits() -> None:
    words = {"at": "s", "kind": "smoke", "raised": ["Alarm", 1], "cleared": ["ok"], "description_at": "where"}
    link = session({"device_is": "a", "alarms": [words, {"at": "p", "kind": "supervisory", "below": 2, "above": 9}]})

    def told(**reading: Any) -> list[object]:
        return [body for body in bodies(link.receive(message(reading), NOW)) if isinstance(body, Alarm)]

    assert told(s="ALARM", where="Hall A") == [Alarm(kind="smoke", description="Hall A")]
    assert told(s=1) == [Alarm(kind="smoke")]
    assert told(s="?") == []
    assert told() == []
    assert told(s="OK") == [Alarm(kind="smoke", raised=False)]
    assert told(s="ok") == []
    assert told(p=1) == told(p="9.5") == [Alarm(kind="supervisory")]
    assert told(p=5) == [Alarm(kind="supervisory", raised=False)]


def test_states_are_told_when_they_change() -> None:
    door = {"at": "d", "name": "gate", "opened": ["open"], "closed": ["shut"]}
    link = session({"device_is": "a", "states": [door, {"at": "m", "name": "mode"}]})
    found = [
        [body for body in bodies(link.receive(message(reading), NOW)) if isinstance(body, Event)]
        for reading in ({"d": "shut", "m": True}, {"d": "shut"}, {"d": "OPEN"}, {"d": "?", "m": {"x": 1}})
    ]
    assert found == [
        [Event(kind="door_closed", component="gate"), Event(kind="state", attributes={"mode": "true"})],
        [],
        [Event(kind="door_opened", component="gate")],
        [],
    ]


def test_positions() -> None:
    table = {"device_is": "a", "longitude": "x", "latitude": "y"}
    for reading, places in (
        ({"x": "120.25", "y": 30.5}, [Position(longitude=120.25, latitude=30.5)]),
        ({"x": 0, "y": 0}, [Telemetry({})]),
        ({"x": 200, "y": 1}, [Telemetry({})]),
        ({"y": 1}, [Telemetry({})]),
    ):
        assert bodies(session(table).receive(message(reading), NOW)) == places
    floors = {2: 2, "-1": -1, 2.5: None, 4_000: None, "second": None, None: None}
    for said, level in floors.items():
        reading = {"x": 120.25, "y": 30.5, "floor": said}
        expected = [Position(longitude=120.25, latitude=30.5, level=level)]
        assert bodies(session(table | {"level": "floor"}).receive(message(reading), NOW)) == expected


def test_the_first_table_that_fits_reads() -> None:
    link = session(
        {"channel": "plant/+/alarm", "device_level": 2, "alarms": [{"at": "on", "kind": "fault", "raised": [True]}]},
        {"channel": "plant/#", "device_level": 2, "when": {"kind": "t"}, "values": [TEMPERATURE]},
    )
    both = message({"on": True, "kind": "t", "t": 1}, "plant/p/alarm")
    assert bodies(link.receive(both, NOW)) == [Alarm(kind="fault"), Telemetry({})]
    assert bodies(link.receive(message({"kind": "T", "t": 1}, "plant/p/x/y"), NOW)) == [Telemetry({"temperature_c": 1})]
    for unread in (message({"kind": "v"}, "plant/p/x"), message({}, "other"), message("no json", "plant/p/alarm")):
        assert reasons(link.receive(unread, NOW)) == ["no table reads this message"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "table 1: exactly one of device"),
        ({"device": "a", "device_is": "b"}, "exactly one of device"),
        ({"device": "a", "format": "xml"}, "format: 'xml' is neither"),
        ({"device": "a", "format": "csv", "delimiter": ";;"}, "delimiter: ';;'"),
        ({"device": "a", "encoding": "latin-1"}, "encoding: 'latin-1' is none of"),
        ({"device": "a", "time_format": "unix"}, "time_format: 'unix' is none of"),
        ({"device": "a", "time_format": "%H:%M"}, "does not tell a whole date"),
        ({"device": "a", "time_format": "%Q"}, "does not tell a whole date"),
        ({"device": "a", "time_zone": "Mars"}, "time_zone: no time zone 'Mars'"),
        ({"device": "a", "longitude": "x"}, "longitude and latitude"),
        ({"device": "a", "level": "x"}, "level belongs to a position"),
        ({"device": "a", "channel": "a/b#/c"}, "channel: 'a/b#/c' is no filter"),
        ({"device": "a", "values": [{"at": "", "metric": "co_ppm"}]}, "values 1: at is empty"),
        ({"device": "a", "values": [{"at": "x", "metric": "warmth"}]}, "values 1: metric: 'warmth' is none"),
        ({"device": "a", "values": [TEMPERATURE, TEMPERATURE | {"unit": "V"}]}, "values 2: unit: V is no unit of"),
        ({"device": "a", "values": [TEMPERATURE | {"unit": "furlong"}]}, "unit: 'furlong' is none of"),
        ({"device": "a", "values": [TEMPERATURE | {"unit": "K", "unit_at": "u"}]}, "one of them"),
        ({"device": "a", "alarms": [{"at": "x", "kind": "doom", "raised": [1]}]}, "alarms 1: kind: 'doom'"),
        ({"device": "a", "alarms": [{"at": "x", "kind": "smoke"}]}, "either raised"),
        ({"device": "a", "alarms": [{"at": "x", "kind": "smoke", "raised": [1], "above": 2}]}, "either raised"),
        ({"device": "a", "alarms": [{"at": "x", "kind": "smoke", "above": 2, "cleared": [1]}]}, "clears by itself"),
        (
            {"device": "a", "alarms": [{"at": "x", "kind": "smoke", "raised": ["A"], "cleared": ["a"]}]},
            "in raised and in",
        ),
        ({"device": "a", "states": [{"at": "x", "name": ""}]}, "states 1: at and name"),
        ({"device": "a", "states": [{"at": "x", "name": "y", "opened": [1]}]}, "opened and closed"),
        ({"device": "a", "colour": 1}, "unknown field `colour`"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"tables": [table]}, mapped.Settings)
    assert text in str(refused.value)


def test_without_a_table_nothing_starts() -> None:
    with pytest.raises(msgspec.ValidationError, match="tables: 0 of them"):
        msgspec.convert({}, mapped.Settings)


def test_a_reading_that_comes_again_has_the_same_names_whatever_was_told_before() -> None:
    """The first delivery told of a door that had not moved; the second comes to a link that knows nothing."""
    table = {
        "device_is": "a",
        "time": "at",
        "values": [TEMPERATURE],
        "states": [{"at": "d", "name": "gate", "opened": ["open"], "closed": ["shut"]}],
    }
    before = message({"at": "2026-11-24T12:29:49Z", "d": "shut"})
    reading = message({"at": "2026-11-24T12:29:50Z", "d": "shut", "t": 20})
    link = session(table)
    link.receive(before, NOW)
    first, again = (
        {one.frame_id: one.body for one in found if isinstance(one, Observation)}
        for found in (link.receive(reading, NOW), session(table).receive(reading, NOW))
    )
    assert len(first) == 1
    assert len(again) == 2
    assert first.items() <= again.items()


def test_a_press_under_a_stopped_clock_is_new_an_hour_later() -> None:
    link = session({"device_is": "a", "time": "at", "alarms": [{"at": "sos", "kind": "sos", "raised": [True]}]})
    reading = message({"at": "2026-01-01T00:00:00Z", "sos": True})
    presses = [link.receive(reading, NOW + timedelta(hours=hours))[0] for hours in (0, 0, 2)]
    ids = [press.frame_id for press in presses if isinstance(press, Observation)]
    assert ids[0] == ids[1] != ids[2]
