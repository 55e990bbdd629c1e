"""OSDP v2 (SIA OSDP, IEC 60839-11-5): packets on RS-485, read and written. What a control panel does: osdp.py.

    [FF mark] | 53 | A | LL LL | C | [security block] | code | data | [MAC 4] | check
    A  address, bit 7 set in replies, 7F broadcast      L  length (LE), from 53 to the check
    C  bits 0-1 sequence, bit 2 CRC (else checksum), bit 3 security block
    security block   length, type, data: 11 CHLNG 12 CCRYPT 13 SCRYPT 14 RMAC_I, 15/16 MAC only, 17/18 MAC and encrypted
    check            CRC-16, poly 1021, init 1D0F, low byte first; or two's complement of the sum, one byte

Source: the OSDP standard, its Annex E, and packets of OSDP.Net and libosdp.
"""

import binascii
import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from devices.framing import Cut

FRAME_BYTES_MAX = 1_440
FRAME_BYTES_MIN = 7
MARK, START = b"\xff", 0x53
REPLY, BROADCAST = 0x80, 0x7F
CRC_BIT, SECURE_BIT = 0x04, 0x08
CRC_INIT = 0x1D0F
MAC_BYTES = 4
WITH_MAC, ENCRYPTED = (0x15, 0x16, 0x17, 0x18), (0x17, 0x18)
NOISE = re.compile(rb"[^\x53\xff]+")

POLL, ID, CAP, LSTAT, ISTAT, OSTAT, RSTAT = 0x60, 0x61, 0x62, 0x64, 0x65, 0x66, 0x67
OUT, LED, BUZ, KEYSET, CHLNG, SCRYPT = 0x68, 0x69, 0x6A, 0x75, 0x76, 0x77
ACK, NAK, PDID, PDCAP, LSTATR, ISTATR, OSTATR, RSTATR = 0x40, 0x41, 0x45, 0x46, 0x48, 0x49, 0x4A, 0x4B
RAW, FMT, KEYPAD, CCRYPT, RMAC_I, BUSY = 0x50, 0x51, 0x53, 0x76, 0x78, 0x79

COMMANDS = {POLL: "POLL", ID: "ID", CAP: "CAP", LSTAT: "LSTAT", ISTAT: "ISTAT", OSTAT: "OSTAT", RSTAT: "RSTAT"}
COMMANDS |= {OUT: "OUT", LED: "LED", BUZ: "BUZ", 0x6B: "TEXT", 0x6E: "COMSET", 0x73: "BIOREAD", 0x74: "BIOMATCH"}
COMMANDS |= {KEYSET: "KEYSET", CHLNG: "CHLNG", SCRYPT: "SCRYPT", 0x7B: "ACURXSIZE", 0x7C: "FILETRANSFER", 0x80: "MFG"}
COMMANDS |= {0xA1: "XWR", 0xA2: "ABORT", 0xA3: "PIVDATA", 0xA4: "GENAUTH", 0xA5: "CRAUTH", 0xA7: "KEEPACTIVE"}
REPLIES = {ACK: "ACK", NAK: "NAK", PDID: "PDID", PDCAP: "PDCAP", LSTATR: "LSTATR", ISTATR: "ISTATR", OSTATR: "OSTATR"}
REPLIES |= {RSTATR: "RSTATR", RAW: "RAW", FMT: "FMT", KEYPAD: "KEYPAD", 0x54: "COM", 0x57: "BIOREADR"}
REPLIES |= {0x58: "BIOMATCHR", CCRYPT: "CCRYPT", RMAC_I: "RMAC_I", BUSY: "BUSY", 0x7A: "FTSTAT", 0x80: "PIVDATAR"}
REPLIES |= {0x81: "GENAUTHR", 0x82: "CRAUTHR", 0x83: "MFGSTATR", 0x84: "MFGERRR", 0x90: "MFGREP", 0xB1: "XRD"}
NAKS = {1: "message check", 2: "length", 3: "unknown command", 4: "sequence", 5: "security required"}
NAKS |= {6: "encryption not ok", 7: "biometrics type", 8: "biometrics format", 9: "record"}
LINK_NAKS = (1, 4, 5, 6)  # the two sides do not agree on the state of the link

