"""An access reader on RS-485, OSDP in clear text: it speaks when it is asked.

    53 | address (80: a reply) | length(2, LE) | control: sequence(2 bits), 04 CRC | code | data | CRC(2, LE)
    asked: 60 poll, 61 who are you, 62 what can you do, 64 how are you, 65-67 inputs, outputs, readers
    said:  40 ACK, 45 identity, 46 abilities, 48 tamper and power, 50 card

The native id is the bus and the address ("bus/1"). Nobody confirms that it was stored.
Settings: `report_every_s` (cards). Actions: tamper, tamper_over.
"""

import re
from binascii import crc_hqx
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Talker, no_args
from simulators.spec import DeviceSpec

MARK, REPLY, WITH_CRC = 0x53, 0x80, 0x04
CRC_START = 0x1D0F
HEAD_BYTES, FRAME_BYTES_MIN, FRAME_BYTES_MAX = 6, 8, 1_440
POLL, ID, CAP, LSTAT = 0x60, 0x61, 0x62, 0x64
ACK, PDID, PDCAP, LSTATR, RAW = 0x40, 0x45, 0x46, 0x48, 0x50
IDENTITY = bytes((1, 2, 3, 1, 1, 0, 0, 0, 7, 1, 0, 0))
ABILITIES = bytes((1, 1, 1))
CARD_BITS = 26


class OsdpReader(Talker):
    WHAT, FAMILY = "a reader", "osdp"
    ACTIONS: ClassVar = no_args("tamper", "tamper_over")
    CONFIRMED = False

    def __init__(self, native_id: str, periods: Periods, seed: int) -> None:
        super().__init__(native_id, periods, seed)
        self._address = int(native_id.rpartition("/")[2])
        self._waiting: deque[tuple[int, bytes, Accepted]] = deque(maxlen=100)
        self._tamper = 0
        self._last: tuple[int, bytes] = (0, b"")

    def happened(self, action: str, said: Any, at: datetime) -> None:
        self._tamper = int(action == "tamper")
        self._waiting.append((LSTATR, bytes((self._tamper, 0)), self.row("tamper", at, raised=bool(self._tamper))))

    def measured(self, at: datetime) -> None:
        number = self.chance.getrandbits(24)
        high, low = (number >> 12).bit_count() % 2, 1 - (number & 0xFFF).bit_count() % 2
        bits = (high << 25 | number << 1 | low) << 6
        data = bytes((0, 1)) + CARD_BITS.to_bytes(2, "little") + bits.to_bytes(4)
        self._waiting.append((RAW, data, self.row("access", at, "reader 0")))

    def heard(self, received: bytes, now: datetime) -> bytes:
        while (start := received.find(MARK)) >= 0 and len(received) - start >= FRAME_BYTES_MIN:
            length = int.from_bytes(received[start + 2 : start + 4], "little")
            if not FRAME_BYTES_MIN <= length <= FRAME_BYTES_MAX:
                received = received[start + 1 :]
                continue
            if len(received) - start < length:
                return received[start:]
            frame, received = received[start : start + length], received[start + length :]
            if frame[1] == self._address:
                self._answer(frame, now)
        return received[-FRAME_BYTES_MAX:]

    def owed(self) -> list[Accepted]:
        rows = [row for _, _, row in self._waiting]
        self._waiting.clear()
        return rows

    def _answer(self, frame: bytes, now: datetime) -> None:
        sequence = frame[4] & 3
        if sequence and self._last[0] == sequence:
            self.remark(self._last[1])  # it was not heard
            return
        code, data, rows = self._said(frame[5])
        told = bytes((MARK, self._address | REPLY)) + (len(data) + FRAME_BYTES_MIN).to_bytes(2, "little")
        told += bytes((sequence | WITH_CRC, code)) + data
        reply = told + crc_hqx(told, CRC_START).to_bytes(2, "little")
        self._last = sequence, reply
        if rows:
            self.tell(self.next_key(), reply, *rows)
            self._mail.send_due(now)
        else:
            self.remark(reply)

    def _said(self, asked: int) -> tuple[int, bytes, list[Accepted]]:
        if asked == POLL and self._waiting:
            code, data, row = self._waiting.popleft()
            return code, data, [row]
        fixed = {ID: (PDID, IDENTITY), CAP: (PDCAP, ABILITIES), LSTAT: (LSTATR, bytes((self._tamper, 0)))}
        code, data = fixed.get(asked, (ACK, b""))
        return code, data, []


def build(native_id: str, settings: dict[str, Any], seed: int) -> OsdpReader:
    """Raises ValueError for what is no bus and address."""
    found = re.fullmatch(r"[0-9A-Za-z_-]+/(\d{1,3})", native_id)
    if not found or int(found[1]) > 126:
        raise ValueError(f"a bus and an address up to 126 such as bus/1, not {native_id!r}")
    return OsdpReader(native_id, convert(settings, Periods), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    readers = [{"address": int(spec.id.rpartition("/")[2])} for spec in specs]
    return {"settings": {"bus": specs[0].id.rpartition("/")[0], "readers": readers}}
