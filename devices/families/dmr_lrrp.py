"""Motorola LRRP (location request and response, UDP 4001): documents of binary XML, read and written.

    document id | length (uintvar) | [length and constants, documents with an even id] | token value, token value, ...
Tokens mean one thing in requests and another in answers and reports: two tables. A token that is not known ends the
reading, for nothing says how long its value is; what stands before it counts.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from devices.families.dmr_mbxml import Reader, write_uintvar

IMMEDIATE_REQUEST, TRIGGERED_REQUEST, STOP_REQUEST = 0x05, 0x09, 0x0F
TRIGGER_ANSWERS = frozenset({0x0A, 0x10})
DOCUMENTS = {
    0x04: "Immediate-Location-Request",
    0x06: "Immediate-Location-Report",
    0x08: "Triggered-Location-Request",
    0x0A: "Triggered-Location-Answer",
    0x0C: "Triggered-Location-Report",
    0x0E: "Triggered-Location-Stop-Request",
    0x10: "Triggered-Location-Stop-Answer",
    0x12: "Unsolicited-Location-Report",
    0x14: "Location-Protocol-Request",
    0x15: "Location-Protocol-Report",
}
REQUESTS = frozenset({0x04, 0x08, 0x0E, 0x14})
TOKENS_MAX = 64

Value = Any
Read = Callable[[Reader], Value]


class Token(Struct, frozen=True):
    id: int
    name: str
    value: Value


class Document(Struct, frozen=True):
    """`whole` is False when it is cut short or has a token that is not known."""

    id: int
    name: str
    length: int
    length_ok: bool
    tokens: tuple[Token, ...]
    whole: bool

    @property
    def is_request(self) -> bool:
        return base_id(self.id) in REQUESTS

    def first(self, name: str) -> Value:
        """The value of the first token of that name, None when there is none."""
        return next((token.value for token in self.tokens if token.name == name), None)


def _nothing(_: Reader) -> Value:
    return None


def _point_2d(reader: Reader) -> Value:
    return {"latitude": reader.latitude(), "longitude": reader.longitude()}


def _point_3d(reader: Reader) -> Value:
    return {**_point_2d(reader), "altitude_m": reader.sfloatvar()}


def _point_3d_accuracy(reader: Reader) -> Value:
    return {**_point_3d(reader), "altitude_accuracy_m": reader.ufloatvar()}


def _circle_2d(reader: Reader) -> Value:
    return {**_point_2d(reader), "radius_m": reader.ufloatvar()}


def _circle_3d(reader: Reader) -> Value:
    return {**_circle_2d(reader), "altitude_m": reader.sfloatvar(), "altitude_accuracy_m": reader.ufloatvar()}


def _coded_text(reader: Reader) -> Value:
    return {"code": reader.uintvar(), "data": reader.opaque()}


COMMON: dict[int, tuple[str, Read]] = {
    0x22: ("request-id", Reader.opaque),
    0x23: ("request-id", lambda reader: reader.take(1)),
}
IN_REQUEST: dict[int, tuple[str, Read]] = {
    0x31: ("interval", Reader.uintvar),
    0x33: ("oneshot-trigger", _nothing),
    0x34: ("periodic-trigger", _nothing),
    0x3F: ("request-protocol-version", Reader.uintvar),
    0x42: ("require-max-info-age", Reader.uintvar),
    0x4A: ("trg-condition", Reader.uintvar),
    **dict.fromkeys((0x50, 0x51, 0x52, 0x53), ("ret-info", _nothing)),
    0x54: ("request-altitude", _nothing),
    0x55: ("request-altitude-acc", Reader.uintvar),
    0x56: ("request-altitude-acc", Reader.ufloatvar),
    0x57: ("request-direction-hor", _nothing),
    0x5F: ("request-hor-acc", Reader.uintvar),
    0x60: ("request-hor-acc", Reader.ufloatvar),
    0x61: ("request-lev-conf", Reader.byte),
    0x62: ("request-speed-hor", _nothing),
    0x64: ("request-speed-vrt", _nothing),
    0x66: ("require-altitude", _nothing),
    0x67: ("require-altitude-acc", Reader.uintvar),
    0x68: ("require-altitude-acc", Reader.ufloatvar),
    0x69: ("require-direction-hor", _nothing),
    0x71: ("require-hor-acc", Reader.uintvar),
    0x72: ("require-hor-acc", Reader.ufloatvar),
    0x73: ("require-lev-conf", Reader.byte),
    0x74: ("require-speed-hor", _nothing),
    0x76: ("require-speed-vrt", _nothing),
}
IN_REPORT: dict[int, tuple[str, Read]] = {
    0x34: ("info-time", Reader.time),
    0x35: ("info-time", Reader.time),
    0x36: ("protocol-version", Reader.uintvar),
    0x37: ("result", lambda reader: {"code": reader.uintvar(), "data": b""}),
    0x38: ("result", lambda _: {"code": 0, "data": b""}),
    0x39: ("result", _coded_text),
    0x51: ("circle-2d", _circle_2d),
    0x54: ("circle-3d", _circle_3d),
    0x55: ("circle-3d", _circle_3d),
    0x56: ("direction-hor", Reader.byte),
    0x65: ("lev-conf", Reader.byte),
    0x66: ("point-2d", _point_2d),
    0x69: ("point-3d", _point_3d),
    0x6A: ("point-3d", _point_3d_accuracy),
    0x6C: ("speed-hor", Reader.ufloatvar),
    0x70: ("speed-vrt", Reader.sfloatvar),
}
SHAPES = ("circle-2d", "circle-3d", "point-2d", "point-3d")
DIRECTION_STEP_DEG = 2


def base_id(document_id: int) -> int:
    """An odd id says that no constants follow; the kind is that of the even one."""
    return document_id if document_id == 0x15 else document_id & ~1


def read_document(data: bytes) -> Document | None:
    """None when it is no document of LRRP."""
    reader = Reader(data)
    document_id = reader.byte()
    kind = base_id(document_id)
    length = reader.uintvar()
    if reader.short or kind not in DOCUMENTS:
        return None
    length_ok = reader.left == length
    inner = Reader(reader.take(min(length, reader.left)))
    if document_id == kind and kind != 0x15:
        inner.opaque()  # constants: nothing that a location needs stands in them
    table = COMMON | (IN_REQUEST if kind in REQUESTS else IN_REPORT)
    tokens: list[Token] = []
    while inner.left and len(tokens) < TOKENS_MAX:
        token = inner.byte()
        if token not in table:
            inner.short = True
            break
        name, read = table[token]
        value = read(inner)
        if not inner.short:
            tokens.append(Token(token, name, value))
    whole = length_ok and not inner.short
    return Document(document_id, DOCUMENTS[kind], length, length_ok, tuple(tokens), whole)


def shape(document: Document) -> dict[str, float] | None:
    """Where the radio is: latitude, longitude, and what of altitude_m, radius_m is known."""
    found = [token.value for token in document.tokens if token.name in SHAPES]
    return found[0] if found else None


def write_request(request_id: bytes, interval_s: int = 0) -> bytes:
    """Asks for time, accuracy, direction and speed: once, or every `interval_s` seconds."""
    body = b"\x22" + write_uintvar(len(request_id)) + request_id + b"\x51\x57\x62"
    document = IMMEDIATE_REQUEST
    if interval_s:
        body += b"\x34\x31" + write_uintvar(interval_s)
        document = TRIGGERED_REQUEST
    return bytes((document,)) + write_uintvar(len(body)) + body


def write_stop(request_id: bytes) -> bytes:
    """Ends what was asked for under that id."""
    body = b"\x22" + write_uintvar(len(request_id)) + request_id
    return bytes((STOP_REQUEST,)) + write_uintvar(len(body)) + body
