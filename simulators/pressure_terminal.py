"""A MEOKON terminal on a fire water main, device side.

    A5 5A | 00 | length(2) | id(12) | battery | signal | interval(2) | records(2)=1 | type 1 | alarms | low(2) | high(2)
          | now(2) | time(4) | record(2) | CRC-16 of Modbus(2) | 55 AA          big-endian; pressures in kPa

Nothing is confirmed. Settings: `report_every_s`. Actions: pressure_low, pressure_high, pressure_normal.
"""

import re
from datetime import datetime
from struct import pack
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted
from simulators.scripted import Periods, Talker, no_args

LOW, HIGH = 200, 800
LOW_BIT, HIGH_BIT = 1, 2
BATTERY_95, SIGNAL_DBM = 19, -56
UPLOAD, MEGAPASCALS, FRAME_BYTES = 0, 1, 41
INTERVAL_S, RECORDS = 60, 1


class PressureTerminal(Talker):
    WHAT, FAMILY = "a pressure terminal", "meokon"
    ACTIONS: ClassVar = no_args("pressure_low", "pressure_high", "pressure_normal")
    CONFIRMED = False

    def __init__(self, native_id: str, periods: Periods, seed: int) -> None:
        super().__init__(native_id, periods, seed)
        self._bits = 0

    def happened(self, action: str, said: Any, at: datetime) -> None:
        before, self._bits = self._bits, {"pressure_low": LOW_BIT, "pressure_high": HIGH_BIT}.get(action, 0)
        names = {LOW_BIT: "pressure_low", HIGH_BIT: "pressure_high"}
        rows = [self.row("supervisory", at, name, raised=True) for bit, name in names.items() if self._bits & bit]
        over = before & ~self._bits
        rows += [self.row("supervisory", at, name, raised=False) for bit, name in names.items() if over & bit]
        self._record(at, *rows)

    def measured(self, at: datetime) -> None:
        self._record(at)

    def _record(self, at: datetime, *rows: Accepted) -> None:
        low, high = {LOW_BIT: (50, 150), HIGH_BIT: (850, 950)}.get(self._bits, (400, 600))
        now = self.chance.randrange(low, high)
        head = pack(">2sBH12s", b"\xa5\x5a", UPLOAD, FRAME_BYTES, self.native_id.encode())
        state = pack(">BbHHBB", BATTERY_95, SIGNAL_DBM, INTERVAL_S, RECORDS, MEGAPASCALS, self._bits)
        body = head + state + pack(">hhhIh", LOW, HIGH, now, int(at.timestamp()), now)
        row = self.row("telemetry", at, pressure_mpa=now / 1_000)
        self.tell(self.next_key(), body + pack(">H", _crc(body)) + b"\x55\xaa", *rows, row)


def _crc(data: bytes) -> int:
    check = 0xFFFF
    for byte in data:
        check ^= byte
        for _ in range(8):
            check = check >> 1 ^ (0xA001 if check & 1 else 0)
    return check


def build(native_id: str, settings: dict[str, Any], seed: int) -> PressureTerminal:
    """Raises ValueError for what is no number of a terminal."""
    if not re.fullmatch(r"[0-9A-Za-z]{12}", native_id):
        raise ValueError(f"the number of a terminal has 12 letters and digits, not {native_id!r}")
    return PressureTerminal(native_id, convert(settings, Periods), seed)
