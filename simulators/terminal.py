"""A vehicle terminal, JT/T 808-2013 or -2019, device side.

Settings: `report_every_s`, `heartbeat_s`, `standard` ("2013" or "2019"), `longitude`, `latitude` (middle of its round),
`round_m` (radius), `speed_kmh`.
Actions: emergency, emergency_over, overspeed, overspeed_over, park, drive.
"""

import math
import random
from datetime import datetime, timedelta, timezone
from functools import reduce
from operator import xor
from struct import pack
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, convert

from simulators.device import (
    Accepted,
    Every,
    Latitude,
    Longitude,
    Mailbag,
    NoArgs,
    OwnSeconds,
    Report,
    Seconds,
    args_of,
)

LOCAL = timezone(timedelta(hours=8))
EMERGENCY, OVERSPEED = 1, 2
ACC_ON, POSITIONED = 1, 2
KINDS = {EMERGENCY: "sos", OVERSPEED: "overspeed"}
REGISTER, AUTHENTICATE, HEARTBEAT, LOCATION = 0x0100, 0x0102, 0x0002, 0x0200
GENERAL_ANSWER, REGISTER_ANSWER = 0x8001, 0x8100
METRES_PER_DEGREE = 111_320.0
SATELLITES = 11


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    report_every_s: Seconds = 10.0
    heartbeat_s: Seconds = 30.0
    standard: Literal["2013", "2019"] = "2013"
    longitude: Longitude = 120.4838
    latitude: Latitude = 30.7436
    round_m: Annotated[float, Meta(gt=0, le=100_000)] = 400.0
    speed_kmh: Annotated[float, Meta(ge=0, le=500)] = 24.0


ACTIONS = dict.fromkeys(("emergency", "emergency_over", "overspeed", "overspeed_over", "park", "drive"), NoArgs)


