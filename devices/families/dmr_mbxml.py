"""Numbers of Motorola's binary XML (MBXML), read one after another. Used by dmr_lrrp.py.

uintvar: 7 bits a byte, bit 7 says that another follows. sintvar: the same, bit 6 of the first byte is the sign.
ufloatvar, sfloatvar: such a whole number, then a uintvar of n bytes that counts parts of 128^n.
Info time, 40 bits: year 14, month 4, day 5, hour 5, minute 6, second 6. Latitude: sign and 31 bits of 180/2^32 degrees;
longitude: two's complement of 360/2^32 degrees.
"""

from datetime import UTC, datetime

VARIABLE_BYTES_MAX = 5
TIME_BYTES = 5


class Reader:
    """Takes values from the front of `data`. Where it ends too early, zeros come, and `short` is set for good."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.short = False

    @property
    def left(self) -> int:
        return 0 if self.short else len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if self.left < count:
            self.short = True
            return bytes(min(count, len(self._data)))
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def byte(self) -> int:
        return int.from_bytes(self.take(1))

    def uintvar(self) -> int:
        return self._variable(0x7F)[0]

    def sintvar(self) -> int:
        value, _, negative = self._variable(0x3F)
        return -value if negative else value

    def ufloatvar(self) -> float:
        return self.uintvar() + self._fraction()

    def sfloatvar(self) -> float:
        """The sign belongs to the fraction, too: there is a minus zero."""
        whole, _, negative = self._variable(0x3F)
        value = whole + self._fraction()
        return -value if negative else value

    def opaque(self) -> bytes:
        return self.take(self.uintvar())

    def latitude(self) -> float:
        raw = int.from_bytes(self.take(4))
        degrees = (raw & 0x7FFFFFFF) * 180 / 2**32
        return -degrees if raw >> 31 else degrees

    def longitude(self) -> float:
        return int.from_bytes(self.take(4), signed=True) * 360 / 2**32

    def time(self) -> datetime | None:
        raw = int.from_bytes(self.take(TIME_BYTES))
        parts = (raw >> 26, raw >> 22 & 15, raw >> 17 & 31, raw >> 12 & 31, raw >> 6 & 63, raw & 63)
        try:
            return datetime(*parts, tzinfo=UTC)
        except ValueError:
            return None

    def _fraction(self) -> float:
        value, count, _ = self._variable(0x7F)
        return float(value / 128**count)

    def _variable(self, first_mask: int) -> tuple[int, int, bool]:
        """Value, its bytes, and bit 6 of the first of them."""
        value, count, first = 0, 0, 0
        while count < VARIABLE_BYTES_MAX:
            byte = self.byte()
            first = byte if count == 0 else first
            value = value << 7 | byte & (first_mask if count == 0 else 0x7F)
            count += 1
            if not byte & 0x80:
                return value, count, bool(first & 0x40)
        self.short = True
        return 0, 1, False


def write_uintvar(value: int) -> bytes:
    found = bytes((value & 0x7F,))
    while value := value >> 7:
        found = bytes((value & 0x7F | 0x80,)) + found
    return found
