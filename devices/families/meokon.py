"""MEOKON wireless terminals: pressure of fire water mains, hydrants and sprinklers over NB-IoT or 4G. Frames:
meokon_wire.py.

What it means
- Each record is Telemetry with its own time: the last is as old as the frame's time says, the others lie `interval`
  before each other. The value of now is the last record's when there is none.
- Battery (not on an external supply) and radio signal are Telemetry of the device.
- Alarm bits say everything about their condition: `supervisory` for a pressure outside its limits (component
  pressure_low, pressure_high, second_low, second_high, third_alarm), `low_battery`, `fault` of the sensor or hardware;
  what is not set is ended, once on a link (see devices.conditions). Values of a type that is not read are not guessed:
  its alarms count, and an `unknown_report` says the type.
- A record that is sent again keeps its frame id, which is made of its time and value.
- Times are UTC from the mobile network; a missing or impossible one is that of receiving, flagged `time_invalid`.

Nothing is answered: the layout of the answer (clock, settings) is not published with the frames' layout. A terminal
that gets none sends its records again with the next report.
"""

from collections.abc import Container
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from devices.conditions import Conditions, frame_id
from devices.dictionary import in_range
from devices.families import meokon_wire as wire
from devices.families.meokon_wire import Report
from devices.family import Example, Family
from devices.framing import Framer
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
    Body,
    DeviceId,
    Event,
    Observation,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

KIND_OF_ALARM = {
    "battery_low": ("low_battery", ""),
    "sensor_fault": ("fault", "sensor"),
    "hardware_fault": ("fault", "hardware"),
}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    any_time: bool = False


class Session:
    """See devices.family.Session."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._any_time = settings.any_time
        self._enrolled = enrolled
        self._framer = Framer(wire.cut, wire.FRAME_BYTES_MAX)
        self._conditions = Conditions()

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        return b""

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._frame(piece, now))
        return found

    def _frame(self, frame: bytes, now: datetime) -> list[Result]:
        report = wire.read_report(frame)
        if report is None:
            return [rejected("report unreadable", frame)]
        device = DeviceId(f"meokon:{report.id}")
        if report.id not in self._enrolled:
            return [rejected("not enrolled", frame, device)]
        claimed = datetime.fromtimestamp(report.epoch, UTC) if report.epoch else None
        at, flags = observed(claimed, now, self._any_time)
        name = digest(frame, hour_of_doubt(claimed, now))
        found: list[Result] = [
            Observation(
                device=device, observed_at=at, received_at=now, body=body, frame_id=frame_id(name, body), flags=flags
            )
            for body in _bodies(report, self._conditions)
        ]
        return [*found, *_records(report, device, at, now, flags)]


def _bodies(report: Report, conditions: Conditions) -> list[Body]:
    """Alarms first: they are what someone waits for."""
    raised = set(report.alarm_names)
    states: dict[tuple[str, str], bool] = {}
    for name in wire.ALARMS:
        kind, component = KIND_OF_ALARM.get(name, ("supervisory", name))
        states[component, kind] = name in raised
    found: list[Body] = [*conditions.alarms(report.id, states)]
    battery = wire.battery_percent(report.battery)
    values = {"signal_dbm": float(report.signal_dbm)} | ({} if battery is None else {"battery_percent": battery})
    found.append(Telemetry({name: value for name, value in values.items() if in_range(name, value)}))
    if report.type not in wire.TYPES:
        found.append(Event(kind="unknown_report", attributes={"type": str(report.type)}))
    return found


def _records(
    report: Report, device: DeviceId, last_at: datetime, now: datetime, flags: tuple[str, ...]
) -> list[Result]:
    if report.type not in wire.TYPES or report.now is None:
        return []
    metric = wire.TYPES[report.type][0]
    raw = report.records or (report.now,)
    found: list[Result] = []
    for number, value in enumerate(raw):
        at = _earlier(last_at, report.interval_s * (len(raw) - 1 - number))
        name = digest(device.encode(), at.isoformat().encode(), value.to_bytes(2, signed=True))
        body = Telemetry({metric: report.value(value)} if in_range(metric, report.value(value)) else {})
        found.append(
            Observation(device=device, observed_at=at, received_at=now, body=body, frame_id=f"{name}.0", flags=flags)
        )
    return found


def _earlier(at: datetime, seconds: int) -> datetime:
    try:
        return at - timedelta(seconds=seconds)
    except OverflowError:
        return at


FAMILY = Family(
    name="meokon",
    title="MEOKON wireless pressure transmitter for fire water",
    native_id="the number on the terminal",
    example=Example("SHMK19060013", {"port": 9010}),
    links=("tcp_server", "udp_server"),
    integrity="CRC-16 of Modbus, start and end mark",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=90_000,
    settings=Settings,
    open_session=Session,
)