class Terminal:
    """See simulators.device.SimulatedDevice."""

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        self.native_id = native_id
        self._settings = settings
        self._random = random.Random(f"{seed}/{native_id}")
        self._mail = Mailbag()
        self._serial = self._random.randrange(60_000)
        self._flags = 0
        self._driving = True
        self._angle = self._random.uniform(0, 2 * math.pi)
        self._mileage_m = self._random.randrange(10_000_000)
        self._moved_at: datetime | None = None
        self._code = b""
        self._ready = False
        self._report = Every(settings.report_every_s)
        self._heartbeat = Every(settings.heartbeat_s)
        self._seconds = OwnSeconds()
        self._received = b""

    @property
    def unanswered(self) -> int:
        return len(self._mail)

    def connected(self, now: datetime) -> None:
        self._received = b""
        self._ready = False
        self._mail.start_over()
        if self._code:
            self._authenticate()
        else:
            self._register()

    def act(self, action: str, args: dict[str, Any], now: datetime) -> None:
        args_of(ACTIONS, "a terminal", action, args)
        before = self._flags
        if action == "emergency":
            self._flags |= EMERGENCY
        elif action == "emergency_over":
            self._flags &= ~EMERGENCY
        elif action == "overspeed":
            self._flags |= OVERSPEED
        elif action == "overspeed_over":
            self._flags &= ~OVERSPEED
        else:
            self._driving = action == "drive"
            return
        self._location(now, before)

    def tick(self, now: datetime) -> None:
        if self._settings.report_every_s and self._seconds.free(now) and self._report.due(now):
            self._location(now, self._flags)
        if not self._ready:
            return
        if self._heartbeat.due(now):
            self._mail.say(self._frame(HEARTBEAT, b""))
        self._mail.send_due(now)

    def receive(self, data: bytes, now: datetime) -> None:
        self._received += data
        *pieces, self._received = self._received.split(b"\x7e")
        for piece in filter(None, pieces):
            frame = piece.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
            if len(frame) > self._header_bytes and reduce(xor, frame) == 0:
                self._answer(frame)

    def to_send(self) -> list[bytes]:
        return self._mail.take_out()

    def accepted(self) -> list[Accepted]:
        return self._mail.take_accepted()

    def owed(self) -> list[Accepted]:
        return self._mail.owed()

    # --- what the platform says ---

    def _answer(self, frame: bytes) -> None:
        id_, body = int.from_bytes(frame[:2]), frame[self._header_bytes : -1]
        if id_ == REGISTER_ANSWER and body[2:3] == b"\0":
            self._code = body[3:]
            self._authenticate()
        elif id_ == GENERAL_ANSWER and len(body) == 5 and body[4] == 0:
            answered = int.from_bytes(body[2:4])
            if answered == AUTHENTICATE:
                self._ready = True
            elif answered == LOCATION:
                self._mail.confirm(int.from_bytes(body[:2]))

    # --- reports ---

    def _register(self) -> None:
        wide = self._settings.standard == "2019"
        maker, model, terminal = (11, 30, 30) if wide else (5, 20, 7)
        body = pack(">HH", 33, 483) + b"GRDWD".ljust(maker, b"\0") + b"SIM-1".ljust(model, b"\0")
        body += (
            self.native_id[-7:].encode().ljust(terminal, b"\0") + b"\x01" + f"浙F{self.native_id[-5:]}".encode("gbk")
        )
        self._mail.say(self._frame(REGISTER, body))

    def _authenticate(self) -> None:
        if self._settings.standard == "2019":
            imei, software = self.native_id.rjust(15, "0").encode(), b"1.0".ljust(20, b"\0")
            self._mail.say(self._frame(AUTHENTICATE, bytes((len(self._code),)) + self._code + imei + software))
        else:
            self._mail.say(self._frame(AUTHENTICATE, self._code))

    def _location(self, now: datetime, before: int) -> None:
        at = self._seconds.take(now)
        longitude, latitude, course = self._move(now)
        speed = self._settings.speed_kmh if self._driving else 0.0
        east, north = round(longitude * 1e6), round(latitude * 1e6)
        status = POSITIONED | (ACC_ON if self._driving else 0)
        time = bytes.fromhex(at.astimezone(LOCAL).strftime("%y%m%d%H%M%S"))
        body = pack(">IIIIHHH", self._flags, status, north, east, 5, round(speed * 10), course) + time
        tenths_km = self._mileage_m // 100
        body += b"\x01\x04" + pack(">I", tenths_km) + b"\x31\x01" + bytes((SATELLITES,))
        rows = [self._row(kind, at, raised=True) for bit, kind in KINDS.items() if self._flags & bit]
        if before & ~self._flags & OVERSPEED:  # an SOS is never taken back by the terminal
            rows.append(self._row("overspeed", at, raised=False))
        rows.append(self._row("position", at, longitude=east / 1e6, latitude=north / 1e6))
        rows.append(self._row("telemetry", at, mileage_km=tenths_km / 10, gnss_satellites=SATELLITES))
        frame = self._frame(LOCATION, body)
        self._mail.report(Report(self._serial, frame, rows))

    def _row(self, kind: str, at: datetime, **values: Any) -> Accepted:
        return Accepted(device=f"jt808:{self.native_id}", kind=kind, observed_at=at, values=values)

    def _move(self, now: datetime) -> tuple[float, float, int]:
        """On along the round; (longitude, latitude, course in degrees)."""
        elapsed_s = (now - self._moved_at).total_seconds() if self._moved_at else 0.0
        self._moved_at = now
        metres = self._settings.speed_kmh / 3.6 * elapsed_s if self._driving else 0.0
        self._mileage_m += round(metres)
        self._angle += metres / self._settings.round_m
        north = self._settings.round_m * math.cos(self._angle)
        east = self._settings.round_m * math.sin(self._angle)
        metres_east = METRES_PER_DEGREE * math.cos(math.radians(self._settings.latitude))
        course = round(math.degrees(self._angle) + 90) % 360
        return (
            self._settings.longitude + east / metres_east,
            self._settings.latitude + north / METRES_PER_DEGREE,
            course,
        )

    @property
    def _header_bytes(self) -> int:
        return 17 if self._settings.standard == "2019" else 12

    def _frame(self, id_: int, body: bytes) -> bytes:
        self._serial = (self._serial + 1) & 0xFFFF
        wide = self._settings.standard == "2019"
        properties = len(body) | (0x4000 if wide else 0)
        phone = bytes.fromhex(self.native_id.rjust(20 if wide else 12, "0"))
        frame = pack(">HH", id_, properties) + (b"\x01" if wide else b"") + phone + pack(">H", self._serial) + body
        frame += bytes((reduce(xor, frame),))
        return b"\x7e" + frame.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02") + b"\x7e"


def build(native_id: str, settings: dict[str, Any], seed: int) -> Terminal:
    """Raises ValueError for an id that has no place in the frame."""
    read = convert(settings, Settings)
    digits_max = 20 if read.standard == "2019" else 12
    if not native_id.isdecimal() or len(native_id) > digits_max:
        raise ValueError(
            f"the phone number of a {read.standard} terminal has {digits_max} digits at most, not {native_id!r}"
        )
    return Terminal(native_id, read, seed)
