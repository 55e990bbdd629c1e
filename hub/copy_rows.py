"""Observations as PostgreSQL's binary COPY stream and as arrays for `unnest`, packed by `struct`. Pure.

    stream = header(19) row… trailer(2)      header = "PGCOPY\\n\\xff\\r\\n\\0" flags(4) extension length(4)
    row    = field count(int16) field…       field  = byte length(int32, -1 = NULL) value
    timestamptz = microseconds since 2000-01-01 UTC (int64)    jsonb = 0x01 text
    text[]      = dimensions flags element-oid [size lower-bound] field…

The order of the fields is the order of the columns in the COPY queries of queries.sql.
Why by hand: psycopg's own row writer reaches 0.6× of psql, this more than 1×; its arrays cost more than the upsert that
takes them. Most of a routine row is strings that repeat, so their fields are packed once and remembered.

Text from the wire is made fit here: names lose blanks and controls and are cut at NAME_CHARS_MAX (they stand in
indexes), free text loses NUL, which PostgreSQL cannot hold.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct as Packer
from struct import pack

import msgspec

from devices.observation import LEVEL_MAX, LEVEL_MIN, Observation, Position, Telemetry

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NAME_CHARS_MAX = 150  # four of them, at four bytes a letter, fit into one entry of an index
AHEAD_MAX = timedelta(minutes=1)
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NEVER = -(2**63)
SERIES_KEPT_MAX = 50_000  # packed names remembered from batch to batch
MICROS_MIN, MICROS_MAX = -63_000_000_000_000_000, 252_000_000_000_000_000  # years 3 and 9985: Python reads them back
TEXT_OID, TIMESTAMPTZ_OID, FLOAT4_OID, FLOAT8_OID = 25, 1184, 700, 701
REAL_MAX = 3.4e38

_NULL = pack("!i", -1)
_TELEMETRY_REST = Packer("!iqiqid").pack  # observed_at, received_at, value
_TIMES = Packer("!iqiq")
_LEVEL = Packer("!ih").pack
_PLACE = Packer("!iqiqidid")  # observed_at, received_at, longitude, latitude
_REAL = Packer("!if")
_INT64 = Packer("!iq")
_DOUBLE = Packer("!id")


class Placed(msgspec.Struct, frozen=True):
    """A position as latest_positions holds it."""

    device: str
    observed_at: datetime
    received_at: datetime
    longitude: float
    latitude: float
    accuracy_m: float | None
    speed_kmh: float | None
    course_deg: float | None
    fix: str
    zone: str | None

    @property
    def at(self) -> datetime:
        """By which it is newer than others."""
        return min(self.observed_at, self.received_at)

    def view(self) -> dict[str, object]:
        """As the API and the live stream show it."""
        view = msgspec.structs.asdict(self)
        return {
            key: value.isoformat().replace("+00:00", "Z") if key.endswith("_at") else value
            for key, value in view.items()
        }


class Latest(msgspec.Struct):
    """The newest of what a batch says, by series: what the latest_ tables and devices.last_seen need.

    A device whose clock is ahead reports what is later than its reception. That counts as of the reception: else it
    would stay the newest for as long as the clock was ahead, whatever is reported once it is right.
    """

    values: dict[tuple[str, str, str], tuple[int, float]] = {}  # by device, metric, component: micros, value
    positions: dict[str, Placed] = {}
    seen: dict[str, datetime] = {}


class Series(msgspec.Struct):
    """Rows of both time series, packed and joined, and what is neither."""

    telemetry: bytes = b""
    telemetry_rows: int = 0
    positions: bytes = b""
    events: list[tuple[int, Observation]] = []
    latest: Latest = msgspec.field(default_factory=Latest)


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `events`, ready to pack."""

    gateway: str
    epoch: str
    seq: int
    device: str
    kind: str
    raised: bool | None  # None: an event, not an alarm
    priority: int
    component: str
    description: str
    attributes: dict[str, str]
    zone: str
    observed_at: datetime
    received_at: datetime
    committed_at: datetime
    late: bool
    flags: tuple[str, ...]
    incident: int | None = None

    @property
    def at(self) -> datetime:
        """By which a raise or clear is newer than others: see Latest. Up to AHEAD_MAX a clock is believed, so that a
        raise and its clear that were received in one piece keep their order.
        """
        return self.received_at + min(self.observed_at - self.received_at, AHEAD_MAX)  # in this order nothing overflows


class TextArray(bytes):
    """A text[] parameter, packed."""


