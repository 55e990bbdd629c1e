"""Anything that speaks SenML (RFC 8428), JSON or CBOR, over MQTT or HTTP. Packs: senml_wire.py.

- Whose record: `urn:dev:…` names the device by itself (RFC 9039), what follows `:`, `/` or `_` is the measurement.
  Else the base name is the device and the record's own name the measurement; with one of them only, the last `/` or `:`
  parts them. A name that nothing parts is a device without measurement names.
- What a measurement is: `names` of the installer, a name that is one of the dictionary, else its unit (UNITS). A unit
  does not tell what was measured where several things have it (ppm, m, %): those need a name.
- Booleans are alarms when their name is an alarm kind or `alarms` says so, else a `state` that is told when it changes.
  SenML has no severity; the kind has it. Text is a state, too; data (vd) and sums are left out.
- `lat` and `lon` of one instant are a position (WGS-84).
- Times: absolute ones are UTC; relative ones count from the time of receiving. A pack with an absolute time has a
  frame_id, since it is the same pack when it comes again.
- The announced update time (`ut`) is not used for supervision; the family's own limit is.
- An invalid pack is rejected whole.

There is no authentication in this format: who may publish is the broker's or the web server's business.
"""

import re
from collections.abc import Container, Iterator
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from devices.conditions import Conditions, frame_id
from devices.dictionary import ALARMS, METRICS, in_range
from devices.families import senml_wire as wire
from devices.families.senml_wire import Record
from devices.family import Example, Message, MessageFamily
from devices.json_text import clean
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
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

MESSAGE_BYTES_MAX = 200_000
URN = re.compile(r"(urn:dev:[a-z]+:[A-Za-z0-9.\-]+)(?:[:/_](.*))?")
SEPARATORS = "/:"

