"""GB/T 26875.3-2011: the user information transmission device of a fire control room, over TCP. We are the monitoring
centre's side. Frames and objects: gbt26875_wire.py.

What is answered (clause 7.2): every report (command 2, the empty heartbeat too) is confirmed with the same serial
number, addresses swapped and our clock, which is also the answer to time sync and link check; a report with a wrong
checksum or unreadable objects is denied. A device whose clock is off is sent the time (type 90) with the answer to a
report, SYNC_TRIES_MAX times until it is right. What it can be asked, and how it answers:
gbt26875_commands.py.

What it means
- Component state: an Alarm of the component, its kind from the component's type (smoke detector: `smoke`), and `fault`,
  `shielded`, `supervisory`, `power_fault` as the bits say. Bit 0 ("normal") is not looked at: panels send 2 and 3.
- A state report says everything about its component: what was raised and is not set any more is cleared. A component
  not heard before on this link may have anything raised, so its first report clears whatever it does not raise.
- Analog values are Telemetry of the component; operation records, versions and texts are Events; a heartbeat is
  Telemetry without values. The operation "manual alarm" is a person who reports a fire: also a `manual_call_point`
  Alarm, which the operation "alarm cleared" clears.
- A component is named system-address-0xaddress, "1-3-0x00000012".
- Times are the device's wall clock. A missing or impossible one (see devices.local_time) is replaced by the time of
  receiving and flagged `time_invalid`.
"""

from collections.abc import Container
from datetime import datetime

from msgspec import Struct

