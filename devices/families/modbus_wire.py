"""Modbus frames (Modbus Application Protocol 1.1b3), read into plain values, and the values that registers hold.

    RTU: unit | function | data | CRC-16 (start FFFF, low byte first)
    TCP: transaction(2) | protocol(2) = 0 | length(2) | unit | function | data
    data of a request:  01-04, 0F, 10: start(2) count(2) ...   05, 06: address(2) value(2)
    data of an answer:  01, 02: bytes(1), bits, the lowest first   03, 04: bytes(1), registers, big-endian
    exception: function with bit 7 | code
Values of two registers come in four orders of their bytes: abcd (big-endian), cdab, badc, dcba.
"""

import struct
from math import isfinite
from typing import Any

from msgspec import Struct

from devices.framing import crc16

BITS, REGISTERS = frozenset({1, 2}), frozenset({3, 4})
WRITE_ONE, WRITE_MANY = frozenset({5, 6}), frozenset({15, 16})
EXCEPTION = 0x80
RTU_BYTES_MIN, TCP_HEAD_BYTES = 4, 7
REGISTERS_MAX, BITS_MAX = 125, 2_000
WORDS = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2}
SIGNED = frozenset({"s16", "s32"})
ORDERS = {"abcd": (0, 1, 2, 3), "cdab": (2, 3, 0, 1), "badc": (1, 0, 3, 2), "dcba": (3, 2, 1, 0)}

Fields = dict[str, Any]


class Adu(Struct, frozen=True):
    """`transaction` is -1 in RTU, `crc_ok` True in TCP."""

    unit: int
    function: int
    data: bytes
    transaction: int = -1
    crc_ok: bool = True


def read_rtu(frame: bytes) -> Adu | None:
    """None when it is too short to be one."""
    if len(frame) < RTU_BYTES_MIN:
        return None
    good = crc16(frame[:-2], 0xFFFF) == int.from_bytes(frame[-2:], "little")
    return Adu(frame[0], frame[1], frame[2:-2], crc_ok=good)


def read_tcp(frame: bytes) -> Adu | None:
    """None when it is no frame of the protocol, or cut short."""
    if len(frame) <= TCP_HEAD_BYTES or frame[2:4] != b"\0\0":
        return None
    if int.from_bytes(frame[4:6]) != len(frame) - 6:
        return None
    return Adu(frame[6], frame[7], frame[8:], transaction=int.from_bytes(frame[:2]))


def read_request(adu: Adu) -> Fields | None:
    """None when it is cut short or its function is not read."""
    if len(adu.data) < 4:
        return None
    address, second = int.from_bytes(adu.data[:2]), int.from_bytes(adu.data[2:4])
    if adu.function in WRITE_ONE:
        return {"address": address, "value": second}
    if adu.function in BITS | REGISTERS | WRITE_MANY:
        return {"address": address, "count": second}
    return None


def read_answer(adu: Adu) -> Fields | None:
    """`registers`, `bits` (as many as the bytes hold), `exception`, or the echo of a write; None as in read_request."""
    if adu.function & EXCEPTION:
        return {"exception": adu.data[0]} if adu.data else None
    if adu.function not in BITS | REGISTERS:
        return read_request(adu)
    values = adu.data[1:]
    if not values or adu.data[0] != len(values) or (adu.function in REGISTERS and len(values) % 2):
        return None
    if adu.function in BITS:
        return {"bits": [byte >> bit & 1 for byte in values for bit in range(8)]}
    return {"registers": [int.from_bytes(values[at : at + 2]) for at in range(0, len(values), 2)]}


def read_value(registers: list[int], type_: str, order: str) -> float | None:
    """The value of the first register, or of the first two; None for no number."""
    if WORDS[type_] == 1:
        return registers[0] - 0x10000 if type_ in SIGNED and registers[0] & 0x8000 else registers[0]
    raw = b"".join(register.to_bytes(2) for register in registers[:2])
    sorted_bytes = bytes(raw[at] for at in ORDERS[order])
    if type_ != "f32":
        return int.from_bytes(sorted_bytes, signed=type_ in SIGNED)
    value: float = struct.unpack(">f", sorted_bytes)[0]
    return value if isfinite(value) else None