Fields = dict[str, Any]


class Packet(Struct, frozen=True, kw_only=True):
    """`block` is the type and data of the security block, None when there is none. `data` is without MAC, and still
    encrypted where the block says so."""

    address: int
    reply: bool
    sequence: int
    code: int
    data: bytes = b""
    crc: bool = True
    block: bytes | None = None
    mac: bytes = b""

    @property
    def secured(self) -> bool:
        """Carries a MAC."""
        return self.block is not None and self.block[:1] != b"" and self.block[0] in WITH_MAC

    @property
    def encrypted(self) -> bool:
        return self.secured and self.block is not None and self.block[0] in ENCRYPTED

    @property
    def name(self) -> str:
        return (REPLIES if self.reply else COMMANDS).get(self.code, f"{self.code:02X}")


def crc(data: bytes) -> int:
    return binascii.crc_hqx(data, CRC_INIT)


def checksum(data: bytes) -> int:
    return -sum(data) & 0xFF


def cut(buffer: bytes, final: bool) -> Cut:
    """Frames begin at 53; the mark before them is silence."""
    if buffer[:1] == MARK:
        return Cut(len(buffer) - len(buffer.lstrip(MARK)))
    if buffer[0] != START:
        noise = NOISE.match(buffer)
        return Cut(noise.end() if noise else 1, reason="start mark missing")
    if len(buffer) < 5:
        return Cut(1, reason="frame incomplete") if final else Cut(0)
    length = int.from_bytes(buffer[2:4], "little")
    if not FRAME_BYTES_MIN <= length <= FRAME_BYTES_MAX:
        return Cut(1, reason="length wrong")
    if len(buffer) < length:
        return Cut(1, reason="frame incomplete") if final else Cut(0)
    if not check_holds(buffer[:length]):
        return Cut(1, reason="check wrong")
    return Cut(length, frame=buffer[:length])


def check_holds(frame: bytes) -> bool:
    if frame[4] & CRC_BIT:
        return crc(frame[:-2]) == int.from_bytes(frame[-2:], "little")
    return checksum(frame[:-1]) == frame[-1]


def read_packet(frame: bytes) -> Packet | None:
    """A frame as the cutter gave it; None when its parts do not fit into it."""
    control, end = frame[4], len(frame) - (2 if frame[4] & CRC_BIT else 1)
    at, block = 5, None
    if control & SECURE_BIT:
        size = frame[5]
        if size < 2 or 5 + size >= end:
            return None
        at, block = 5 + size, frame[6 : 5 + size]
    if at >= end:
        return None
    mac = block is not None and block[0] in WITH_MAC
    stop = end - MAC_BYTES if mac else end
    if stop <= at:
        return None
    return Packet(
        address=frame[1] & ~REPLY,
        reply=bool(frame[1] & REPLY),
        sequence=control & 3,
        crc=bool(control & CRC_BIT),
        block=block,
        code=frame[at],
        data=frame[at + 1 : stop],
        mac=frame[stop:end] if mac else b"",
    )


def write_packet(packet: Packet, seal: Callable[[bytes], bytes] | None = None) -> bytes:
    """The bytes for the line, mark included. `seal` makes the MAC of all that stands before it."""
    block = b"" if packet.block is None else bytes((len(packet.block) + 1,)) + packet.block
    control = packet.sequence | (CRC_BIT if packet.crc else 0) | (SECURE_BIT if block else 0)
    inside = block + bytes((packet.code,)) + packet.data
    sealed = packet.secured
    length = 5 + len(inside) + (MAC_BYTES if sealed else 0) + (2 if packet.crc else 1)
    address = packet.address | (REPLY if packet.reply else 0)
    frame = bytes((START, address)) + length.to_bytes(2, "little") + bytes((control,)) + inside
    if sealed:
        frame += seal(frame)[:MAC_BYTES] if seal else packet.mac
    return MARK + frame + (crc(frame).to_bytes(2, "little") if packet.crc else bytes((checksum(frame),)))


