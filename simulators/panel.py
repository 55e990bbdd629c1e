"""A fire transmission device with a panel and smoke detectors behind it, GB/T 26875.3-2011, device side.

Settings: `report_every_s` (temperature of a component, 0 = never), `heartbeat_s`, `components` (numbers on loop 0).
`on_duty`: somebody presses the key when the centre checks (type 91).
Actions: smoke, clear, fault, repaired, manual_call_point with `component` = number; reset of the panel.
It answers what the centre asks (commands 1 and 4) as the standard says, and denies what it does not have.
"""

import random
from datetime import datetime, timedelta, timezone
from struct import pack, unpack_from
from typing import Annotated, Any

from msgspec import Meta, Struct, convert

from simulators.device import Accepted, Every, Mailbag, NoArgs, OwnSeconds, Report, Seconds, args_of

CENTRE = 88888
LOCAL = timezone(timedelta(hours=8))
SYSTEM_TYPE, SYSTEM_ADDRESS = 1, 3
PHOTOELECTRIC_SMOKE, CALL_POINT = 42, 23
NORMAL, FIRE, FAULT = 1, 2, 4
CONTROL, SEND_DATA, CONFIRM, REQUEST, RESPONSE, DENY = range(1, 7)
SET_CLOCK, INITIALISE, DUTY_CHECK = 90, 89, 91
CONFIRMED_DUTY = 1 << 5
VERSION = (3, 7)
DESCRIPTION_BYTES = 31
ANSWER_BYTES_MIN = 30


ID_MAX = 2**48 - 1

ComponentNumber = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    report_every_s: Seconds = 30.0
    heartbeat_s: Seconds = 20.0
    on_duty: bool = True
    components: Annotated[tuple[ComponentNumber, ...], Meta(min_length=1, max_length=10_000)] = (18,)


class OfComponent(Struct, frozen=True, forbid_unknown_fields=True):
    component: ComponentNumber | None = None


ACTIONS: dict[str, type[NoArgs | OfComponent]] = {
    **dict.fromkeys(("smoke", "clear", "fault", "repaired", "manual_call_point"), OfComponent),
    "reset": NoArgs,
}