# unit -> metric, factor, offset
UNITS: dict[str, tuple[str, float, float]] = {
    "Cel": ("temperature_c", 1, 0),
    "degC": ("temperature_c", 1, 0),  # not registered, but written
    "K": ("temperature_c", 1, -273.15),
    "%RH": ("humidity_percent", 1, 0),
    "lx": ("illuminance_lx", 1, 0),
    "V": ("voltage_v", 1, 0),
    "mV": ("voltage_v", 0.001, 0),
    "A": ("current_a", 1, 0),
    "mA": ("current_a", 0.001, 0),
    "W": ("power_w", 1, 0),
    "kW": ("power_w", 1000, 0),
    "kWh": ("energy_kwh", 1, 0),
    "Wh": ("energy_kwh", 0.001, 0),
    "Pa": ("pressure_kpa", 0.001, 0),
    "hPa": ("pressure_kpa", 0.1, 0),
    "dBm": ("signal_dbm", 1, 0),
    "%EL": ("battery_percent", 1, 0),
    "beat/min": ("heart_rate_bpm", 1, 0),
    "kg": ("weight_kg", 1, 0),
}
PLACES = {"lat": "latitude", "lon": "longitude"}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`names`: measurement -> metric, in the metric's own unit. `alarms`: boolean measurement -> alarm kind.
    `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    names: dict[str, str] = {}
    alarms: dict[str, str] = {}
    any_time: bool = False

    def __post_init__(self) -> None:
        for place, table, known in (("names", self.names, METRICS), ("alarms", self.alarms, ALARMS)):
            for name, meaning in table.items():
                if meaning not in known:
                    raise ValueError(f"{place}: {name!r} cannot be {meaning!r}; see docs/dictionary.md")


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._conditions = Conditions()

    def to_send(self) -> list[Message]:
        return []

    def receive(self, message: Message, now: datetime) -> list[Result]:
        try:
            records = wire.read(message.data, message.headers.get("content-type", "").lower())
        except wire.Invalid as error:
            return [rejected(f"SenML: {error}", message.data)]
        report = digest(message.data) if any(not record.relative for record in records) else ""
        found: list[Result] = []
        strangers: dict[str, None] = {}
        for (native_id, time), group in _grouped(records).items():
            if native_id not in self._enrolled:
                strangers[native_id] = None
                continue
            claimed = _claimed(time, now)
            at, flags = observed(claimed, now, self._settings.any_time)
            doubt = hour_of_doubt(claimed, now).decode()
            for body in self._bodies(native_id, group):
                found.append(
                    Observation(
                        device=DeviceId(f"senml:{native_id}"),
                        observed_at=at,
                        received_at=now,
                        body=body,
                        frame_id=frame_id(report, body, f"{native_id} {time} {doubt}"),
                        flags=flags,
                    )
                )
        return found + [rejected("not enrolled", message.data, DeviceId(f"senml:{name}")) for name in strangers]

    def _bodies(self, native_id: str, group: list[tuple[str, Record]]) -> Iterator[Body]:
        """What one device says of one instant. Alarms first: they are what the siren waits for."""
        alarms: dict[tuple[str, str], bool] = {}
        for name, record in group:
            kind = self._settings.alarms.get(name) or (name if name in ALARMS else "")
            if record.flag is not None and kind:
                alarms[("", kind)] = record.flag or alarms.get(("", kind), False)
        yield from self._conditions.alarms(native_id, alarms)
        values: dict[str, dict[str, float]] = {}
        place: dict[str, float] = {}
        for name, record in group:
            if record.value is not None and record.unit in PLACES:
                place[PLACES[record.unit]] = record.value
            elif record.value is not None:
                self._measured(name, record.unit, record.value, values)
            elif record.text is not None or (record.flag is not None and not _is_alarm(self._settings, name)):
                yield from self._state(native_id, name, record)
        if _is_place(place):
            yield Position(longitude=place["longitude"], latitude=place["latitude"])
        yield from (Telemetry(found, component) for component, found in values.items())
        if not values and not place:
            yield Telemetry({})

    def _measured(self, name: str, unit: str, value: float, values: dict[str, dict[str, float]]) -> None:
        """A name of the installer's or the dictionary's is the device's own; else the name is the component."""
        metric = self._settings.names.get(name) or (name if name in METRICS else "")
        component, factor, offset = "", 1.0, 0.0
        if not metric:
            metric, factor, offset = UNITS.get(unit, ("", 1, 0))
            component = clean(name)
        if metric and in_range(metric, value * factor + offset):
            values.setdefault(component, {})[metric] = value * factor + offset

    def _state(self, native_id: str, name: str, record: Record) -> Iterator[Event]:
        word = clean(record.text) if record.text is not None else ("on" if record.flag else "off")
        if self._conditions.changed(native_id, f"state {name}", word):
            yield Event(kind="state", component=clean(name), attributes={"value": word})


def _claimed(time: float, now: datetime) -> datetime | None:
    """Aware UTC of a record's time; None for what no calendar has."""
    try:
        return now + timedelta(seconds=time) if time < wire.ABSOLUTE_FROM else datetime.fromtimestamp(time, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _is_alarm(settings: Settings, name: str) -> bool:
    return name in settings.alarms or name in ALARMS


def _is_place(place: dict[str, float]) -> bool:
    """Both, in their ranges, and not 0/0."""
    return (
        len(place) == len(PLACES)
        and abs(place["latitude"]) <= 90
        and abs(place["longitude"]) <= 180
        and any(place.values())
    )


def _grouped(records: list[Record]) -> dict[tuple[str, float], list[tuple[str, Record]]]:
    """(measurement, record) by device and time, in the order in which they stand in the pack."""
    found: dict[tuple[str, float], list[tuple[str, Record]]] = {}
    for record in records:
        device, name = parted(record.name, record.base)
        found.setdefault((device, record.time), []).append((name, record))
    return found


def parted(name: str, base: str) -> tuple[str, str]:
    """Device and measurement of a resolved name."""
    urn = URN.fullmatch(name)
    if urn:
        return urn[1], urn[2] or ""
    own = name[len(base) :]
    device = base.rstrip("-:./_")
    if device and own:
        return device, own.lstrip("-:./_") or own
    at = max(name.rfind(separator) for separator in SEPARATORS)
    return (name[:at], name[at + 1 :]) if 0 < at < len(name) - 1 else (name, "")


FAMILY = MessageFamily(
    name="senml",
    title="SenML, JSON and CBOR",
    native_id="the base name, or the name up to its last `/` or `:`",
    example=Example("urn:dev:mac:0024befffe804ff1", {"topics": ["senml/#"]}),
    links=("mqtt", "http_server"),
    integrity="",
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=3_600,
    settings=Settings,
    open_session=Session,
    kinds_by_settings=True,
)