# --- data of replies and commands ----------------------------------------------------------------


def read_data(code: int, reply: bool, data: bytes) -> Fields:
    """What the data says, {} when it is too short or of a kind that is not read."""
    reader = (_REPLY_DATA if reply else _COMMAND_DATA).get(code)
    least, read = reader if reader else (0, None)
    return read(data) if read and len(data) >= least else {}


def _pdid(data: bytes) -> Fields:
    return {
        "vendor": data[:3].hex().upper(),
        "model": data[3],
        "version": data[4],
        "serial": int.from_bytes(data[5:9], "little"),
        "firmware": ".".join(map(str, data[9:12])),
    }


def _pdcap(data: bytes) -> Fields:
    found = [data[at : at + 3] for at in range(0, len(data) - 2, 3)]
    return {"capabilities": [{"function": one[0], "compliance": one[1], "number": one[2]} for one in found]}


def _raw(data: bytes) -> Fields:
    """Bits are left aligned, the first on the wire first."""
    count = int.from_bytes(data[2:4], "little")
    whole = "".join(f"{byte:08b}" for byte in data[4:])
    found: Fields = {"reader": data[0], "format": data[1], "bit_count": count, "data": data[4:]}
    return found | ({"bits": whole[:count]} if 0 < count <= len(whole) else {})


def _fmt(data: bytes) -> Fields:
    text = data[3 : 3 + data[2]].decode("ascii", "replace")
    return {"reader": data[0], "direction": data[1], "length": data[2], "text": text}


def _keypad(data: bytes) -> Fields:
    return {"reader": data[0], "digits": data[1], "keys": data[2 : 2 + data[1]]}


def _flags(data: bytes) -> Fields:
    return {"states": list(data)}


_REPLY_DATA: dict[int, tuple[int, Callable[[bytes], Fields]]] = {
    NAK: (1, lambda data: {"nak_code": data[0]}),
    PDID: (12, _pdid),
    PDCAP: (3, _pdcap),
    LSTATR: (2, lambda data: {"tamper": data[0], "power": data[1]}),
    ISTATR: (1, _flags),
    OSTATR: (1, _flags),
    RSTATR: (1, _flags),
    RAW: (4, _raw),
    FMT: (3, _fmt),
    KEYPAD: (2, _keypad),
    0x54: (5, lambda data: {"address": data[0], "baud": int.from_bytes(data[1:5], "little")}),
    CCRYPT: (32, lambda data: {"cuid": data[:8], "random": data[8:16], "cryptogram": data[16:32]}),
    RMAC_I: (16, lambda data: {"rmac": data[:16]}),
}
_COMMAND_DATA: dict[int, tuple[int, Callable[[bytes], Fields]]] = {
    0x6E: (5, lambda data: {"address": data[0], "baud": int.from_bytes(data[1:5], "little")}),
    CHLNG: (8, lambda data: {"random": data[:8]}),
    SCRYPT: (16, lambda data: {"cryptogram": data[:16]}),
}

COLOURS = {"off": 0, "red": 1, "green": 2, "amber": 3, "blue": 4, "magenta": 5, "cyan": 6, "white": 7}
TENTHS_MAX = 65_535


def led(colour: str, tenths: int) -> bytes:
    """Data of LED: the first LED of reader 0 in `colour` for `tenths` of a second, then as it was."""
    timer = tenths.to_bytes(2, "little")
    return bytes((0, 0, 2, 10, 0, COLOURS[colour], 0)) + timer + bytes((0, 0, 0, 0, 0))


def buzzer(count: int) -> bytes:
    """Data of BUZ: `count` tones of 0.2 s."""
    return bytes((0, 2, 2, 2, count))


def output(number: int, tenths: int) -> bytes:
    """Data of OUT: output on for `tenths`, then off again."""
    return bytes((number, 5)) + tenths.to_bytes(2, "little")


def output_off(number: int) -> bytes:
    return bytes((number, 1, 0, 0))
