"""CBOR (RFC 8949), read into plain values with named limits. Only what data needs: no tags but decimal fractions.

Integers, byte and text strings, arrays, maps, floats of 16, 32 and 64 bits, false, true, null, undefined (as None),
indefinite lengths, tag 4 (decimal fraction, RFC 8949 section 3.4.4), tag 55799 (this is CBOR, section 3.4.6). Anything
else, a map key that is neither integer nor text, bytes behind the value and what goes beyond a limit: CborError.
"""

from struct import unpack
from typing import Any

DEPTH_MAX = 16
ITEMS_MAX = 50_000
EXPONENT_MAX = 300

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
INDEFINITE = 31
BREAK = 0xFF
DECIMAL_FRACTION, SELF_DESCRIBED = 4, 55_799
SIMPLES = {20: False, 21: True, 22: None, 23: None}
FLOATS = {25: ">e", 26: ">f", 27: ">d"}


class CborError(ValueError):
    """Bytes that are no CBOR value within the limits."""


def read_cbor(data: bytes) -> Any:
    """The one value that `data` is; raises CborError."""
    reader = _Reader(data)
    value = reader.value(DEPTH_MAX)
    if reader.at != len(data):
        raise CborError("bytes behind the value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self._items = 0

    def value(self, depth: int) -> Any:
        self._items += 1
        if depth == 0 or self._items > ITEMS_MAX:
            raise CborError("too deep or too many items")
        first = self._take(1)[0]
        major, minor = first >> 5, first & 31
        if major == SIMPLE:
            return self._simple(minor)
        if minor == INDEFINITE:
            return self._indefinite(major, depth)
        argument = self._argument(minor)
        if major == UNSIGNED:
            return argument
        if major == NEGATIVE:
            return -1 - argument
        if major in (BYTES, TEXT):
            return self._string(major, argument)
        if major == TAG:
            return self._tagged(argument, depth)
        if argument > ITEMS_MAX:
            raise CborError("too many items")
        if major == ARRAY:
            return [self.value(depth - 1) for _ in range(argument)]
        return dict(self._pair(depth) for _ in range(argument))

    def _take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        if len(taken) < count:
            raise CborError("cut short")
        self.at += count
        return taken

    def _argument(self, minor: int) -> int:
        if minor < 24:
            return minor
        if minor > 27:
            raise CborError("length reserved")
        return int.from_bytes(self._take(1 << minor - 24))

    def _string(self, major: int, size: int) -> bytes | str:
        raw = self._take(size)
        if major == BYTES:
            return raw
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise CborError("text is no UTF-8") from error

    def _pair(self, depth: int) -> tuple[int | str, Any]:
        key = self.value(depth - 1)
        if not isinstance(key, int | str) or isinstance(key, bool):
            raise CborError("map key is neither integer nor text")
        return key, self.value(depth - 1)

    def _indefinite(self, major: int, depth: int) -> Any:
        if major not in (BYTES, TEXT, ARRAY, MAP):
            raise CborError("length reserved")
        found: list[Any] = []
        while not self._broken():
            found.append(self._pair(depth) if major == MAP else self.value(depth - 1))
        if major == ARRAY:
            return found
        if major == MAP:
            return dict(found)
        kind: type[bytes | str] = bytes if major == BYTES else str
        if not all(isinstance(chunk, kind) for chunk in found):
            raise CborError("chunk of another kind")
        return kind().join(found)

    def _broken(self) -> bool:
        if self._data[self.at : self.at + 1] != bytes((BREAK,)):
            return False
        self.at += 1
        return True

    def _simple(self, minor: int) -> Any:
        if minor in FLOATS:
            return unpack(FLOATS[minor], self._take(1 << minor - 24))[0]
        if minor in SIMPLES:
            return SIMPLES[minor]
        raise CborError("simple value unknown")

    def _tagged(self, tag: int, depth: int) -> Any:
        inner = self.value(depth - 1)
        if tag == SELF_DESCRIBED:
            return inner
        whole = isinstance(inner, list) and len(inner) == 2 and all(type(one) is int for one in inner)
        if tag != DECIMAL_FRACTION or not whole or abs(inner[0]) > EXPONENT_MAX:
            raise CborError("tag unknown")
        exponent, mantissa = inner
        try:
            return mantissa * 10**exponent if exponent >= 0 else mantissa / 10**-exponent
        except OverflowError as error:
            raise CborError("number out of range") from error
