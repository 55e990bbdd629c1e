"""Cutting a byte stream into frames, and checksums. Family-independent; no I/O.

A family gives `Framer` one pure function, its cutter:

    cut(buffer, final) -> Cut   buffer holds at least one byte; final = no more bytes will follow these

- wait:    Cut(0)                          the frame at the start is not complete yet
- skip:    Cut(n)                          n bytes of silence between frames (CR LF, padding): not even noise
- noise:   Cut(n, reason="...")            n bytes that are no frame; reported as Rejected
- frame:   Cut(n, frame=...)               a complete frame whose integrity was checked
- broken:  Cut(n, frame=..., reason="...") a complete frame that is wrong: reported by itself, whole, as Rejected

A cutter that finds a bad checksum gives up the start mark, or its first byte, so that a good frame inside the bad one
is still found. Neighbouring pieces of noise with the same reason are reported once, when the next
frame or the silence after them ends them, so that the way the stream was chopped up never shows in the results.
"""

from collections.abc import Callable

from msgspec import Struct

from devices.observation import REJECTED_BYTES_MAX, Rejected, rejected


class Cut(Struct, frozen=True):
    taken: int
    frame: bytes | None = None
    reason: str = ""


class Framer:
    """Bytes that wait for the rest of their frame; never more than `bytes_max` of them.

    When the limit is reached without a frame, the first byte is given up as noise and the rest is looked at again.
    """

    def __init__(self, cut: Callable[[bytes, bool], Cut], bytes_max: int) -> None:
        self._cut = cut
        self._bytes_max = bytes_max
        self._waiting = b""
        self._noise = b""
        self._reason = ""

    @property
    def waiting(self) -> int:
        """Bytes held back; above 0 means that a frame was begun."""
        return len(self._waiting)

    def feed(self, data: bytes) -> list[bytes | Rejected]:
        self._waiting += data
        return self._scan(give_up=False)

    def idle(self) -> list[bytes | Rejected]:
        """Silence: what waits is not going to be completed. Give up marks one by one, keep the frames behind them."""
        return self._scan(give_up=True)

    def _scan(self, give_up: bool) -> list[bytes | Rejected]:
        found: list[bytes | Rejected] = []
        buffer, at = self._waiting, 0
        while at < len(buffer):
            cut = self._cut(buffer[at : at + self._bytes_max], give_up)
            if cut.taken == 0:
                if not give_up and len(buffer) - at < self._bytes_max:
                    break
                cut = Cut(1, reason="frame incomplete" if give_up else "frame too long")
            piece = buffer[at : at + cut.taken]
            at += cut.taken
            if cut.frame is not None:
                self._flush_noise(found)
                found.append(rejected(cut.reason, cut.frame) if cut.reason else cut.frame)
            elif cut.reason:
                self._hold_noise(piece, cut.reason, found)
        self._waiting = buffer[at:]
        if give_up:
            self._flush_noise(found)
        return found

    def _hold_noise(self, piece: bytes, reason: str, found: list[bytes | Rejected]) -> None:
        if reason != self._reason:
            self._flush_noise(found)
        self._reason = reason
        self._noise = (self._noise + piece)[:REJECTED_BYTES_MAX]

    def _flush_noise(self, found: list[bytes | Rejected]) -> None:
        if self._reason:
            found.append(Rejected(reason=self._reason, frame=self._noise))
        self._noise, self._reason = b"", ""


LINE_BLANKS = b"\r\n\0"


def cut_line(buffer: bytes, final: bool) -> Cut:
    """A line of text without its end; what is empty or blank is skipped. The last line needs no end."""
    if buffer[0] in LINE_BLANKS:
        return Cut(len(buffer) - len(buffer.lstrip(LINE_BLANKS)))
    ends = [at for at in (buffer.find(b"\r"), buffer.find(b"\n")) if at >= 0]
    if not ends and not final:
        return Cut(0)
    end = min(ends, default=len(buffer))
    return Cut(end, frame=buffer[:end])


def sum8(data: bytes) -> int:
    """Sum of all bytes modulo 256 (GB/T 26875.3)."""
    return sum(data) & 0xFF


def xor8(data: bytes) -> int:
    """Exclusive or of all bytes (JT/T 808, NMEA 0183)."""
    folded = int.from_bytes(data)
    half = 4 << (len(data) - 1).bit_length()  # bits of half the next power of two of bytes
    while half >= 8:  # one half on the other: a loop over the bytes takes many times as long
        folded ^= folded >> half
        half >>= 1
    return folded & 0xFF


def crc16(data: bytes, start: int = 0) -> int:
    """Polynomial 0xA001, reflected: SIA DC-09 starts with 0, Modbus with 0xFFFF."""
    value = start
    for byte in data:
        value = value >> 8 ^ _CRC16[(value ^ byte) & 0xFF]
    return value


def _crc16_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC16 = [_crc16_of_byte(byte) for byte in range(256)]
