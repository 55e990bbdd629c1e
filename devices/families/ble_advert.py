"""Where values stand in an advertisement, in words short enough for a table. The models: ble_models.py.

    m4:h/100    manufacturer data (company id first), from byte 4: a format of struct (little-endian, > for big), / or *
    s0:mac      service data, from byte 0: an address as written (`rmac`: last byte first), `x16`: 16 bytes as hex
    m5&80       a flag: the bit is set

Properties are `name=place` words; a place behind the end of the data is no property.
"""

import re
from collections.abc import Callable
from struct import calcsize, unpack_from
from typing import Any

from msgspec import Struct

Fields = dict[str, Any]


class Advert(Struct, frozen=True):
    """What one advertisement carries; `uuid` (four hex digits, lower case) is that of the service data."""

    manufacturer: bytes = b""
    service: bytes = b""
    uuid: str = ""
    name: str = ""


Reader = Callable[[Advert], Fields]


class Model(Struct, frozen=True):
    """`start`: how the data begins (`m` or `s` and hex); `sizes`: allowed lengths, () for any; `fixed`: said of all."""

    id: str
    brand: str
    title: str
    type: str
    start: str
    sizes: tuple[int, ...] = ()
    name: str = ""  # regular expression at the start of the advertised name
    uuid: str = ""  # regular expression
    properties: str = ""
    fixed: Fields = {}
    reader: Reader | None = None


PLACE = re.compile(r"([ms])(\d+)(?:&([0-9a-f]{2})|:(>?)([a-zA-Z?]\w*)(?:([/*+])([\d.]+))?)")


def get(advert: Advert, place: str) -> Any:
    """The value at a place; None when the data ends before it."""
    found = PLACE.fullmatch(place)
    assert found is not None, place
    source, at, bits, big, format_, operator, factor = found.groups()
    data = advert.manufacturer if source == "m" else advert.service
    start = int(at)
    if bits:
        return bool(data[start] & int(bits, 16)) if start < len(data) else None
    if format_ in ("mac", "rmac") or format_[0] == "x":
        size = 6 if format_.endswith("mac") else int(format_[1:])
        raw = data[start : start + size]
        if len(raw) < size:
            return None
        return raw.hex() if format_[0] == "x" else address(raw if format_ == "mac" else raw[::-1])
    if start + calcsize(format_) > len(data):
        return None
    value = unpack_from((">" if big else "<") + format_, data, start)[0]
    if operator:
        value = _computed(value, operator, float(factor))
    return value


def _computed(value: float, operator: str, factor: float) -> float:
    if operator == "/":
        return value / factor
    return round(value * factor, 8) if operator == "*" else value + factor


def address(raw: bytes) -> str:
    return raw.hex(":").upper()


def properties(advert: Advert, words: str) -> Fields:
    """What the words name and the advertisement has."""
    places = (word.partition("=")[::2] for word in words.split())
    values = {name: get(advert, place) for name, place in places}
    return {name: value for name, value in values.items() if value is not None}
