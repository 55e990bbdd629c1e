"""A radio or router that tells where it is in NMEA 0183 sentences with its identifier in front.

    ID $GPRMC,HHMMSS.00,A,ddmm.mmmm,N,dddmm.mmmm,E,knots,course,ddmmyy,,,A*CS CR LF
    ID $AIALR,HHMMSS.00,NNN,A,V,text*CS                                                  A raised, V ended
    CS: XOR of what is between $ and *

Nothing is confirmed. Settings: `report_every_s` and those of whereabouts.py. Actions: fault, repaired.
"""

from datetime import datetime
from functools import reduce
from operator import xor
from typing import Any, ClassVar

from msgspec import convert

from simulators.scripted import Placed, Talker, no_args

ALARM_NUMBER = "006"
KMH_PER_KNOT = 1.852


class NmeaReceiver(Talker):
    WHAT, FAMILY = "a receiver", "nmea"
    ACTIONS: ClassVar = no_args("fault", "repaired")
    CONFIRMED = False

    def happened(self, action: str, said: Any, at: datetime) -> None:
        raised = action == "fault"
        row = self.row("fault", at, ALARM_NUMBER, raised=raised)
        self._say(f"AIALR,{at:%H%M%S}.00,{ALARM_NUMBER},{'A' if raised else 'V'},V,AIS:general failure", row)

    def measured(self, at: datetime) -> None:
        spot = self.where(at)
        north, east = spot.latitude, spot.longitude
        places = f"{_minutes(north, 2)},{'N' if north >= 0 else 'S'},{_minutes(east, 3)},{'E' if east >= 0 else 'W'}"
        row = self.row("position", at, longitude=east, latitude=north)
        way = f"{spot.speed_kmh / KMH_PER_KNOT:.1f},{spot.course_deg:.1f}"
        self._say(f"GPRMC,{at:%H%M%S}.00,A,{places},{way},{at:%d%m%y},,,A", row)

    def _say(self, text: str, row: Any) -> None:
        check = reduce(xor, text.encode())
        self.tell(self.next_key(), f"{self.native_id}${text}*{check:02X}\r\n".encode(), row)


def _minutes(degrees: float, digits: int) -> str:
    whole, part = divmod(round(abs(degrees) * 600_000), 600_000)
    return f"{whole:0{digits}}{part / 10_000:07.4f}"


def build(native_id: str, settings: dict[str, Any], seed: int) -> NmeaReceiver:
    """Raises ValueError for what cannot stand in front of a sentence."""
    if not native_id.isalnum():
        raise ValueError(f"an identifier is letters and digits, not {native_id!r}")
    return NmeaReceiver(native_id, convert(settings, Placed), seed)
