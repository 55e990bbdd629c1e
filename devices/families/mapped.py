"""Any JSON or CSV, over MQTT, HTTP or from a file, read by a table of the installer's. The table: mapped_table.py.

- The first table whose channel and `when` fit a message is the one that reads it. None: a rejection.
- Numbers may be written as text ("23.5"). What is no number, out of its metric's range, or in a unit that nobody knows
  says nothing. A condition that stands in neither list says nothing.
- Alarms are told each time they are raised, cleared once; states when they change.
- Times: as the table says; without one, the time of receiving. With one, the same reading twice has one frame_id.
- Positions are WGS-84; 0/0 is none.
- There is no authentication here: the HTTP link checks signatures and secret paths, the broker who may publish.
- Liveness: an hour; what reports less often wants a rule of the site's.
"""

import csv
import re
from collections.abc import Container, Iterator
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from msgspec import Struct

from devices.conditions import Conditions, frame_id
from devices.dictionary import METRICS, in_range
from devices.families import mapped_table
from devices.families.mapped_table import UNITS, Condition, Table, Value, look, same
from devices.family import Example, Message, MessageFamily
from devices.json_text import clean, read_json
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
    LEVEL_MAX,
    LEVEL_MIN,
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Position,
    Result,
    Telemetry,
    digest,
    rejected,
)

