"""Sensors on Modbus: smoke, gas, climate, power, dry contacts. Registers are read by the link; what they mean is a
register map, which the installer names or writes (modbus_maps.py). Frames and numbers: modbus_wire.py.

A message is one read; its channel is "unit/UNIT/TABLE/ADDRESS" (table: holding, input, coil, discrete), its data the
registers, two bytes each, big-endian, or the bits, a byte each. `reads` says what a link has to ask for.

What it means
- Each unit is a device of its own, named by the installer: addresses of units repeat from line to line.
- Metrics are Telemetry, one for each component. Values that say "no sensor" (0x7FFF, 0x8000, 0xFFFF) or lie outside
  the metric's range are left out. A read without any measurement or news is a sign of life.
- Alarms are told when they change, and once when the link is new; a sensor that is asked every second would tell the
  same a thousand times an hour. Fire is ended by people, whatever the sensor says later.
- There is no device time: everything is observed when it is received, and has no frame id.

Maps that are there (addresses count from 0)
- `contacts_4`: discrete inputs 0 to 2 fire, 3 fault. Relays of conventional detectors on a module of dry contacts: the
  safest way to connect them.
- `jxct_th`: holding 0 humidity, 1 temperature. `xy_md02`: input 1 temperature, 2 humidity (also SHT20 modules).
- `jxbs_co`: holding 6 carbon monoxide.
- `pzem_004t`: input 0 voltage, 1 and 2 current, 3 and 4 power.
- `renke_smoke`: holding 3 smoke. Not checked against a manual: try it with smoke before relying on it.

A map of one's own, contacts that open in alarm: `maps = {hall = [{table = "discrete", address = 0, alarm = "smoke",
inverted = true, component = "north"}, {table = "discrete", address = 1, alarm = "fault", inverted = true}]}`.

Nothing is ever written: many cheap sensors change address or speed on a write. There is no authentication and no
integrity but the line's CRC, which the link checks: keep the line or port 502 apart.
"""

import re
from collections.abc import Container, Iterator, Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from devices.dictionary import in_range
from devices.families import modbus_wire as wire
from devices.families.modbus_maps import BIT_TABLES, MAPS, Point, Points
from devices.family import Example, Message, MessageFamily
from devices.held import Held
from devices.observation import Alarm, Body, DeviceId, Observation, Result, Telemetry, rejected

CHANNEL = re.compile(r"unit/(?P<unit>\d{1,3})/(?P<table>holding|input|coil|discrete)/(?P<address>\d{1,5})", re.ASCII)
UNITS_MAX = 247
HELD_MAX = 20_000
GAP_MAX = 8  # registers that are read for nothing, to save a request
DATA_BYTES_MAX = wire.BITS_MAX


class Unit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`device`: native id; `map`: one of those above or of the settings' `maps`; `base`: added to all addresses, -1 for
    maps of manuals that count from 1, or where a second sensor of the unit begins."""

    unit: Annotated[int, Meta(ge=1, le=UNITS_MAX)]
    device: Annotated[str, Meta(pattern=r"^[!-~]{1,64}$")]
    map: str
    base: Annotated[int, Meta(ge=-1, le=65_000)] = 0


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`units`: who is on the line and which map its registers have. `maps`: maps of the installer's own, by name.
    `any_time`: is there for all families; Modbus has no times."""

    units: Annotated[tuple[Unit, ...], Meta(max_length=UNITS_MAX)] = ()
    maps: Annotated[dict[str, Points], Meta(max_length=100)] = {}
    any_time: bool = False

    def __post_init__(self) -> None:
        for unit in self.units:
            points = self.points(unit)
            if any(not 0 <= point.address + unit.base <= 65_535 - point.words for point in points):
                raise ValueError(f"units: an address of {unit.device} is out of range")
        devices = [unit.device for unit in self.units]
        if len(set(devices)) < len(devices):
            raise ValueError("units: a device is named twice")

    def points(self, unit: Unit) -> tuple[Point, ...]:
        points = self.maps.get(unit.map) or MAPS.get(unit.map)
        if points is None:
            raise ValueError(f"units: no map {unit.map!r}; expected one of {', '.join(sorted({*MAPS, *self.maps}))}")
        return points


class Read(Struct, frozen=True):
    """What a link asks a unit for, and the channel of what comes."""

    unit: int
    table: str
    address: int
    count: int

    @property
    def channel(self) -> str:
        return f"unit/{self.unit}/{self.table}/{self.address}"


def reads(settings: Settings) -> list[Read]:
    """Alarms' registers first; neighbours in one read."""
    found: list[Read] = []
    for unit in settings.units:
        points = settings.points(unit)
        alarming = {point.table for point in points if point.alarm}
        for table in sorted({point.table for point in points}, key=lambda table: (table not in alarming, table)):
            spans = sorted((point.address + unit.base, point.words) for point in points if point.table == table)
            found.extend(Read(unit.unit, table, start, count) for start, count in _joined(spans, table in BIT_TABLES))
    return found


