"""A fire transmission device with a panel and smoke detectors behind it, GB/T 26875.3-2011, device side.

Settings: `report_every_s` (temperature of a component, 0 = never), `heartbeat_s`, `components` (numbers on loop 0).
Actions: smoke, clear, fault, repaired, manual_call_point with `component` = number; reset of the panel.
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
SEND_DATA, CONFIRM = 2, 3
DESCRIPTION_BYTES = 31
ANSWER_BYTES_MIN = 30


ID_MAX = 2**48 - 1

ComponentNumber = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    report_every_s: Seconds = 30.0
    heartbeat_s: Seconds = 20.0
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
        self._mail = Mailbag()
        self._serial = self._random.randrange(60_000)
        self._state: dict[int, int] = {}  # component -> fire and fault bits
        self._call_points: set[int] = set()
        self._heartbeat = Every(settings.heartbeat_s)
        self._report = Every(settings.report_every_s)
        self._seconds = OwnSeconds()
        self._received = b""

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
        self._mail.send_due(now)

    def receive(self, data: bytes, now: datetime) -> None:
        """Confirmations free their report; anything else (a denial, a command) leaves it to be sent again."""
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

    def to_send(self) -> list[bytes]:
        return self._mail.take_out()

    def accepted(self) -> list[Accepted]:
        return self._mail.take_accepted()

    def owed(self) -> list[Accepted]:
        return self._mail.owed()

    # --- reports ---

    def _component_state(self, component: int, before: int, now: datetime) -> None:
        at = self._seconds.take(now)
        state = self._state[component]
        call_point = component in self._call_points
        kinds = {FIRE: "manual_call_point" if call_point else "smoke", FAULT: "fault"}
        rows = [self._row(kinds[bit], at, component, raised=True) for bit in kinds if state & bit]
        rows += [self._row(kinds[bit], at, component, raised=False) for bit in kinds if before & ~state & bit]
        text = f"{component}号".encode("gb18030").ljust(DESCRIPTION_BYTES, b"\0")
        kind = CALL_POINT if call_point else PHOTOELECTRIC_SMOKE
        head = pack("<BBBBBIH", 2, 1, SYSTEM_TYPE, SYSTEM_ADDRESS, kind, component, state or NORMAL)
        self._say(head + text + _time(at), now, rows)

    def _analog(self, component: int, now: datetime) -> None:
        tenths = self._random.randrange(180, 260)
        head = pack("<BBBBBIBh", 3, 1, SYSTEM_TYPE, SYSTEM_ADDRESS, PHOTOELECTRIC_SMOKE, component, 3, tenths)
        row = self._row("telemetry", now, component, temperature_c=tenths / 10)
        self._say(head + _time(now), now, [row])

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
        source = int(self.native_id).to_bytes(6, "little")
        body = pack("<HBB", self._serial, 1, 1) + _time(now) + source + CENTRE.to_bytes(6, "little")
        body += pack("<HB", len(unit), SEND_DATA) + unit
        frame = b"@@" + body + bytes((sum(body) % 256,)) + b"##"
        if rows:
            self._mail.report(Report(self._serial, frame, rows))
        else:
            self._mail.say(frame)


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
