"""The table of a `mapped` link: where in a message the device, the time, the values and their units are.

A place is a path into JSON (`data.sensors.0.temp`: names and list positions from 0, parted by dots; a dot in a name is
written `\\.`) or the name of a CSV column (its number from 1 where the file has no header). "" is nowhere.

Everything is checked when the settings are read, so that a typing error stops the start and not a night's readings.
Each problem is named by the table and row it is in.
"""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from devices.dictionary import ALARMS, METRICS
from devices.local_time import LocalClock

TABLES_MAX, ROWS_MAX = 50, 200
LEVEL = re.compile(r"(?:[^+#]*|\+)\Z")
ENCODINGS = ("utf-8", "gb18030")

# unit as written -> unit of the dictionary, factor, offset
UNITS: dict[str, tuple[str, float, float]] = {
    "Cel": ("Cel", 1, 0),
    "degC": ("Cel", 1, 0),
    "°C": ("Cel", 1, 0),
    "K": ("Cel", 1, -273.15),
    "degF": ("Cel", 5 / 9, -160 / 9),
    "°F": ("Cel", 5 / 9, -160 / 9),
    "%": ("%", 1, 0),
    "%RH": ("%", 1, 0),
    "V": ("V", 1, 0),
    "mV": ("V", 0.001, 0),
    "A": ("A", 1, 0),
    "mA": ("A", 0.001, 0),
    "W": ("W", 1, 0),
    "kW": ("W", 1000, 0),
    "kWh": ("kW.h", 1, 0),
    "Wh": ("kW.h", 0.001, 0),
    "kPa": ("kPa", 1, 0),
    "Pa": ("kPa", 0.001, 0),
    "hPa": ("kPa", 0.1, 0),
    "mbar": ("kPa", 0.1, 0),
    "bar": ("kPa", 100, 0),
    "psi": ("kPa", 6.894757, 0),
    "MPa": ("MPa", 1, 0),
    "lx": ("lx", 1, 0),
    "lux": ("lx", 1, 0),
    "ppm": ("[ppm]", 1, 0),
    "ppb": ("[ppm]", 0.001, 0),
    "ug/m3": ("ug/m3", 1, 0),
    "µg/m³": ("ug/m3", 1, 0),
    "mg/m3": ("mg/m3", 1, 0),
    "m": ("m", 1, 0),
    "cm": ("m", 0.01, 0),
    "mm": ("m", 0.001, 0),
    "m/s": ("m/s", 1, 0),
    "km/h": ("km/h", 1, 0),
    "L/s": ("L/s", 1, 0),
    "L/min": ("L/s", 1 / 60, 0),
    "m3/h": ("L/s", 1 / 3.6, 0),
    "kg": ("kg", 1, 0),
    "dBm": ("dB[mW]", 1, 0),
    "bpm": ("/min", 1, 0),
    "/min": ("/min", 1, 0),
    "s": ("s", 1, 0),
}

Scalar = str | float | bool


