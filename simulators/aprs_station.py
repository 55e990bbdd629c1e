"""An amateur radio station, as an APRS-IS server passes its packets on: one line each.

    SOURCE>APRS:!ddmm.mmN/dddmm.mmE>comment          where it is
    SOURCE>304TV1:`...v>/comment                      Mic-E, latitude and message bits in the destination: emergency

Nothing is confirmed, and no packet has a time. Settings: `report_every_s` and those of whereabouts.py.
Actions: emergency.
"""

import re
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted
from simulators.scripted import Placed, Talker, no_args
from simulators.whereabouts import Spot

DIGIT, NORTH, EAST = ord("0"), ord("P"), 100
STANDING_STILL = bytes((28 + 80, 28, 28))  # speed 0, course 0
CAR = b">/"


class AprsStation(Talker):
    WHAT, FAMILY = "a radio station", "aprs"
    ACTIONS: ClassVar = no_args("emergency")
    CONFIRMED = False

    def happened(self, action: str, said: Any, at: datetime) -> None:
        """Message bits 000: the first three characters of the destination are plain digits."""
        spot = self.where(at)
        digits = _hundredths(spot.latitude, 2).replace(".", "")
        north = chr(NORTH + int(digits[3]))  # what stands for a digit says north, too
        destination = f"{digits[:3]}{north}{chr(NORTH + int(digits[4]))}{digits[5]}"  # 100 degrees more; east
        number = self.next_key()
        text = f"{self.native_id}>{destination}:`".encode() + _mic_e(spot) + CAR + f"help {number}\r\n".encode()
        self.tell(number, text, self.row("sos", at, raised=True), self._position(at))

    def measured(self, at: datetime) -> None:
        place = self._position(at)
        spot = self.where(at)
        north, east = _hundredths(spot.latitude, 2), _hundredths(spot.longitude, 3)
        number = self.next_key()
        self.tell(number, f"{self.native_id}>APRS:!{north}N/{east}E>{number}\r\n".encode(), place)

    def _position(self, at: datetime) -> Accepted:
        spot = self.where(at)
        east, north = (round(degrees * 6_000) / 6_000 for degrees in (spot.longitude, spot.latitude))
        return self.row("position", at, longitude=east, latitude=north)


def _mic_e(spot: Spot) -> bytes:
    """Degrees from 110 on, minutes and hundredths."""
    text = _hundredths(spot.longitude, 3)
    degrees, minutes, hundredths = int(text[:3]) - EAST, int(text[3:5]), int(text[6:])
    return bytes((degrees + 28, minutes + 28 if minutes >= 10 else minutes + 88, hundredths + 28)) + STANDING_STILL


def _hundredths(degrees: float, digits: int) -> str:
    whole, part = divmod(round(abs(degrees) * 6_000), 6_000)
    return f"{whole:0{digits}}{part / 100:05.2f}"


def build(native_id: str, settings: dict[str, Any], seed: int) -> AprsStation:
    """Raises ValueError for what is no callsign, or a place that this station cannot write."""
    if not re.fullmatch(r"[A-Z0-9]{3,6}(-[0-9]{1,2})?", native_id):
        raise ValueError(f"a callsign such as BH4ABC-7, not {native_id!r}")
    read = convert(settings, Placed)
    if not EAST + 10 <= read.longitude < 180 or read.latitude < 0:
        raise ValueError("longitude from 110 to 180 and latitude from 0 on: more was not needed")
    return AprsStation(native_id, read, seed)
