"""An elder health band, "ZJ" firmware with index numbers, device side.

Settings: `report_every_s` (position and counters), `link_every_s` (LK), and those of whereabouts.py. Without `streets`
it strays about where it starts, `wander_m` at most.
Actions: sos, fall, off_wrist, on_wrist, low_battery, charged, heart with `bpm`, move with `longitude`, `latitude`.

An alarm of the same kind within REPEAT_S of the last one is a repetition to the other side: it is answered and makes no
new alarm, so the band does not claim one.

It does what it is asked (`find`, `CR`, `UPLOAD`, …) and sends the word back; POWEROFF makes it silent for good.

A band is not answered for a position. It therefore sends LK behind each one: links are read in order, so the answer to
that LK says that the position before it was taken, too.
"""

import math
import random
import re
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct, convert
from msgspec.structs import replace

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

SOS, REMOVED, FALL, LOW_BATTERY_STATE, LOW_BATTERY, WORN_STATE = 1 << 16, 1 << 20, 1 << 21, 1, 1 << 17, 1 << 3
BATTERY_FULL, BATTERY_LOW = 88, 12
HEX = re.compile(rb"[0-9A-Fa-f]{1,8}")
CONFIRMS = frozenset({"AL", "LK"})
OBEYED = frozenset("FIND CR PING CALL MONITOR CENTER SOS1 SOS2 SOS3 UPLOAD RESET POWEROFF FACTORY MESSAGE LZ".split())
OBEYED |= frozenset("hrtstart bphrt bodytemp2 oxstart REMOVE FALLDOWN LSSET IP".split())
MEASURED = {
    "hrtstart": "heart,72",
    "bphrt": "bphrt,121,79,72,,,,",
    "bodytemp2": "btemp2,1,36.6",
    "oxstart": "oxygen,0,97",
}
STRIDE_M = 5.0
GROUND_M = 5  # above the sea, outdoors
REPEAT_S = 60
ASKED_KEPT = 20


class Settings(Moving, frozen=True, forbid_unknown_fields=True):
    report_every_s: Seconds = 30.0
    link_every_s: Seconds = 60.0
    wander_m: Annotated[float, Meta(ge=0, le=10_000)] = 60.0


class Beats(Struct, frozen=True, forbid_unknown_fields=True):
    bpm: Annotated[int, Meta(ge=0, le=300)] = 72


class To(Struct, frozen=True, forbid_unknown_fields=True):
    longitude: Longitude
    latitude: Latitude


ALARMS = {"sos": SOS, "fall": FALL, "off_wrist": REMOVED, "low_battery": LOW_BATTERY}
ACTIONS: dict[str, type[NoArgs | Beats | To]] = {
    **dict.fromkeys((*ALARMS, "on_wrist", "charged"), NoArgs),
    "heart": Beats,
    "move": To,
}