from devices.asked import Asked, Waiting, until
from devices.dictionary import in_range
from devices.families import gbt26875_commands as commands
from devices.families import gbt26875_wire as wire
from devices.families.gbt26875_wire import Fields, Frame, Unit
from devices.family import CommandRefused, DeviceCommand, Example, Family
from devices.framing import Framer
from devices.local_time import LocalClock, hour_of_doubt, observed
from devices.observation import (
    Alarm,
    Body,
    CommandAnswer,
    DeviceId,
    Event,
    Observation,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

CLOCK_SKEW_S_MAX = 30
SYNC_TRIES_MAX, SYNC_PAUSE_S = 3, 10
DEVICES_MAX = 1_000  # of one link
COMPONENTS_MAX = 20_000  # of one link, remembered for clearing; beyond it the oldest counts as not heard
HEX_CHARS_MAX = 400

SMOKE, HEAT, GAS, CALL_POINT = "smoke", "heat", "gas", "manual_call_point"
# Component type (table 6 of the standard) -> what its fire alarm bit means. Any other: "fire".
KIND_OF_COMPONENT: dict[int, str] = {
    **dict.fromkeys((10, 11, 12, 13, 74), GAS),
    **dict.fromkeys((18, 30, 31, 32, 33, 34, 35, 36, 37), HEAT),
    **dict.fromkeys((23, 24), CALL_POINT),
    **dict.fromkeys((40, 41, 42, 43, 44, 51, 53), SMOKE),
}
# Flag -> alarm kind, for everything but the fire bit.
KIND_OF_FLAG = {
    "fault": "fault",
    "shielded": "shielded",
    "supervised": "supervisory",
    "power_fault": "power_fault",
    "main_power_fault": "power_fault",
    "backup_power_fault": "power_fault",
    "bus_fault": "bus_fault",
    "detection_line_fault": "bus_fault",
    "communication_fault": "communication_fault",
}
EVENT_FLAGS = ("started", "feedback", "reset")
UNNAMED_FLAGS = frozenset({"delay", "manual", "configuration_changed"})  # told by the event "state"
EVENT_OF_TYPE = {5: "software_version", 6: "configuration", 7: "configuration", 8: "device_time"}
EVENT_OF_TYPE |= {25: "software_version", 26: "configuration", 28: "device_time"}
STATES, ANALOG, OPERATIONS = frozenset({1, 2, 21}), 3, frozenset({4, 24})
DOUBTED = STATES | OPERATIONS  # alarms come from these
RAISED_BY_OPERATION = {"manual_alarm": True, "alarm_cleared": False}
DUTY_RECORD = 24
HANDSHAKE, HANDSHAKE_ANSWER = b"\x16", b"\x17"


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`device`: the native id of a device that sends source address 0. `bcd_time`: quirk, time bytes in
    BCD. `one_byte_handshake`: quirk, unit 16 is answered by unit 17. `sync_clock`: a device whose clock is off is sent
    the time. `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    time_zone: str = "Asia/Shanghai"
    device: str = ""
    bcd_time: bool = False
    one_byte_handshake: bool = False
    sync_clock: bool = True
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.time_zone)


class Memory:
    """What each component may still have raised, so that a later report without it clears it."""

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str], set[str]] = {}

    def update(self, device: str, component: str, raised: set[str], possible: tuple[str, ...]) -> list[str]:
        """The kinds that this report clears, sorted."""
        key = (device, component)
        if key not in self._raised and len(self._raised) >= COMPONENTS_MAX:
            del self._raised[next(iter(self._raised))]
        held = self._raised.get(key, set(possible))
        self._raised[key] = raised
        return sorted(held - raised)


class Report(Struct, frozen=True):
    """One frame's common part while its objects are read."""

    device: DeviceId
    frame: Frame
    sent_at: datetime | None  # the device's own clock when it sent the frame
    now: datetime


class Session:
    """See devices.family.Session and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._clock = LocalClock(settings.time_zone)
        self._framer = Framer(wire.cut, wire.FRAME_BYTES_MAX)
        self._memory = Memory()
        self._replies: list[bytes] = []
        self._serial = 0
        self._synced: dict[int, tuple[int, datetime]] = {}  # source -> how often its clock was set, and when last
        self._heard: dict[str, Frame] = {}  # native id -> its newest frame
        self._waiting: Waiting[tuple[str, int | str]] = Waiting()  # (native id, serial number or action)

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        replies, self._replies = b"".join(self._replies), []
        return replies

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See devices.family.Commanded."""
        heard = self._heard.get(command.native_id)
        if heard is None:
            raise CommandRefused(f"{command.native_id} has not shown itself on this link")
        request = commands.request(command, now, self._clock)
        self._write(heard, self._next_serial(), request.command, request.unit, now)
        asked = Asked(command.nonce, command.action, until(now, request.patience_s))
        self._waiting.add((command.native_id, self._serial), asked)

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            if isinstance(piece, Rejected):
                self._deny_broken(piece, now)
                found.append(piece)
            else:
                found.extend(self._frame(piece, now))
        return found

    def _frame(self, raw: bytes, now: datetime) -> list[Result]:
        frame = wire.read_frame(raw, self._settings.bcd_time)
        native_id = str(frame.source) if frame.source else self._settings.device
        if not native_id:
            return [rejected("source address 0 and no device configured for it", raw)]
        device = DeviceId(f"gbt26875:{native_id}")
        if native_id not in self._enrolled:
            return [rejected("not enrolled", raw, device)]
        if frame.command in (wire.CONTROL, wire.REQUEST) or frame.command not in wire.COMMANDS:
            self._answer(frame, wire.DENY, now)
            return [rejected("command not meant for a monitoring centre", raw, device)]
        report = Report(device, frame, self._clock.utc(frame.time), now)
        self._hear(native_id, frame)
        answers = self._answers(native_id, report) if len(self._waiting) else []
        if frame.command in (wire.CONFIRM, wire.DENY):
            return [_heard(report), *answers]
        return [*self._report(report, raw), *answers]

    def _hear(self, native_id: str, frame: Frame) -> None:
        if native_id not in self._heard and len(self._heard) >= DEVICES_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[native_id] = frame

    def _report(self, report: Report, raw: bytes) -> list[Result]:
        """A report, or the response to a query: answered and read."""
        frame = report.frame
        unit = wire.read_unit(frame.unit, self._settings.bcd_time) if frame.unit else None
        handshake = frame.unit == HANDSHAKE
        short = unit is not None and unit.error == "short" and not handshake
        if frame.command == wire.SEND_DATA:
            greeting = HANDSHAKE_ANSWER if handshake and self._settings.one_byte_handshake else b""
            self._answer(frame, wire.DENY if short else wire.CONFIRM, report.now, greeting)
            self._sync(report)
        if unit is None or handshake:
            return [_heard(report)]
        if unit.error == "unknown type":
            return [self._unknown(report, unit)]
        found: list[Result] = self._meaning(report, unit)
        if short:
            found.append(rejected("application data cut short", raw, report.device))
        return found or [_heard(report)]

    # --- answers ---

    def _answer(self, frame: Frame, command: int, now: datetime, unit: bytes = b"") -> None:
        self._write(frame, frame.serial, command, unit, now)

    def _write(self, to: Frame, serial: int, command: int, unit: bytes, now: datetime) -> None:
        answer = Frame(serial, to.main_version, to.user_version, None, to.destination, to.source, command, unit)
        self._replies.append(wire.write_frame(answer, self._clock.local(now)))

    def _deny_broken(self, broken: Rejected, now: datetime) -> None:
        """A frame with a wrong checksum is denied when an enrolled device seems to have sent it."""
        if broken.reason != "checksum wrong":
            return
        frame = wire.read_frame(broken.frame, self._settings.bcd_time)
        if frame.command == wire.SEND_DATA and (str(frame.source or self._settings.device)) in self._enrolled:
            self._answer(frame, wire.DENY, now)

    def _sync(self, report: Report) -> None:
        """Send the time to a device whose clock is off, a few times and then not until it was right once."""
        frame, now = report.frame, report.now
        if not self._settings.sync_clock:
            return
        if _clock_right(report):
            self._synced.pop(frame.source, None)
            return
        tries, last_at = self._synced.get(frame.source, (0, None))
        if tries >= SYNC_TRIES_MAX or (last_at is not None and (now - last_at).total_seconds() < SYNC_PAUSE_S):
            return
        self._synced[frame.source] = (tries + 1, now)
        self._write(frame, self._next_serial(), wire.CONTROL, commands.set_clock(self._clock.local(now)), now)

    def _next_serial(self) -> int:
        self._serial = (self._serial + 1) & 0xFFFF
        return self._serial

    # --- what the device says to commands ---

    def _answers(self, native_id: str, report: Report) -> list[CommandAnswer]:
        frame, now = report.frame, report.now
        found: list[CommandAnswer] = []
        key = (native_id, frame.serial)
        if frame.command == wire.DENY and (asked := self._waiting.take(key, now)):
            found.append(asked.answer("refused", "the device denies it"))
        elif frame.command == wire.RESPONSE and (asked := self._waiting.take(key, now)):
            told = asked.kind in commands.READS and frame.unit[:1] and frame.unit[0] in commands.READS[asked.kind][1]
            found.append(asked.answer("confirmed" if told else "accepted"))
        elif frame.command == wire.CONFIRM and (asked := self._waiting.find(key, now)):
            found.append(asked.answer("accepted"))
            if asked.kind not in commands.READS:
                self._waiting.take(key, now)
            if asked.kind in commands.CONFIRMED_LATER:
                self._waiting.add((native_id, asked.kind), asked)
        return [*found, *self._shown(native_id, report)]

    def _shown(self, native_id: str, report: Report) -> list[CommandAnswer]:
        """Accepted commands that this frame shows to be done."""
        done = [commands.SET_TIME] if _clock_right(report) else []
        if report.frame.command == wire.SEND_DATA and report.frame.unit[:1] == bytes((DUTY_RECORD,)):
            unit = wire.read_unit(report.frame.unit, self._settings.bcd_time)
            done += [commands.DUTY_CHECK] if any("confirm" in fields["flags"] for fields in unit.objects) else []
        taken = (self._waiting.take((native_id, action), report.now) for action in done)
        return [asked.answer("confirmed") for asked in taken if asked is not None]

    # --- meaning ---

    def _meaning(self, report: Report, unit: Unit) -> list[Result]:
        claims = [self._claimed(report, fields) for fields in unit.objects]
        doubt = hour_of_doubt(claims[0], report.now) if claims and unit.type in DOUBTED else b""
        name = _name(report, doubt)
        found: list[Result] = []
        for fields, claimed in zip(unit.objects, claims, strict=True):
            at, flags = observed(claimed, report.now, self._settings.any_time)
            for body in self._bodies(report.device, unit.type, fields):
                found.append(_observation(report, at, body, f"{name}.{len(found)}", flags))
        return found

    def _bodies(self, device: DeviceId, kind: int, fields: Fields) -> list[Body]:
        if kind in STATES:
            return self._state(device, kind, fields)
        component = _component(fields)
        if kind == ANALOG:
            name, value = fields["quantity"], fields["value"]
            good = in_range(name, value)
            return [Telemetry({name: value} if good else {}, component)]
        if kind in OPERATIONS:
            attributes = {"operator": str(fields["operator"])}
            found: list[Body] = [
                Alarm(kind=CALL_POINT, raised=RAISED_BY_OPERATION[name], component=component)
                for name in fields["flags"]
                if name in RAISED_BY_OPERATION
            ]
            return found + [Event(kind=name, component=component, attributes=attributes) for name in fields["flags"]]
        shown = fields.get("time")
        text = fields.get("version") or fields.get("config") or (shown.isoformat() if shown else "")
        return [Event(kind=EVENT_OF_TYPE.get(kind, "answer"), component=component, attributes={"text": text})]

    def _state(self, device: DeviceId, kind: int, fields: Fields) -> list[Body]:
        component = _component(fields)
        fire = KIND_OF_COMPONENT.get(fields.get("component_type", 0), "fire")
        set_flags: list[str] = fields["flags"]
        kinds = [fire if flag == "fire_alarm" else KIND_OF_FLAG.get(flag, "") for flag in set_flags]
        raised = {name: None for name in kinds if name}  # in the order of the bits, each once
        possible = (fire, *POSSIBLE[kind])
        description = fields.get("description", "")
        found: list[Body] = [Alarm(kind=name, component=component, description=description) for name in raised]
        found += [
            Alarm(kind=name, raised=False, component=component, description=description)
            for name in self._memory.update(device, component, set(raised), possible)
        ]
        found += [Event(kind=flag, component=component) for flag in EVENT_FLAGS if flag in set_flags]
        if not found or UNNAMED_FLAGS.intersection(set_flags):
            found.append(Event(kind="state", component=component, attributes={"flags": " ".join(set_flags)}))
        return found

    def _unknown(self, report: Report, unit: Unit) -> Observation:
        attributes = {"type": str(unit.type), "hex": report.frame.unit.hex()[:HEX_CHARS_MAX]}
        at, flags = observed(report.sent_at, report.now, self._settings.any_time)
        body = Event(kind="unknown_report", attributes=attributes)
        return _observation(report, at, body, f"{_name(report, b'')}.0", flags)

    def _claimed(self, report: Report, fields: Fields) -> datetime | None:
        """When the object says it was; objects without a time have that of their frame."""
        return self._clock.utc(fields["time"]) if "time" in fields else report.sent_at


def _name(report: Report, doubt: bytes) -> str:
    """Of the report, for frame ids. The frame's own time is left out: a device that sends again may set it anew."""
    frame = report.frame
    return digest(frame.serial.to_bytes(2), frame.source.to_bytes(6), frame.unit, doubt)


def _possible(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(KIND_OF_FLAG[name] for name in names if name in KIND_OF_FLAG))


POSSIBLE = {1: _possible(wire.SYSTEM_STATE), 2: _possible(wire.COMPONENT_STATE), 21: _possible(wire.DEVICE_STATE)}


def _observation(
    report: Report, at: datetime, body: Body, frame_id: str = "", flags: tuple[str, ...] = ()
) -> Observation:
    return Observation(
        device=report.device, observed_at=at, received_at=report.now, body=body, frame_id=frame_id, flags=flags
    )


def _clock_right(report: Report) -> bool:
    return report.sent_at is not None and abs((report.sent_at - report.now).total_seconds()) <= CLOCK_SKEW_S_MAX


def _heard(report: Report) -> Observation:
    """A sign of life."""
    return _observation(report, report.now, Telemetry({}))


def _component(fields: Fields) -> str:
    """ "1-3-0x00000012"; a system without a component is "1-3", the transmission device itself ""."""
    if "system_type" not in fields:
        return ""
    system = f"{fields['system_type']}-{fields['system_address']}"
    return f"{system}-0x{fields['component_address']:08x}" if "component_address" in fields else system


FAMILY = Family(
    name="gbt26875",
    title="Fire transmission device, GB/T 26875.3-2011",
    native_id="the source address as a decimal number",
    native_id_pattern=r"\d+",
    example=Example("889", {"port": 9001}),
    links=("tcp_server", "udp_server", "serial"),
    integrity="sum of bytes modulo 256, start and end mark",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=90,
    settings=Settings,
    open_session=Session,
    commands=commands.COMMANDS,
)
