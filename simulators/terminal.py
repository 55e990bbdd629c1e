"""A vehicle terminal, JT/T 808-2013 or -2019, device side.

Settings: `report_every_s`, `heartbeat_s`, `standard` ("2013" or "2019"), `longitude`, `latitude` (middle of its round),
`round_m` (radius), `speed_kmh`, `streets` (of a place: it drives along them, `round_m` from its start at most).
Actions: emergency, emergency_over, overspeed, overspeed_over, park, drive.
It does what the platform asks, answers as the standard says, and watches areas and routes itself (terminal_kept.py):
the report in which one was entered or left has the alarm bit and says which.
"""

import math
import random
from datetime import datetime, timedelta, timezone
from functools import reduce
from operator import xor
from struct import pack
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, convert
from msgspec.structs import replace

from simulators import terminal_kept
from simulators.device import (
    METRES_PER_DEGREE,
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
from simulators.whereabouts import Moving, Spot, Whereabouts

LOCAL = timezone(timedelta(hours=8))
EMERGENCY, OVERSPEED = 1, 2
ACC_ON, POSITIONED, DOORS_LOCKED = 1, 2, 1 << 12
AREA_CROSSED, ROUTE_CROSSED = 1 << 20, 1 << 21
CONFIRMED_BY_PEOPLE = EMERGENCY
KINDS = {EMERGENCY: "sos", OVERSPEED: "overspeed"}
REGISTER, AUTHENTICATE, HEARTBEAT, LOCATION = 0x0100, 0x0102, 0x0002, 0x0200
GENERAL_ANSWER, REGISTER_ANSWER = 0x8001, 0x8100
OK, FAILED, UNKNOWN = 0, 1, 3
DONE = frozenset({0x8105, 0x8202, 0x8203, 0x8300, 0x8900})  # nothing but the general answer comes of them
SATELLITES = 11
ASKED_KEPT = 20


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    report_every_s: Seconds = 10.0
    heartbeat_s: Seconds = 30.0
    standard: Literal["2013", "2019"] = "2013"
    longitude: Longitude = 120.4838
    latitude: Latitude = 30.7436
    round_m: Annotated[float, Meta(gt=0, le=100_000)] = 400.0
    speed_kmh: Annotated[float, Meta(gt=0, le=500)] = 24.0
    streets: str = ""


ACTIONS = dict.fromkeys(("emergency", "emergency_over", "overspeed", "overspeed_over", "park", "drive"), NoArgs)


class Terminal:
    """See simulators.device.SimulatedDevice."""

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        self.native_id = native_id
        self._settings = settings
        self._random = random.Random(f"{seed}/{native_id}")
        self._mail = Mailbag[bytes]()
        self._serial = self._random.randrange(60_000)
        self._flags = 0
        self._driving = True
        self._angle = self._random.uniform(0, 2 * math.pi)
        self._whereabouts = Whereabouts(_moving(settings), f"{seed}/{native_id}", wheels=True)
        self._mileage_m = self._random.randrange(10_000_000)
        self._moved_at: datetime | None = None
        self._code = b""
        self._ready = False
        self._report = Every(settings.report_every_s)
        self._heartbeat = Every(settings.heartbeat_s)
        self._seconds = OwnSeconds()
        self._received = b""
        self._doors_locked = False
        self._crossed = False  # the newest report had the bit of an area or a route
        self.kept = terminal_kept.Kept()
        self.asked: list[int] = []  # message ids of what it was asked, for whoever looks

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
                self._answer(frame, now)

    def to_send(self) -> list[bytes]:
        return self._mail.take_out()

    def accepted(self) -> list[Accepted]:
        return self._mail.take_accepted()

    def said(self) -> list[Accepted]:
        return []

    def owed(self) -> list[Accepted]:
        return self._mail.owed()

    # --- what the platform says ---

    def _answer(self, frame: bytes, now: datetime) -> None:
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
        elif id_ >= 0x8000 and id_ not in (GENERAL_ANSWER, REGISTER_ANSWER):
            self.asked = [*self.asked[-ASKED_KEPT:], id_]
            self._obey(id_, frame[self._header_bytes - 2 : self._header_bytes], body, now)

    def _obey(self, id_: int, serial: bytes, body: bytes, now: datetime) -> None:
        kept, result = self.kept, OK
        if id_ in (0x8104, 0x8106):
            ids = [int.from_bytes(body[at : at + 4]) for at in range(1, len(body), 4)]
            self._mail.say(self._frame(0x0104, serial + kept.told_parameters(ids)))
            return
        if id_ == 0x8107:
            self._mail.say(self._frame(0x0107, self._attributes()))
            return
        if id_ == 0x8500:
            self._doors_locked = body[4:5] == b"\0" if self._settings.standard == "2019" else body[:1] == b"\1"
        if id_ in (0x8201, 0x8500):
            place, _ = self._place(self._seconds.take(now), 0, self._move(now))
            self._mail.say(self._frame(0x0201 if id_ == 0x8201 else 0x0500, serial + place))
            return
        if id_ == 0x8103:
            result = OK if kept.set_parameters(body) else FAILED
        elif id_ in terminal_kept.SET_BY:
            result = OK if kept.set_area(id_, body) else FAILED
        elif id_ in terminal_kept.DELETED_BY:
            kept.delete_areas(id_, body)
        elif id_ not in DONE:
            result = UNKNOWN
        if id_ == 0x8203:
            self._flags &= ~CONFIRMED_BY_PEOPLE
        self._mail.say(self._frame(0x0001, serial + id_.to_bytes(2) + bytes((result,))))

    def _attributes(self) -> bytes:
        maker, model, terminal = (11, 30, 30) if self._settings.standard == "2019" else (5, 20, 7)
        body = pack(">H", 1) + b"GRDWD".ljust(maker, b"\0") + b"SIM-1".ljust(model, b"\0")
        body += self.native_id[-7:].encode().ljust(terminal, b"\0") + bytes(10)
        return body + b"\x031.0" + b"\x032.0" + b"\x01\x02"

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
        way = self._move(now)
        crossing = self.kept.moved(way.longitude, way.latitude)
        bit = 0 if crossing is None else ROUTE_CROSSED if crossing.kind == terminal_kept.ROUTE else AREA_CROSSED
        body, place_rows = self._place(at, bit, way)
        if crossing is not None:
            body += b"\x12\x06" + pack(">BIB", crossing.kind, crossing.id, crossing.left)
        rows = [self._row(kind, at, raised=True) for flag, kind in KINDS.items() if self._flags & flag]
        if before & ~self._flags & OVERSPEED:  # an SOS is never taken back by the terminal
            rows.append(self._row("overspeed", at, raised=False))
        if bit or self._crossed:
            rows.append(self._row("zone_violation", at, raised=bool(bit)))
        self._crossed = bool(bit)
        frame = self._frame(LOCATION, body)
        self._mail.report(Report(self._serial, frame, [*rows, *place_rows]))

    def _place(self, at: datetime, bits: int, way: Spot) -> tuple[bytes, list[Accepted]]:
        """Body of a location, and what it says of the place."""
        east, north = round(way.longitude * 1e6), round(way.latitude * 1e6)
        status = POSITIONED | (ACC_ON if self._driving else 0) | (DOORS_LOCKED if self._doors_locked else 0)
        time = bytes.fromhex(at.astimezone(LOCAL).strftime("%y%m%d%H%M%S"))
        speed = round(way.speed_kmh * 10)
        body = pack(">IIIIHHH", self._flags | bits, status, north, east, 5, speed, way.course_deg) + time
        tenths_km = self._mileage_m // 100
        body += b"\x01\x04" + pack(">I", tenths_km) + b"\x31\x01" + bytes((SATELLITES,))
        return body, [
            self._row("position", at, longitude=east / 1e6, latitude=north / 1e6),
            self._row("telemetry", at, mileage_km=tenths_km / 10, gnss_satellites=SATELLITES),
        ]

    def _row(self, kind: str, at: datetime, **values: Any) -> Accepted:
        return Accepted(device=f"jt808:{self.native_id}", kind=kind, observed_at=at, values=values)

    def _move(self, now: datetime) -> Spot:
        """On along the streets, or the round."""
        elapsed_s = (now - self._moved_at).total_seconds() if self._moved_at else 0.0
        self._moved_at = now
        spot = self._whereabouts.move(now, self._driving)
        speed_kmh = (spot.speed_kmh if self._settings.streets else self._settings.speed_kmh) if self._driving else 0.0
        metres = speed_kmh / 3.6 * elapsed_s
        self._mileage_m += round(metres)
        if self._settings.streets:
            return replace(spot, speed_kmh=speed_kmh)
        self._angle += metres / self._settings.round_m
        north = self._settings.round_m * math.cos(self._angle)
        east = self._settings.round_m * math.sin(self._angle)
        metres_east = METRES_PER_DEGREE * math.cos(math.radians(self._settings.latitude))
        course = round(math.degrees(self._angle) + 90) % 360
        longitude = self._settings.longitude + east / metres_east
        return Spot(longitude, self._settings.latitude + north / METRES_PER_DEGREE, course, speed_kmh)

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


def _moving(settings: Settings) -> Moving:
    return Moving(
        longitude=settings.longitude,
        latitude=settings.latitude,
        streets=settings.streets,
        wander_m=settings.round_m,
        speed_kmh=settings.speed_kmh,
    )


def build(native_id: str, settings: dict[str, Any], seed: int) -> Terminal:
    """Raises ValueError for an id that has no place in the frame."""
    read = convert(settings, Settings)
    digits_max = 20 if read.standard == "2019" else 12
    if not native_id.isdecimal() or len(native_id) > digits_max:
        raise ValueError(
            f"the phone number of a {read.standard} terminal has {digits_max} digits at most, not {native_id!r}"
        )
    return Terminal(native_id, read, seed)
