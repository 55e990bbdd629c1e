"""Motorola ARS (registration, UDP 4005) and TMS (text, UDP 4007), read and written.

ARS: length(2) | header | [second header] | [length device] [length user] [length password]
TMS: length(2) | header | length of address, address | [second header, third header] | text UTF-16LE
header: 7 another header follows, 6 acknowledgement wanted (ARS answers: 1 = refused), 5 priority, 4 control, 3-0 type
second header of an ARS registration: 6-5 event (1 first, 2 again), 4-0 encoding; of an answer: half hours or reason
An answer of two more bytes and no second header is the short form of a control block (CSBK).
second header of TMS: 4-0 low bits of the sequence, third: 6-5 its high bits, 4-0 encoding (4: UTF-16LE)
"""

from typing import Any

from devices.families.dmr_mbxml import Reader

ARS_TYPES = {
    0: "device_registration",
    1: "device_deregistration",
    4: "status_query",
    5: "user_registration",
    6: "user_deregistration",
    7: "user_response",
    15: "response",
}
CAPABILITIES = ("limited", "internal", "external", "full")
REGISTRATION_EVENTS = {1: "initial", 2: "refresh"}
UTF16 = 4
CSBK_BYTES = 2
STATUS_QUERY = bytes.fromhex("000174")
AVAILABILITY_ACK = bytes.fromhex("00021F00")

Fields = dict[str, Any]


def _header(data: bytes) -> tuple[Fields, int, Reader] | None:
    """What both protocols begin with, the type, and the reader behind; None when that is not there."""
    reader = Reader(data)
    length, header = int.from_bytes(reader.take(2)), reader.byte()
    if reader.short:
        return None
    fields: Fields = {
        "length": length,
        "length_ok": length == len(data) - 2,
        "more_headers": bool(header & 0x80),
        "ack_requested": bool(header & 0x40),
        "control": bool(header & 0x10),
    }
    return fields | {"header": header}, header & 15, reader


def read_ars(data: bytes) -> Fields | None:
    """None when it is too short or of no known type."""
    start = _header(data)
    if start is None or start[1] not in ARS_TYPES:
        return None
    fields, kind, reader = start
    fields |= {"pdu": ARS_TYPES[kind], "priority": bool(fields["header"] & 0x20)}
    second = reader.byte() if fields["more_headers"] else 0
    if kind in (7, 15):
        fields["success"] = not fields.pop("ack_requested")
        if fields["more_headers"]:
            fields["refresh_time_half_hours" if fields["success"] else "failure_reason"] = second & 0x7F
        fields["csbk"] = reader.left == CSBK_BYTES and not fields["more_headers"]
    elif kind in (0, 5):
        fields["event"] = REGISTRATION_EVENTS.get(second >> 5 & 3, "")
        fields["encoding"] = second & 31
        for name in ("device_id", "user_id", "password"):
            fields[name] = reader.take(reader.byte() if reader.left else 0).decode("utf-8", "replace")
    return None if reader.short else fields


def read_tms(data: bytes) -> Fields | None:
    """None when it is cut short or of no known type."""
    start = _header(data)
    if start is None:
        return None
    fields, kind, reader = start
    address = reader.take(reader.byte())
    fields["address_hex"] = address.hex().upper()
    if fields["control"] and kind == 0:
        fields["pdu"] = "service_availability"
        if fields["more_headers"]:
            fields["capability"] = CAPABILITIES[reader.byte() & 3]
    elif kind in (0, 15):
        fields["pdu"] = "acknowledgement" if kind else "text_message"
        if fields["more_headers"]:
            fields |= _sequence(reader)
        if not kind:
            fields["text"] = reader.take(reader.left).decode("utf-16-le", "replace").replace("\0", "")
    else:
        return None
    return None if reader.short else fields


def _sequence(reader: Reader) -> Fields:
    low = reader.byte()
    high = reader.byte() if low & 0x80 else 0
    return {"sequence": (high >> 5 & 3) << 5 | low & 31} | ({"encoding": high & 31} if low & 0x80 else {})


# --- answers and texts ---


def write_ars_answer(refresh_half_hours: int) -> bytes:
    return bytes.fromhex("0002BF") + bytes((refresh_half_hours & 0x7F,))


def write_tms_ack(sequence: int | None) -> bytes:
    """To a text; one without a sequence number is acknowledged without."""
    if sequence is None:
        return AVAILABILITY_ACK
    return bytes((0, 4, 0x9F, 0, 0x80 | sequence & 31, (sequence >> 5 & 3) << 5))


def write_tms_text(sequence: int, text: str) -> bytes:
    """A text that asks for its acknowledgement; radios write a subject in front, ours is empty."""
    head = bytes((0xE0, 0, 0x80 | sequence & 31, (sequence >> 5 & 3) << 5 | UTF16))
    body = head + f"\r\n{text}".encode("utf-16-le")
    return len(body).to_bytes(2) + body