def _joined(spans: list[tuple[int, int]], bits: bool) -> Iterator[tuple[int, int]]:
    """(start, count) of reads that cover the spans (start, length), which are sorted."""
    most = wire.BITS_MAX if bits else wire.REGISTERS_MAX
    start, end = spans[0][0], sum(spans[0])
    for at, length in spans[1:]:
        if at - end > GAP_MAX or at + length - start > most:
            yield start, end - start
            start = at
        end = max(end, at + length)
    yield start, end - start


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._held: Held[tuple[str, str, str]] = Held(HELD_MAX)  # device, component, kind

    def receive(self, message: Message, now: datetime) -> list[Result]:
        found = CHANNEL.fullmatch(message.channel)
        if found is None:
            return [rejected("no register read", message.data)]
        table, start = found["table"], int(found["address"])
        values = _values(table, message.data)
        if values is None:
            return [rejected("not what a read holds", message.data)]
        units = [unit for unit in self._settings.units if unit.unit == int(found["unit"])]
        if not units:
            return [rejected("no such unit in the settings", message.data)]
        results: list[Result] = []
        for unit in units:
            results.extend(self._unit(unit, table, dict(enumerate(values, start)), message, now))
        return results

    def to_send(self) -> list[Message]:
        return []

    def _unit(self, unit: Unit, table: str, held: Mapping[int, int], message: Message, now: datetime) -> list[Result]:
        points = [point for point in self._settings.points(unit) if point.table == table]
        covered = [point for point in points if all(at in held for at in _addresses(unit, point))]
        if not covered:
            return []
        device = DeviceId(f"modbus:{unit.device}")
        if unit.device not in self._enrolled:
            return [rejected("not enrolled", message.data, device)]
        bodies = [*self._alarms(unit, covered, held, now), *_measured(unit, covered, held)]
        return [
            Observation(device=device, observed_at=now, received_at=now, body=body)
            for body in bodies or [Telemetry({})]
        ]

    def _alarms(self, unit: Unit, points: list[Point], held: Mapping[int, int], now: datetime) -> Iterator[Body]:
        """A kind of a component that several points tell is raised while one of them says so."""
        states: dict[tuple[str, str], bool] = {}
        for point in points:
            if point.alarm:
                key = (point.component, point.alarm)
                states[key] = _raised(unit, point, held) or states.get(key, False)
        for (component, kind), raised in sorted(states.items(), key=lambda item: not item[1]):
            told = self._held.begin if raised else self._held.end
            if told((unit.device, component, kind), now):
                yield Alarm(kind=kind, raised=raised, component=component)


def _values(table: str, data: bytes) -> list[int] | None:
    """The registers or bits of a read; None when they are none, or more than one read can hold."""
    if table in BIT_TABLES:
        good = 0 < len(data) <= wire.BITS_MAX and set(data) <= {0, 1}
        return list(data) if good else None
    if not data or len(data) % 2 or len(data) > 2 * wire.REGISTERS_MAX:
        return None
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def _addresses(unit: Unit, point: Point) -> range:
    start = point.address + unit.base
    return range(start, start + point.words)


def _raised(unit: Unit, point: Point, held: Mapping[int, int]) -> bool:
    registers = [held[at] for at in _addresses(unit, point)]
    if point.bit is not None:
        found = bool(registers[0] >> point.bit & 1)
    elif point.table in BIT_TABLES:
        found = bool(registers[0])
    else:
        found = wire.read_value(registers, point.type, point.order) in point.raised_at
    return found != point.inverted


def _measured(unit: Unit, points: list[Point], held: Mapping[int, int]) -> list[Body]:
    """One for each component, in the order of the map."""
    values: dict[str, dict[str, float]] = {}
    for point in points:
        value = measurement(point, [held[at] for at in _addresses(unit, point)]) if point.metric else None
        if value is not None:
            values.setdefault(point.component, {})[point.metric] = value
    return [Telemetry(measured, component) for component, measured in values.items()]


def measurement(point: Point, registers: list[int]) -> float | None:
    """In the metric's unit; None when nothing was measured."""
    if point.words == 1 and registers[0] in point.missing:
        return None
    raw = wire.read_value(registers, point.type, point.order)
    if raw is None:
        return None
    value = round(raw * point.scale + point.offset, 9)
    return value if in_range(point.metric, value) else None


FAMILY = MessageFamily(
    name="modbus",
    title="Sensors on Modbus, by register map",
    native_id="the name that `units` gives the unit",
    example=Example("hall-a", settings={"units": [{"unit": 2, "device": "hall-a", "map": "contacts_4"}]}),
    links=("modbus",),
    integrity="",  # that of the line, which the link checks
    message_bytes_max=DATA_BYTES_MAX,
    silence_s_max=300,
    settings=Settings,
    open_session=Session,
    kinds_by_settings=True,
    lacks=lambda settings, device: "" if device in {unit.device for unit in settings.units} else f"units: {device}",
)
