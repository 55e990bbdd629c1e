"""SenML packs (RFC 8428) in JSON and CBOR, resolved (section 4.6).

    pack    [ record, ... ]
    record  bn bt bu bv bs bver    base fields: in force from this record on       CBOR: -2 -3 -4 -5 -6 -1
            n t u ut               name, time, unit, update time                          0  6  1  7
            v | vs | vb | vd | s   one value, or a sum alone                              2  3  4  8 | 5

Name, time, value and sum are the base's and the record's together, the unit is the record's or the base's. A time from
2^28 on is seconds since 1970, a smaller one is relative to now. A record without a value and without a sum, with two
values, with a name that the characters do not allow, or with an unknown label that ends in `_`, makes the pack invalid:
nothing of it is believed. Other unknown labels are left out.
"""

import re
from base64 import urlsafe_b64encode
from math import isfinite
from typing import Any

from msgspec import Struct

from devices.cbor import CborError, read_cbor
from devices.json_text import read_json

RECORDS_MAX = 2_000
VERSION = 10
ABSOLUTE_FROM = 2**28
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")
NAME_CHARS_MAX = 250

LABELS = {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs"}
LABELS |= dict(enumerate(("n", "u", "v", "vs", "vb", "s", "t", "ut", "vd")))
TEXTS = frozenset({"bn", "bu", "n", "u", "vs"})
NUMBERS = frozenset({"bt", "bv", "bs", "t", "ut", "v", "s"})
VALUES = ("v", "vs", "vb", "vd")


class Record(Struct, frozen=True):
    """A resolved record. `base` is what of the name the base gave; `time` is relative to now when `relative`."""

    name: str
    base: str
    time: float
    unit: str = ""
    value: float | None = None
    text: str | None = None
    flag: bool | None = None
    data: str | None = None  # base64url without padding
    sum: float | None = None
    update_s: float | None = None

    @property
    def relative(self) -> bool:
        return self.time < ABSOLUTE_FROM


class Invalid(ValueError):
    """The pack is not as the RFC wants it."""


def read(data: bytes, content_type: str) -> list[Record]:
    """Raises Invalid. Without a content type the first byte tells: `[` or a blank is JSON, a CBOR array is not."""
    if "cbor" in content_type or (not content_type and data[:1] and data[0] >> 5 == 4):
        try:
            pack = read_cbor(data)
        except CborError as error:
            raise Invalid(str(error)) from error
    else:
        pack = read_json(data, list[dict[str, Any]])
    if not isinstance(pack, list) or not 0 < len(pack) <= RECORDS_MAX:
        raise Invalid("no array of records")
    base: dict[str, Any] = {}
    return [_resolve(_fields(record), base) for record in pack]


def _fields(record: Any) -> dict[str, Any]:
    """Labels by name, each of its kind."""
    if not isinstance(record, dict):
        raise Invalid("record is no object")
    found: dict[str, Any] = {}
    for label, value in record.items():
        name = LABELS.get(label, "") if isinstance(label, int) else label
        if name.endswith("_"):
            raise Invalid("label that must be understood")
        found[name] = _number(name, value) if name in NUMBERS else value
    for name in TEXTS & found.keys():
        if not isinstance(found[name], str):
            raise Invalid(f"{name} is no text")
    if not isinstance(found.get("vb", False), bool) or not isinstance(found.get("vd", ""), str | bytes):
        raise Invalid("value of another kind")
    return found


def _number(name: str, value: Any) -> float:
    """Whole numbers stay whole; NaN and infinities, which CBOR has, are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(f"{name} is no number")
    try:
        finite = isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise Invalid(f"{name} is out of range")
    return value


def _resolve(fields: dict[str, Any], base: dict[str, Any]) -> Record:
    """One record under the base fields in force; `base` is kept up to date."""
    base |= {name: fields[name] for name in ("bn", "bt", "bu", "bv", "bs", "bver") if name in fields}
    version = base.get("bver", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version <= VERSION:
        raise Invalid("version unknown")
    values = [name for name in VALUES if name in fields]
    if not values and "bv" in base:
        values = ["v"]
    sums = "s" in fields or "bs" in base
    if len(values) > 1 or not (values or sums):
        raise Invalid("not one value in a record")
    name = base.get("bn", "") + fields.get("n", "")
    if not NAME.fullmatch(name) or len(name) > NAME_CHARS_MAX:
        raise Invalid("name not allowed")
    kind = values[0] if values else ""
    data = fields.get("vd")
    return Record(
        name=name,
        base=base.get("bn", ""),
        time=_sum(base.get("bt", 0), fields.get("t", 0)),
        unit=fields.get("u", base.get("bu", "")),
        value=_sum(base.get("bv", 0), fields.get("v", 0)) if kind == "v" else None,
        text=fields.get("vs"),
        flag=fields.get("vb"),
        data=urlsafe_b64encode(data).decode().rstrip("=") if isinstance(data, bytes) else data,
        sum=_sum(base.get("bs", 0), fields.get("s", 0)) if sums else None,
        update_s=fields.get("ut"),
    )


def _sum(one: float, other: float) -> float:
    found = one + other
    if isinstance(found, float) and not isfinite(found):
        raise Invalid("sum is out of range")
    return found