class Panel:
    """See simulators.device.SimulatedDevice."""

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        self.native_id = native_id
        self._settings = settings
        self._random = random.Random(f"{seed}/{native_id}")
        self._mail = Mailbag[bytes]()
        self._serial = self._random.randrange(60_000)
        self._state: dict[int, int] = {}  # component -> fire and fault bits
        self._call_points: set[int] = set()
        self._heartbeat = Every(settings.heartbeat_s)
        self._report = Every(settings.report_every_s)
        self._seconds = OwnSeconds()
        self._received = b""
        self._duty_asked = False

    @property
    def unanswered(self) -> int:
        return len(self._mail)

    def connected(self, now: datetime) -> None:
        self._received = b""
        self._mail.start_over()
        self._say(b"", now, [])

    def act(self, action: str, args: dict[str, Any], now: datetime) -> None:
        said = args_of(ACTIONS, "a panel", action, args)
        if not isinstance(said, OfComponent):
            self._operation(1, "reset", now)
            return
        component = self._settings.components[0] if said.component is None else said.component
        before = self._state.get(component, 0)
        changes = {
            "smoke": before | FIRE,
            "manual_call_point": before | FIRE,
            "clear": before & ~FIRE,
            "fault": before | FAULT,
            "repaired": before & ~FAULT,
        }
        if action == "manual_call_point":
            self._call_points.add(component)
        self._state[component] = changes[action]
        self._component_state(component, before, now)

    def tick(self, now: datetime) -> None:
        if self._heartbeat.due(now):
            self._say(b"", now, [])
        if self._settings.report_every_s and self._report.due(now):
            self._analog(self._random.choice(self._settings.components), now)
        if self._duty_asked and self._settings.on_duty:
            self._duty_asked = False
            row = Accepted(device=self._device, kind="confirm", observed_at=_whole(now))
            self._say(bytes((24, 1, CONFIRMED_DUTY, 1)) + _time(now), now, [row])
        self._mail.send_due(now)

    def receive(self, data: bytes, now: datetime) -> None:
        """Confirmations free their report; a denial leaves it to be sent again; what is asked is answered."""
        self._received += data
        while True:
            start = self._received.find(b"@@")
            if start < 0 or len(self._received) < start + ANSWER_BYTES_MIN:
                return
            (length,) = unpack_from("<H", self._received, start + 24)
            end = start + ANSWER_BYTES_MIN + length
            if len(self._received) < end:
                return
            frame, self._received = self._received[start:end], self._received[end:]
            if frame[26] == CONFIRM:
                self._mail.confirm(unpack_from("<H", frame, 2)[0])
            elif frame[26] in (CONTROL, REQUEST):
                self._obey(unpack_from("<H", frame, 2)[0], frame[26], frame[27:-3], now)

    def to_send(self) -> list[bytes]:
        return self._mail.take_out()

    def accepted(self) -> list[Accepted]:
        return self._mail.take_accepted()

    def said(self) -> list[Accepted]:
        return []

    def owed(self) -> list[Accepted]:
        return self._mail.owed()

    # --- what the centre asks ---

    def _obey(self, serial: int, command: int, unit: bytes, now: datetime) -> None:
        kind = unit[0] if unit else 0
        if command == CONTROL and kind in (SET_CLOCK, INITIALISE, DUTY_CHECK):
            self._duty_asked = self._duty_asked or kind == DUTY_CHECK
            self._mail.say(self._frame(serial, CONFIRM, b"", now))
            return
        told = self._told(kind, unit[2:], now) if command == REQUEST else b""
        self._mail.say(self._frame(serial, RESPONSE if told else DENY, told, now))

    def _told(self, kind: int, asked: bytes, now: datetime) -> bytes:
        """The response's application data; nothing for what it does not have."""
        system, component = bytes((SYSTEM_TYPE, SYSTEM_ADDRESS)), int.from_bytes(asked[2:6], "little")
        if kind in (61, 62, 63, 65, 66, 67, 68) and asked[:2] != system:
            return b""
        if kind in (62, 63, 67) and component not in self._settings.components:
            return b""
        states = self._state.values()
        state = (
            NORMAL
            | (FIRE if any(one & FIRE for one in states) else 0)
            | (FAULT if any(one & FAULT for one in states) else 0)
        )
        tenths = self._random.randrange(180, 260)
        text = "模拟".encode("gb18030")
        answers = {
            61: lambda: bytes((1, 1)) + system + pack("<H", state) + _time(now),
            62: lambda: self._state_unit(component, now),
            63: lambda: _analog_unit(component, tenths, now),
            65: lambda: bytes((5, 1)) + system + bytes(VERSION),
            66: lambda: bytes((6, 1)) + system + bytes((len(text),)) + text,
            67: lambda: (
                pack("<BB2sBI", 7, 1, system, PHOTOELECTRIC_SMOKE, component) + text.ljust(DESCRIPTION_BYTES, b"\0")
            ),
            68: lambda: bytes((8, 1)) + system + _time(now),
            81: lambda: bytes((21, 1, state)) + _time(now),
            85: lambda: bytes((25, 1, *VERSION)),
            86: lambda: bytes((26, 1, len(text))) + text,
            88: lambda: bytes((28, 1)) + _time(now),
        }
        return answers[kind]() if kind in answers else b""

    # --- reports ---

    def _component_state(self, component: int, before: int, now: datetime) -> None:
        at = self._seconds.take(now)
        state = self._state[component]
        call_point = component in self._call_points
        kinds = {FIRE: "manual_call_point" if call_point else "smoke", FAULT: "fault"}
        rows = [self._row(kinds[bit], at, component, raised=True) for bit in kinds if state & bit]
        rows += [self._row(kinds[bit], at, component, raised=False) for bit in kinds if before & ~state & bit]
        self._say(self._state_unit(component, at), now, rows)

    def _state_unit(self, component: int, at: datetime) -> bytes:
        text = bytes(DESCRIPTION_BYTES)  # no name: people read the part's number in a language of their own
        kind = CALL_POINT if component in self._call_points else PHOTOELECTRIC_SMOKE
        state = self._state.get(component, 0) or NORMAL
        return pack("<BBBBBIH", 2, 1, SYSTEM_TYPE, SYSTEM_ADDRESS, kind, component, state) + text + _time(at)

    def _analog(self, component: int, now: datetime) -> None:
        tenths = self._random.randrange(180, 260)
        row = self._row("telemetry", now, component, temperature_c=tenths / 10)
        self._say(_analog_unit(component, tenths, now), now, [row])

    def _operation(self, bits: int, kind: str, now: datetime) -> None:
        row = Accepted(
            device=self._device, kind=kind, observed_at=_whole(now), component=f"{SYSTEM_TYPE}-{SYSTEM_ADDRESS}"
        )
        self._say(pack("<BBBBBB", 4, 1, SYSTEM_TYPE, SYSTEM_ADDRESS, bits, 1) + _time(now), now, [row])

    def _row(self, kind: str, now: datetime, component: int, **values: Any) -> Accepted:
        name = f"{SYSTEM_TYPE}-{SYSTEM_ADDRESS}-0x{component:08x}"
        return Accepted(device=self._device, kind=kind, observed_at=_whole(now), component=name, values=values)

    @property
    def _device(self) -> str:
        return f"gbt26875:{self.native_id}"

    def _say(self, unit: bytes, now: datetime, rows: list[Accepted]) -> None:
        self._serial = (self._serial + 1) & 0xFFFF
        frame = self._frame(self._serial, SEND_DATA, unit, now)
        if rows:
            self._mail.report(Report(self._serial, frame, rows))
        else:
            self._mail.say(frame)

    def _frame(self, serial: int, command: int, unit: bytes, now: datetime) -> bytes:
        source = int(self.native_id).to_bytes(6, "little")
        body = pack("<HBB", serial, 1, 1) + _time(now) + source + CENTRE.to_bytes(6, "little")
        body += pack("<HB", len(unit), command) + unit
        return b"@@" + body + bytes((sum(body) % 256,)) + b"##"


def _analog_unit(component: int, tenths: int, now: datetime) -> bytes:
    """Temperature of a component."""
    head = pack("<BBBBBIBh", 3, 1, SYSTEM_TYPE, SYSTEM_ADDRESS, PHOTOELECTRIC_SMOKE, component, 3, tenths)
    return head + _time(now)


def _time(now: datetime) -> bytes:
    local = now.astimezone(LOCAL)
    return bytes((local.second, local.minute, local.hour, local.day, local.month, local.year - 2000))


def _whole(now: datetime) -> datetime:
    """What is left of a time on this wire."""
    return now.replace(microsecond=0)


def build(native_id: str, settings: dict[str, Any], seed: int) -> Panel:
    """Raises ValueError for an id that has no place in the frame."""
    if not (native_id.isdecimal() and 0 < int(native_id) <= ID_MAX):
        raise ValueError(f"the address of a fire device is a whole number from 1 to {ID_MAX}, not {native_id!r}")
    return Panel(native_id, convert(settings, Settings), seed)
