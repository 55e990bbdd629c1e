"""The wire format of Protocol Buffers, as far as small fixed messages need it. Pure; no I/O.

    message = (tag, value)*      tag = varint(field number << 3 | wire type)
    value   = 0 varint · 1 eight bytes, LE · 2 varint(length), bytes · 5 four bytes, LE

Groups (3, 4) were given up long ago and are refused. Source: protobuf.dev/programming-guides/encoding.
"""

from struct import Struct as Layout

FIELDS_MAX = 1_000
VARINT_BYTES_MAX = 10
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
_DOUBLE = Layout("<d")

Value = int | bytes  # of wire types 1 and 5: the bytes
Fields = dict[int, Value]


def read_varint(data: bytes, at: int) -> tuple[int, int] | None:
    """(value, where it ends); None when it is longer than ten bytes, or than the data."""
    value = 0
    for index, byte in enumerate(data[at : at + VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & (1 << 64) - 1, at + index + 1
    return None


def read_fields(data: bytes) -> Fields | None:
    """Field number -> its last value, which is what counts for fields that are not repeated; None if malformed."""
    found: Fields = {}
    at = 0
    for _ in range(FIELDS_MAX):
        if at == len(data):
            return found
        one = _field(data, at)
        if one is None:
            return None
        number, value, at = one
        found[number] = value
    return None


def _field(data: bytes, at: int) -> tuple[int, Value, int] | None:
    tag = read_varint(data, at)
    if tag is None or tag[0] >> 3 == 0:
        return None
    number, kind, at = tag[0] >> 3, tag[0] & 7, tag[1]
    if kind in (VARINT, BYTES):
        read = read_varint(data, at)
        if read is None:
            return None
        if kind == VARINT:
            return number, *read
        length, at = read
    elif kind in (EIGHT, FOUR):
        length = 8 if kind == EIGHT else 4
    else:
        return None
    return (number, data[at : at + length], at + length) if length <= len(data) - at else None


def text(fields: Fields, number: int) -> str:
    """A string, "" when it is not there (proto3 cannot tell the two apart) or no UTF-8."""
    value = fields.get(number)
    try:
        return value.decode() if isinstance(value, bytes) else ""
    except UnicodeDecodeError:
        return ""


def integer(fields: Fields, number: int) -> int:
    value = fields.get(number)
    return value if isinstance(value, int) else 0


def double(fields: Fields, number: int) -> float:
    value = fields.get(number)
    return float(_DOUBLE.unpack(value)[0]) if isinstance(value, bytes) and len(value) == _DOUBLE.size else 0.0


def write_varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def write_field(number: int, value: int | float | str | bytes) -> bytes:
    """One field; as proto3 does, nothing at all for a zero or empty value."""
    if not value:
        return b""
    if isinstance(value, float):
        return write_varint(number << 3 | EIGHT) + _DOUBLE.pack(value)
    if isinstance(value, int):
        return write_varint(number << 3 | VARINT) + write_varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return write_varint(number << 3 | BYTES) + write_varint(len(raw)) + raw