class Value(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A measurement: `at` a place, as `metric`. Its unit is the metric's own, `unit`, or what stands at `unit_at`;
    `factor` and `offset` are applied before (raw numbers of a device)."""

    at: str
    metric: str
    unit: str = ""
    unit_at: str = ""
    factor: float = 1
    offset: float = 0
    component: str = ""


class Condition(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An alarm: raised and cleared by what stands `at` a place: one of the words, or a number above or below a limit.
    Words are compared without upper and lower case. What is in neither list says nothing."""

    at: str
    kind: str
    raised: tuple[Scalar, ...] = ()
    cleared: tuple[Scalar, ...] = ()
    above: float | None = None
    below: float | None = None
    component: str = ""
    description_at: str = ""


class State(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that is told when it changes. `opened`, `closed`: words of a door; else a `state` event."""

    at: str
    name: str
    opened: tuple[Scalar, ...] = ()
    closed: tuple[Scalar, ...] = ()


class Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one shape of message is read.

    `channel`: MQTT filter (with + and #) or HTTP method and path that it is for; "" for all. `each`: place of a list
    whose entries are readings; "" when the message is one (a list at its top is read entry by entry). The device's id
    stands at `device`, is a level of the channel (`device_level`, from 1), or is always `device_is`.
    `time_format`: iso, s, ms, or a pattern such as "%d.%m.%Y %H:%M:%S"; times without a zone are of `time_zone`.
    `when`: places and the word that must stand there for the table to be meant.
    """

    channel: str = ""
    format: str = "json"
    each: str = ""
    device: str = ""
    device_level: int = 0
    device_is: str = ""
    time: str = ""
    time_format: str = "iso"
    time_zone: str = "UTC"
    longitude: str = ""
    latitude: str = ""
    level: str = ""
    when: dict[str, Scalar] = {}
    values: tuple[Value, ...] = ()
    alarms: tuple[Condition, ...] = ()
    states: tuple[State, ...] = ()
    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"
    decimal_comma: bool = False  # quirk: 23,5 is 23.5


def check(tables: tuple[Table, ...]) -> None:
    """Raises ValueError with what is wrong and where."""
    if not 0 < len(tables) <= TABLES_MAX:
        raise ValueError(f"tables: {len(tables)} of them; expected 1 to {TABLES_MAX}")
    for number, table in enumerate(tables, start=1):
        problem = _problem(table)
        if problem:
            raise ValueError(f"table {number}: {problem}")


def _problem(table: Table) -> str:
    """What is wrong with a table; "" for nothing."""
    named = [name for name in ("device", "device_level", "device_is") if getattr(table, name)]
    if len(named) != 1 or table.device_level < 0:
        return "exactly one of device, device_level and device_is says whose the reading is"
    if table.format not in ("json", "csv"):
        return f"format: {table.format!r} is neither json nor csv"
    if table.encoding not in ENCODINGS:
        return f"encoding: {table.encoding!r} is none of {', '.join(ENCODINGS)}"
    if table.format == "csv" and (len(table.delimiter) != 1 or table.delimiter in '"\r\n'):
        return f"delimiter: {table.delimiter!r} is not one character"
    if table.time_format not in ("iso", "s", "ms") and "%" not in table.time_format:
        return f"time_format: {table.time_format!r} is none of iso, s, ms, and no pattern with %"
    try:
        LocalClock(table.time_zone)
    except ValueError as error:
        return f"time_zone: {error}"
    if "%" in table.time_format and not _reads(table.time_format):
        return f"time_format: {table.time_format!r} does not tell a whole date and time"
    if bool(table.longitude) != bool(table.latitude):
        return "longitude and latitude are both given or neither"
    if table.level and not table.longitude:
        return "level belongs to a position: give longitude and latitude, too"
    if not all(LEVEL.match(level) for level in table.channel.removesuffix("#").split("/")):
        return f"channel: {table.channel!r} is no filter: + and # stand for whole levels, # at the end only"
    if len(table.values) + len(table.alarms) + len(table.states) > ROWS_MAX:
        return f"more than {ROWS_MAX} rows"
    rows = [f"values {number}: {_value_problem(row)}" for number, row in enumerate(table.values, 1)]
    rows += [f"alarms {number}: {_alarm_problem(row)}" for number, row in enumerate(table.alarms, 1)]
    rows += [f"states {number}: {_state_problem(row)}" for number, row in enumerate(table.states, 1)]
    return next((row for row in rows if not row.endswith(": ")), "")


def _reads(pattern: str) -> bool:
    """Whether a pattern reads what it writes."""
    sample = datetime(2026, 11, 24, 12, 29, tzinfo=UTC)
    try:
        return read_time(sample.strftime(pattern), pattern, "UTC") == sample
    except ValueError:
        return False


def _value_problem(row: Value) -> str:
    if not row.at:
        return "at is empty"
    if row.metric not in METRICS:
        return f"metric: {row.metric!r} is none of the dictionary's (docs/dictionary.md)"
    if row.unit and row.unit_at:
        return "unit and unit_at: one of them"
    if row.unit and row.unit not in UNITS:
        return f"unit: {row.unit!r} is none of {', '.join(UNITS)}"
    if row.unit and UNITS[row.unit][0] != METRICS[row.metric].unit:
        return f"unit: {row.unit} is no unit of {row.metric}, which is in {METRICS[row.metric].unit}"
    return ""


def _alarm_problem(row: Condition) -> str:
    limits = row.above is not None or row.below is not None
    if not row.at:
        return "at is empty"
    if row.kind not in ALARMS:
        return f"kind: {row.kind!r} is none of the dictionary's (docs/dictionary.md)"
    if bool(row.raised) == limits:
        return "either raised (words) or above, below (limits) says when it is raised"
    if limits and row.cleared:
        return "cleared goes with raised; a limit clears by itself"
    both = [word for word in row.raised if any(same(word, other) for other in row.cleared)]
    return f"{both[0]!r} is in raised and in cleared" if both else ""


def _state_problem(row: State) -> str:
    if not row.at or not row.name:
        return "at and name are both needed"
    return "opened and closed are both given or neither" if bool(row.opened) != bool(row.closed) else ""


# --- reading --------------------------------------------------------------------------------------


def read_time(text: str, format_: str, time_zone: str) -> datetime:
    """Aware UTC of ISO 8601 (`iso`) or of a pattern; a zone in the text goes before `time_zone`.

    Raises ValueError or OverflowError.
    """
    zone = ZoneInfo(time_zone)
    if format_ == "iso":
        shown = datetime.fromisoformat(text.strip())
        return (shown if shown.tzinfo else shown.replace(tzinfo=zone)).astimezone(UTC)
    if "%z" in format_:
        return datetime.strptime(text.strip(), format_).astimezone(UTC)
    return datetime.strptime(text.strip(), format_).replace(tzinfo=zone).astimezone(UTC)


def steps(path: str) -> list[str]:
    return [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", path)]


def look(reading: Any, path: str) -> Any:
    """What stands at a place of JSON; None for nothing."""
    for step in steps(path):
        if isinstance(reading, dict):
            reading = reading.get(step)
        elif isinstance(reading, list) and step.isascii() and step.isdigit() and len(step) < 6:
            reading = reading[int(step)] if int(step) < len(reading) else None
        else:
            return None
    return reading


def same(one: Any, other: Any) -> bool:
    """Whether a value is a word of the table. A CSV knows text only: 1 is "1", true is "true"."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other or _text(one) == _text(other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return _text(one) == _text(other)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).strip().casefold()


def means(filter_: str, channel: str) -> bool:
    """Whether an MQTT filter takes a channel; "" takes all."""
    if not filter_:
        return True
    wanted, given = filter_.split("/"), channel.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(one in ("+", other) for one, other in zip(wanted, given, strict=True))