class TimeArray(bytes):
    """A timestamptz[] parameter, packed."""


class DoubleArray(bytes):
    """A float8[] parameter, packed."""


class RealArray(bytes):
    """A real[] parameter, packed."""


def text_array(texts: Sequence[str | None]) -> TextArray:
    return TextArray(_array(TEXT_OID, [_NULL if text is None else _field(text) for text in texts]))


def time_array(times: Sequence[int]) -> TimeArray:
    """Of `micros`."""
    return TimeArray(_array(TIMESTAMPTZ_OID, [_INT64.pack(8, at) for at in times]))


def double_array(values: Sequence[float]) -> DoubleArray:
    return DoubleArray(_array(FLOAT8_OID, [_DOUBLE.pack(8, value) for value in values]))


def real_array(values: Sequence[float | None]) -> RealArray:
    return RealArray(_array(FLOAT4_OID, [_real(value) for value in values]))


def _array(oid: int, fields: Sequence[bytes]) -> bytes:
    """One dimension, from 1; flag 1: there may be NULLs."""
    head = pack("!iii", 0, 0, oid) if not fields else pack("!iiiii", 1, 1, oid, len(fields), 1)
    return head + b"".join(fields)


def micros(at: datetime) -> int:
    """Raises TypeError for a time without a zone, OverflowError for one that could not be read back."""
    delta = at - POSTGRES_EPOCH
    found = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    if not MICROS_MIN < found < MICROS_MAX:
        raise OverflowError("a time that no calendar has")
    return found


def name_of(text: str) -> str:
    """A device, kind, metric or zone as it may stand in an index and between blanks."""
    if len(text) <= NAME_CHARS_MAX and text.isprintable() and " " not in text:
        return text
    return "".join(char if char.isprintable() and not char.isspace() else "_" for char in text[:NAME_CHARS_MAX])


def label_of(text: str) -> str:
    """A component as it may stand in an index: blanks are fine, controls are not."""
    if len(text) <= NAME_CHARS_MAX and text.isprintable():
        return text
    return "".join(char if char.isprintable() else "_" for char in text[:NAME_CHARS_MAX])


def text_of(text: str) -> str:
    return text.replace("\0", "") if "\0" in text else text


def pack_series(rows: Iterable[tuple[int, Observation]]) -> Series:
    """Telemetry and positions of a batch; other bodies wait in `events` for what only the transaction knows.

    This is the hub's hottest loop: what repeats is looked up (a device's names are packed once per batch), and a row is
    one concatenation.
    """
    packed = Series()
    telemetry: list[bytes] = []
    positions: list[bytes] = []
    known: dict[str, _Known] = {}
    for seq, observation in rows:
        body, device = observation.body, observation.device
        received_at = observation.received_at
        held = known.get(device)
        if held is None:
            held = known[device] = _Known(name_of(device), received_at)
        elif held.seen < received_at:
            held.seen = received_at
        if isinstance(body, Telemetry):
            telemetry += held.measured(micros(observation.observed_at), micros(received_at), body)
        elif isinstance(body, Position):
            observed = micros(observation.observed_at)
            positions.append(_position(held, observed, observation, body))
            at = min(observed, micros(received_at))
            if held.newest <= at:
                held.newest, held.position = at, (observation, body)
        else:
            packed.events.append((seq, observation))
    packed.telemetry, packed.telemetry_rows = b"".join(telemetry), len(telemetry)
    packed.positions = b"".join(positions)
    _take_newest(packed.latest, known.values())
    return packed


def pack_events(rows: Sequence[EventRow]) -> list[bytes]:
    return [_event(row) for row in rows]


class _NewestValue(msgspec.Struct):
    """One series of a batch: field count and names of its rows packed, and its newest value."""

    head: bytes
    names: tuple[str, str, str]
    at: int = NEVER
    value: float = 0.0


@lru_cache(SERIES_KEPT_MAX)
def _series_head(device: str, metric: str, component: str) -> tuple[bytes, tuple[str, str, str]]:
    names = (device, name_of(metric), label_of(component))
    return pack("!h", 6) + b"".join(map(_text, names)), names


@lru_cache(SERIES_KEPT_MAX)
def _position_head(device: str) -> bytes:
    return pack("!h", 12) + _text(device)


@lru_cache(SERIES_KEPT_MAX)
def _name(text: str) -> bytes:
    return _text(name_of(text))


@lru_cache(SERIES_KEPT_MAX)
def _field(text: str) -> bytes:
    return _text(text)