class Band:
    """See simulators.device.SimulatedDevice."""

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        self.native_id = native_id
        self._settings = settings
        self._random = random.Random(f"{seed}/{native_id}")
        self._mail = Mailbag[bytes]()
        self._index = self._random.randrange(60_000)
        self._battery = BATTERY_FULL
        self._worn = True
        self._pressed: tuple[str, datetime] | None = None
        self._steps = self._random.randrange(200, 4_000)
        self._east_m = self._north_m = 0.0
        self._seed = f"{seed}/{native_id}"
        self._whereabouts = Whereabouts(settings, self._seed)
        self._report = Every(settings.report_every_s)
        self._link = Every(settings.link_every_s)
        self._seconds = OwnSeconds()
        self._received = b""
        self.asked: list[str] = []  # contents of what it was asked, for whoever looks
        self._off = False

    @property
    def unanswered(self) -> int:
        return len(self._mail)

    def connected(self, now: datetime) -> None:
        self._received = b""
        self._mail.start_over()
        self._say(f"LK,{self._steps},0,{self._battery}")

    def act(self, action: str, args: dict[str, Any], now: datetime) -> None:
        said = args_of(ACTIONS, "a band", action, args)
        self._whereabouts.move(now)
        if action in ALARMS:
            if action == "off_wrist":
                self._worn = False
            if action == "low_battery":
                self._battery = BATTERY_LOW
            self._alarm(ALARMS[action], action, now)
        elif isinstance(said, Beats):
            self._say(f"heart,{said.bpm}")
        elif isinstance(said, To):
            moved = replace(self._settings, longitude=said.longitude, latitude=said.latitude, floor="")
            self._whereabouts = Whereabouts(moved, self._seed)
            self._east_m = self._north_m = 0.0
        elif action == "on_wrist":
            self._worn = True
            self._position(now, over="off_wrist")
        else:
            self._battery = BATTERY_FULL
            self._position(now, over="low_battery")

    def tick(self, now: datetime) -> None:
        if self._off:
            return
        if self._settings.report_every_s and self._seconds.free(now) and self._report.due(now):
            self._whereabouts.move(now)
            self._wander()
            self._position(now)
        if self._link.due(now):
            self._say(f"LK,{self._steps},0,{self._battery}")
        self._mail.send_due(now)

    def receive(self, data: bytes, now: datetime) -> None:
        self._received += data
        *frames, self._received = self._received.split(b"]")
        for frame in frames:
            fields = frame.rpartition(b"[")[2].split(b"*")
            if len(fields) != 5 or not HEX.fullmatch(fields[2]):
                continue
            content = fields[4].decode("ascii", "replace")
            if content in CONFIRMS:
                self._mail.confirm(int(fields[2], 16))
            elif not self._off:
                self._obey(content, now)

    def to_send(self) -> list[bytes]:
        return self._mail.take_out()

    def accepted(self) -> list[Accepted]:
        return self._mail.take_accepted()

    def said(self) -> list[Accepted]:
        return []

    def owed(self) -> list[Accepted]:
        return self._mail.owed()

    def _obey(self, content: str, now: datetime) -> None:
        word, *args = content.split(",")
        if word not in OBEYED:
            return
        self.asked = [*self.asked[-ASKED_KEPT:], content]
        self._say(word)
        if word == "CR":
            self._position(now)
        elif word == "UPLOAD" and args and args[0].isdecimal():
            self._report = Every(float(args[0]))
        elif word == "POWEROFF":
            self._off = True
        elif word in MEASURED and args != ["0"]:
            self._say(MEASURED[word])

    # --- reports ---

    def _alarm(self, bit: int, kind: str, now: datetime) -> None:
        at = self._seconds.take(now)
        last, self._pressed = self._pressed, (kind, at)
        again = last is not None and last[0] == kind and (at - last[1]).total_seconds() < REPEAT_S + 1
        rows = self._place_rows(at) if again else [self._row(kind, at, raised=True), *self._place_rows(at)]
        self._send(f"AL,{self._fields(at, bit)}", rows)

    def _position(self, now: datetime, over: str = "") -> None:
        """`over`: the alarm that this position takes back."""
        at = self._seconds.take(now)
        rows = [self._row(over, at, raised=False)] if over else []
        bits = (0 if self._worn else REMOVED) | (LOW_BATTERY_STATE if self._battery == BATTERY_LOW else 0)
        if not self._worn:
            rows.append(self._row("off_wrist", at, raised=True))
        if self._battery == BATTERY_LOW:
            rows.append(self._row("low_battery", at, raised=True))
        position = self._frame(f"UD,{self._fields(at, bits)}")
        link = self._frame(f"LK,{self._steps},0,{self._battery}")
        self._mail.report(Report(self._index, position + link, [*rows, *self._place_rows(at)]))

    def _fields(self, at: datetime, bits: int) -> str:
        spot = self._place()
        speed_kmh, course_deg = (spot.speed_kmh, spot.course_deg) if self._settings.streets else (1.2, 90)
        altitude_m = GROUND_M if spot.altitude_m is None else round(spot.altitude_m)
        state = bits | (0 if self._worn else WORN_STATE)
        return (
            f"{at:%d%m%y,%H%M%S},A,{spot.latitude:.6f},N,{spot.longitude:.6f},E,{speed_kmh},{course_deg},{altitude_m},"
            f"9,90,{self._battery},{self._steps},0,{state:08X}"
        )

    def _place_rows(self, at: datetime) -> list[Accepted]:
        spot = self._place()
        counters = {"battery_percent": self._battery, "steps": self._steps, "tumbles": 0, "cell_signal_percent": 90}
        return [
            self._row("position", at, longitude=round(spot.longitude, 6), latitude=round(spot.latitude, 6)),
            self._row("telemetry", at, **counters),
        ]

    def _row(self, kind: str, at: datetime, **values: Any) -> Accepted:
        return Accepted(device=f"watch:{self.native_id}", kind=kind, observed_at=at, values=values)

    def _wander(self) -> None:
        """On, where there are no streets."""
        self._steps += self._random.randrange(5, 20)
        heading = self._random.uniform(0, 2 * math.pi)
        reach = self._settings.wander_m
        self._east_m = max(-reach, min(reach, self._east_m + STRIDE_M * math.sin(heading)))
        self._north_m = max(-reach, min(reach, self._north_m + STRIDE_M * math.cos(heading)))

    def _place(self) -> Spot:
        spot = self._whereabouts.spot
        if self._settings.streets:
            return spot
        metres_east = METRES_PER_DEGREE * math.cos(math.radians(spot.latitude))
        longitude = spot.longitude + self._east_m / metres_east
        return replace(spot, longitude=longitude, latitude=spot.latitude + self._north_m / METRES_PER_DEGREE)

    def _send(self, content: str, rows: list[Accepted]) -> None:
        frame = self._frame(content)
        self._mail.report(Report(self._index, frame, rows))

    def _say(self, content: str) -> None:
        self._mail.say(self._frame(content))

    def _frame(self, content: str) -> bytes:
        self._index = (self._index + 1) & 0xFFFF
        return f"[ZJ*{self.native_id}*{self._index:04X}*{len(content):04X}*{content}]".encode()


def build(native_id: str, settings: dict[str, Any], seed: int) -> Band:
    return Band(native_id, convert(settings, Settings), seed)