MESSAGE_BYTES_MAX = 1_000_000
READINGS_MAX = 2_000
ID_CHARS_MAX = 100
WORD_CHARS_MAX = 200
NUMBER = re.compile(r"\s*[+-]?(\d{1,300}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)
EPOCHS = {"s": 1, "ms": 1000}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`tables`: see mapped_table.py. `any_time`: impossible times are flagged, but kept (recordings, `gridward
    decode`)."""

    tables: tuple[Table, ...] = ()
    any_time: bool = False

    def __post_init__(self) -> None:
        mapped_table.check(self.tables)


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._conditions = Conditions()

    def to_send(self) -> list[Message]:
        return []

    def receive(self, message: Message, now: datetime) -> list[Result]:
        found: list[Result] = []
        readable = False
        for table in self._settings.tables:
            if not mapped_table.means(table.channel, message.channel):
                continue
            readings = [one for one in _readings(table, message.data) if _meant(table, one)]
            readable = readable or bool(readings)
            for reading in readings:
                found.extend(self._reading(table, reading, message, now))
            if readings:
                break
        return found if readable else [rejected("no table reads this message", message.data)]

    def _reading(self, table: Table, reading: Any, message: Message, now: datetime) -> Iterator[Result]:
        native_id = _device(table, reading, message.channel)
        if not native_id:
            yield rejected("device id missing", message.data)
            return
        device = DeviceId(f"mapped:{native_id}")
        if native_id not in self._enrolled:
            yield rejected("not enrolled", message.data, device)
            return
        claimed = _time(table, _get(table, reading, table.time)) if table.time else now
        at, flags = observed(claimed, now, self._settings.any_time)
        named = bool(table.time and claimed)
        doubt = hour_of_doubt(claimed, now)
        name = digest(native_id.encode(), message.channel.encode(), repr(reading).encode(), doubt) if named else ""
        for body in self._bodies(table, reading, native_id):
            yield Observation(
                device=device,
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=frame_id(name, body),
                flags=flags,
            )

    def _bodies(self, table: Table, reading: Any, native_id: str) -> Iterator[Body]:
        """Alarms first: they are what the siren waits for."""
        alarms: dict[tuple[str, str], bool] = {}
        texts: dict[tuple[str, str], str] = {}
        for row in table.alarms:
            raised = _is_raised(row, _get(table, reading, row.at), table.decimal_comma)
            key = (row.component, row.kind)
            if raised is not None:
                alarms[key] = raised or alarms.get(key, False)
            said = _get(table, reading, row.description_at) if row.description_at else None
            if raised and isinstance(said, str | int | float):
                texts[key] = clean(str(said))
        for alarm in self._conditions.alarms(native_id, alarms):
            text = texts.get((alarm.component, alarm.kind), "")
            yield Alarm(kind=alarm.kind, raised=alarm.raised, component=alarm.component, description=text)
        yield from self._states(table, reading, native_id)
        place = _place(table, reading)
        if place:
            yield place
        values: dict[str, dict[str, float]] = {}
        for value_row in table.values:
            value = _value(table, reading, value_row)
            if value is not None:
                values.setdefault(value_row.component, {})[value_row.metric] = value
        yield from (Telemetry(found, component) for component, found in values.items())
        if not values and not place:
            yield Telemetry({})

    def _states(self, table: Table, reading: Any, native_id: str) -> Iterator[Event]:
        for row in table.states:
            value = _get(table, reading, row.at)
            if value is None or isinstance(value, dict | list):
                continue
            word = clean(str(value).lower() if isinstance(value, bool) else str(value), WORD_CHARS_MAX)
            kind = "state"
            if row.opened:
                opened, closed = (any(same(value, one) for one in words) for words in (row.opened, row.closed))
                if opened == closed:
                    continue
                kind = "door_opened" if opened else "door_closed"
            if self._conditions.changed(native_id, f"state {row.name}", f"{kind} {word}"):
                attributes = {row.name: word} if kind == "state" else {}
                yield Event(kind=kind, component="" if kind == "state" else row.name, attributes=attributes)


# --- where things are -----------------------------------------------------------------------------


def _readings(table: Table, data: bytes) -> list[Any]:
    """The entries of a message: objects of JSON, rows of CSV by column name. Nothing when it is neither."""
    if table.format == "csv":
        return _rows(table, data)
    is_list = data.lstrip().startswith(b"[")
    whole: Any = read_json(data, list[Any]) if is_list else read_json(data, dict[str, Any])
    entries = look(whole, table.each) if table.each else whole
    listed = entries if isinstance(entries, list) else [entries]
    return [entry for entry in listed[:READINGS_MAX] if isinstance(entry, dict)]


def _rows(table: Table, data: bytes) -> list[Any]:
    lines = data.decode(table.encoding, "replace").removeprefix("\ufeff").replace("\0", "").splitlines()
    try:
        rows = [row for row in csv.reader(lines[: READINGS_MAX + 1], delimiter=table.delimiter) if row]
    except csv.Error:
        return []
    if not rows:
        return []
    names = [name.strip() for name in rows[0]] if table.header else [str(number + 1) for number in range(len(rows[0]))]
    body = rows[1:] if table.header else rows
    return [dict(zip(names, row, strict=False)) for row in body]


def _get(table: Table, reading: Any, place: str) -> Any:
    """Columns have no paths."""
    return reading.get(place) if table.format == "csv" else look(reading, place)


def _meant(table: Table, reading: Any) -> bool:
    return all(same(_get(table, reading, place), word) for place, word in table.when.items())


def _device(table: Table, reading: Any, channel: str) -> str:
    """The native id; "" when there is none, or none that could be one."""
    if table.device_is:
        return table.device_is
    if table.device_level:
        levels = channel.split("/")
        found: Any = levels[table.device_level - 1] if table.device_level <= len(levels) else ""
    else:
        found = _get(table, reading, table.device)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    text = str(found).strip()
    return text if text.isprintable() and len(text) <= ID_CHARS_MAX else ""


def _time(table: Table, value: Any) -> datetime | None:
    """Aware UTC; None for what is no time in the table's format."""
    try:
        if table.time_format in EPOCHS:
            seconds = _number(value, table.decimal_comma)
            return None if seconds is None else datetime.fromtimestamp(seconds / EPOCHS[table.time_format], UTC)
        return mapped_table.read_time(value, table.time_format, table.time_zone) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _number(value: Any, decimal_comma: bool) -> float | None:
    if isinstance(value, str):
        text = value.replace(",", ".") if decimal_comma else value
        value = float(text) if NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if isfinite(value) else None
    except OverflowError:
        return None


def _value(table: Table, reading: Any, row: Value) -> float | None:
    raw = _number(_get(table, reading, row.at), table.decimal_comma)
    if raw is None:
        return None
    value = raw * row.factor + row.offset
    unit = _get(table, reading, row.unit_at) if row.unit_at else row.unit
    if unit or row.unit_at:
        known, factor, offset = UNITS.get(unit if isinstance(unit, str) else "", ("", 1, 0))
        if known != METRICS[row.metric].unit:
            return None
        value = value * factor + offset
    return value if in_range(row.metric, value) else None


def _is_raised(row: Condition, value: Any, decimal_comma: bool) -> bool | None:
    """None when the value says neither."""
    if row.raised:
        if any(same(value, word) for word in row.raised):
            return True
        return False if any(same(value, word) for word in row.cleared) else None
    number = _number(value, decimal_comma)
    if number is None:
        return None
    over = row.above is not None and number > row.above
    return over or (row.below is not None and number < row.below)


def _place(table: Table, reading: Any) -> Position | None:
    """0/0 is no place."""
    if not table.longitude:
        return None
    longitude, latitude = (
        _number(_get(table, reading, place), table.decimal_comma) for place in (table.longitude, table.latitude)
    )
    if longitude is None or latitude is None or not (longitude or latitude):
        return None
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        return None
    return Position(longitude=longitude, latitude=latitude, level=_level(table, reading))


def _level(table: Table, reading: Any) -> int | None:
    """A whole number of floors that a building may have."""
    found = _number(_get(table, reading, table.level), table.decimal_comma) if table.level else None
    return int(found) if found is not None and found == int(found) and LEVEL_MIN <= found <= LEVEL_MAX else None


_EXAMPLE_TABLE = {
    "each": "readings",
    "device": "id",
    "time": "at",
    "values": [{"at": "t", "metric": "temperature_c", "unit": "degF"}],
    "alarms": [{"at": "smoke", "kind": "smoke", "raised": ["alarm"], "cleared": ["ok"]}],
}

FAMILY = MessageFamily(
    name="mapped",
    title="Any JSON or CSV, by a table of the installer's",
    native_id="what stands at the place that the table names",
    example=Example("17", {"topics": ["detectors/+"]}, {"tables": [_EXAMPLE_TABLE]}),
    links=("mqtt", "http_server", "http_client", "folder"),
    integrity="",
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=3_600,
    settings=Settings,
    open_session=Session,
    kinds_by_settings=True,
)
