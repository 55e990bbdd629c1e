"""A TETRA radio, as a terminal's PEI prints its short data: location reports (LIP) that ask for a report of delivery.
It answers texts with a report of delivery, and tells where it is when it is asked.

    +CTSDSR: 12,CALLING,0,CALLED,0,BITS CR LF hex CR LF
    83 | TRANSFER and report wanted (04) | reference | LIP short report of 76 bits
    LIP: type(2)=0 elapsed(2)=0 longitude(25) latitude(24) error(3) speed(7) direction(4) kind(1)=0 reason(8)
The answer, AT+CMGS=CALLING,BITS and hex 83 1… status reference and 1A, confirms that reference. To the radio, likewise:
82 04 reference coding text (answered 82 10 00 reference) and 0A 45 80, a request for its location (reason 32).

Settings: `report_every_s` and those of whereabouts.py. Actions: emergency (reason 2), low_battery (12).
"""

import re
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted
from simulators.scripted import Placed, Talker, no_args

DISPATCHER = 7_654_321
LIP_WITH_HEADER, REPORT_WANTED = 0x83, 0x04
TEXT_WITH_HEADER = 0x82
LOCATION_WANTED = bytes.fromhex("0A4580")
ANY_REASON, ON_REQUEST, SPEED_UNKNOWN = 129, 32, 127
TEXTS_KEPT = 20
REASONS = {"emergency": (2, "sos"), "low_battery": (12, "low_battery")}
LIP_BITS, HEADER_BITS = 76, 24
NUMBER_MAX = 0xFFFFFF
ANSWER = re.compile(rb"AT\+CMGS=(\d+),\d+\r\n([0-9A-F]+)\x1a")


class TetraRadio(Talker):
    WHAT, FAMILY = "a radio", "tetra"
    ACTIONS: ClassVar = no_args(*REASONS)

    def __init__(self, native_id: str, settings: Placed, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self.texts: list[str] = []

    def happened(self, action: str, said: Any, at: datetime) -> None:
        reason, kind = REASONS[action]
        self._located(reason, at, self.row(kind, at, raised=True))

    def measured(self, at: datetime) -> None:
        self._located(ANY_REASON, at)

    def heard(self, received: bytes, now: datetime) -> bytes:
        for found in ANSWER.finditer(received):
            data = bytes.fromhex(found[2].decode()) if len(found[2]) % 2 == 0 else b""
            if found[1].decode() == self.native_id and len(data) > 2:
                self._told(data, now)
        return received[received.rfind(b"\x1a") + 1 :]

    def _told(self, data: bytes, now: datetime) -> None:
        if data == LOCATION_WANTED:
            self._located(ON_REQUEST, now)
        elif data[1] >> 4 == 1:
            self.confirm(data[-1])
        elif data[0] == TEXT_WITH_HEADER and len(data) > 3:
            encoding = "utf-16-be" if data[3] == 0x1A else "latin-1"
            self.texts = [*self.texts, data[4:].decode(encoding, "replace")][-TEXTS_KEPT:]
            self.remark(self._line(bytes((TEXT_WITH_HEADER, 0x10, 0, data[2])).hex().upper(), 32))

    def _located(self, reason: int, at: datetime, *rows: Accepted) -> None:
        spot = self.where(at)
        east, north = round(spot.longitude * 2**25 / 360), round(spot.latitude * 2**24 / 180)
        position = self.row("position", at, longitude=east * 360 / 2**25, latitude=north * 180 / 2**24)
        bits = east & (1 << 25) - 1
        for value, width in ((north, 24), (0, 3), (SPEED_UNKNOWN, 7), (0, 4), (0, 1), (reason, 8)):
            bits = bits << width | value & (1 << width) - 1
        reference = self.next_key() % 256
        data = f"{LIP_WITH_HEADER:02X}{REPORT_WANTED:02X}{reference:02X}{bits << 4:020X}"
        self.tell(reference, self._line(data, HEADER_BITS + LIP_BITS), *rows, position)

    def _line(self, data: str, bits: int) -> bytes:
        return f"+CTSDSR: 12,{self.native_id},0,{DISPATCHER},0,{bits}\r\n{data}\r\n".encode()


def build(native_id: str, settings: dict[str, Any], seed: int) -> TetraRadio:
    """Raises ValueError for what is no radio number."""
    if not native_id.isdecimal() or not 0 < int(native_id) <= NUMBER_MAX:
        raise ValueError(f"a radio number is from 1 to {NUMBER_MAX}, not {native_id!r}")
    return TetraRadio(native_id, convert(settings, Placed), seed)