class _Known(msgspec.Struct):
    """What a batch has said of one device so far. `series` by metric, or (metric, component) when there is one."""

    name: str
    seen: datetime
    head: bytes = b""  # of its positions
    series: dict[str | tuple[str, str], _NewestValue] = {}
    newest: int = NEVER
    position: tuple[Observation, Position] | None = None

    def measured(self, observed: int, received: int, body: Telemetry) -> list[bytes]:
        """One row for each value."""
        component = body.component
        at = min(observed, received)
        rows = []
        for metric, value in body.values.items():
            series = self.series.get((metric, component) if component else metric)
            if series is None:
                series = self.add(metric, component)
            rows.append(series.head + _TELEMETRY_REST(8, observed, 8, received, 8, value))
            if series.at <= at:
                series.at, series.value = at, value
        return rows

    def add(self, metric: str, component: str) -> _NewestValue:
        made = _NewestValue(*_series_head(self.name, metric, component))
        self.series[(metric, component) if component else metric] = made
        return made


def _position(held: _Known, observed: int, observation: Observation, body: Position) -> bytes:
    """Checks the zone of both times: `observed` has been."""
    if not held.head:
        held.head = _position_head(held.name)
    reals = (body.altitude_m, body.accuracy_m, body.speed_kmh, body.course_deg)
    zone = observation.zone
    return b"".join(
        (
            held.head,
            _PLACE.pack(8, observed, 8, micros(observation.received_at), 8, body.longitude, 8, body.latitude),
            *[_NULL if value is None else _real(_real_of(value)) for value in reals],
            _name(body.fix),
            _name(zone) if zone else _NULL,
            _NULL if body.level is None else _LEVEL(2, min(max(body.level, LEVEL_MIN), LEVEL_MAX)),
        )
    )


def _take_newest(latest: Latest, known: Iterable[_Known]) -> None:
    """By the names as they are stored: two devices of the wire may have one name there."""
    for held in known:
        latest.seen[held.name] = max(held.seen, latest.seen.get(held.name, held.seen))
        for series in held.series.values():
            before = latest.values.get(series.names)
            if before is None or before[0] <= series.at:
                latest.values[series.names] = (series.at, series.value)
        if held.position is not None:
            place = _placed(held.name, *held.position)
            other = latest.positions.get(held.name)
            if other is None or other.at <= place.at:
                latest.positions[held.name] = place


def _placed(name: str, observation: Observation, body: Position) -> Placed:
    return Placed(
        device=name,
        observed_at=observation.observed_at,
        received_at=observation.received_at,
        longitude=body.longitude,
        latitude=body.latitude,
        accuracy_m=_real_of(body.accuracy_m),
        speed_kmh=_real_of(body.speed_kmh),
        course_deg=_real_of(body.course_deg),
        fix=name_of(body.fix),
        zone=name_of(observation.zone) if observation.zone else None,
    )


def _event(row: EventRow) -> bytes:
    return b"".join(
        (
            b"\x00\x12",  # 18 fields
            _text(row.gateway),
            _text(row.epoch),
            _INT64.pack(8, row.seq),
            _text(row.device),
            _text("event" if row.raised is None else "alarm"),
            _text(row.kind),
            _NULL if row.raised is None else pack("!i?", 1, row.raised),
            pack("!ih", 2, row.priority),
            _text(row.component),
            _text(row.description),
            _jsonb(row.attributes),
            _text(row.zone) if row.zone else _NULL,
            _TIMES.pack(8, micros(row.observed_at), 8, micros(row.received_at)),
            _INT64.pack(8, micros(row.committed_at)),
            pack("!i?", 1, row.late),
            _texts(row.flags),
            _NULL if row.incident is None else _INT64.pack(8, row.incident),
        )
    )


def _text(text: str) -> bytes:
    raw = text_of(text).encode()
    return pack("!i", len(raw)) + raw


def _real_of(value: float | None) -> float | None:
    """What a column of four bytes can hold."""
    return None if value is None or abs(value) > REAL_MAX else value


def _real(value: float | None) -> bytes:
    return _NULL if value is None else _REAL.pack(4, value)


def _jsonb(attributes: dict[str, str]) -> bytes:
    raw = msgspec.json.encode({text_of(key): text_of(value) for key, value in attributes.items()})
    return pack("!iB", len(raw) + 1, 1) + raw


def _texts(words: Sequence[str]) -> bytes:
    array = text_array(words)
    return pack("!i", len(array)) + array
