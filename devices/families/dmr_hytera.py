"""Hytera HSTRP and HDAP (RRS registration, LP location, TMP text), read and written.

    HSTRP: "2B" | version 0 | type | sequence(2) | [options] | payload: HDAP messages, one behind the other
           type: 0x20 options, 0x10 reject, 0x08 close, 0x04 connect, 0x02 heartbeat, 0x01 acknowledgement
           option: 7 another follows, 6-0 command | length | data
    HDAP:  service (bit 7: reliable) | opcode(2) | length(2) | payload | checksum | 03
           checksum: (~sum + 0x33) & 0xFF of opcode to payload. RCP (radio control) is little-endian.
    GPS:   40 characters: A|V, HHmmss, ddMMyy, N|S, ddmm.mmmm, E|W, dddmm.mmmm, knots(3), direction(3); NUL: unknown
A radio's address is its network's byte and 24 bits of its number: 10.33.16.221 is radio 2167005.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from devices.families.dmr_mbxml import Reader
from devices.families.nmea_wire import degrees, number, read_date, read_time

HSTRP_MARK, HEADER_BYTES = b"2B", 6
ACK, HEARTBEAT, CONNECT, CLOSE, REJECT, OPTIONS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
OPTION_NAMES = {3: "device_id", 4: "channel_id", 5: "xpt_site", 6: "xpt_index", 7: "xpt_channel_type"}
OPTIONS_MAX, MESSAGES_MAX = 8, 16

RCP, LP, TMP, RRS = 0x02, 0x08, 0x09, 0x11
SERVICES = {RRS: "RRS", LP: "LP", TMP: "TMP", RCP: "RCP", 0x12: "telemetry", 0x13: "DTP", 0x14: "DDS"}
RELIABLE = 0x80
END = 0x03
MESSAGE_BYTES_MIN = 7
GPS_BYTES = 40
LP_REQUEST, TMP_TEXT = 0xA001, 0x80A1  # where are you; a private text that is to be acknowledged

REGISTRATION, REGISTRATION_ANSWER, STATUS_CHECK = 0x0003, 0x0080, 0x0002
RRS_NAMES = {
    0x0003: "registration_request",
    0x0080: "registration_answer",
    0x0001: "going_offline",
    0x0002: "status_check_request",
    0x0082: "status_check_answer",
}
# Opcode -> name, and what stands in front of the GPS block or instead of it ("g" at the end: GPS).
LP_LAYOUTS = {
    0xA001: ("standard_request", "i"),
    0xA002: ("standard_report", "irg"),
    0xA003: ("standard_report_rssi", "irgs"),
    0xB001: ("emergency_stop_request", "i"),
    0xB002: ("emergency_stop_answer", "ir"),
    0xB003: ("emergency_report", "eg"),
    0xC002: ("triggered_answer", "ir"),
    0xC003: ("triggered_report", "itg"),
    0xC005: ("triggered_stop_answer", "ir"),
    0xD003: ("condition_report", "ig"),
    0xD004: ("condition_report_rssi", "irgs"),
}
TMP_NAMES = {
    0xA1: "private_text",
    0xA2: "private_text_ack",
    0xB1: "group_text",
    0xB2: "group_text_ack",
    0xAE: "private_short_data",
    0xAF: "private_short_data_ack",
    0xBE: "group_short_data",
    0xBF: "group_short_data_ack",
}
TMP_ACK = {0xA1: 0xA2}  # a group's text is not acknowledged by one of its members
TMP_CONFIRMED, TMP_OPTION = 0x80, 0x40
INTERVAL_BYTES = 6

Fields = dict[str, Any]


class Packet(Struct, frozen=True):
    """HSTRP. `options`: name -> value."""

    version: int
    type: int
    sequence: int
    options: dict[str, int]
    payload: bytes


class Hdap(Struct, frozen=True):
    service: int
    reliable: bool
    opcode: int
    payload: bytes
    checksum_ok: bool
    end_ok: bool


def read_packet(data: bytes) -> Packet | None:
    if len(data) < HEADER_BYTES or not data.startswith(HSTRP_MARK):
        return None
    reader = Reader(data[HEADER_BYTES:])
    options: dict[str, int] = {}
    more = bool(data[3] & OPTIONS)
    for _ in range(OPTIONS_MAX):
        if not more:
            break
        command = reader.byte()
        value = int.from_bytes(reader.take(reader.byte())[-8:])
        options |= {OPTION_NAMES[command & 0x7F]: value} if command & 0x7F in OPTION_NAMES else {}
        more = bool(command & 0x80)
    if more or reader.short:
        return None
    return Packet(data[2], data[3], int.from_bytes(data[4:6]), options, reader.take(reader.left))


def write_packet(type_: int, sequence: int, payload: bytes = b"") -> bytes:
    return HSTRP_MARK + bytes((0, type_)) + (sequence & 0xFFFF).to_bytes(2) + payload


def checksum(data: bytes) -> int:
    return (~sum(data) + 0x33) & 0xFF


def read_messages(data: bytes) -> list[Hdap] | None:
    """The HDAP messages that stand behind each other; None when the last one is cut short or there is none."""
    found: list[Hdap] = []
    while data and len(found) < MESSAGES_MAX:
        service = data[0] & ~RELIABLE
        order = "little" if service == RCP else "big"
        length = int.from_bytes(data[3:5], "little" if order == "little" else "big")
        end = MESSAGE_BYTES_MIN + length
        if len(data) < end:
            return None
        opcode = int.from_bytes(data[1:3], "little" if order == "little" else "big")
        good = checksum(data[1 : end - 2]) == data[end - 2]
        found.append(Hdap(service, bool(data[0] & RELIABLE), opcode, data[5 : end - 2], good, data[end - 1] == END))
        data = data[end:]
    return found or None


def write_message(service: int, opcode: int, payload: bytes) -> bytes:
    counted = opcode.to_bytes(2) + len(payload).to_bytes(2) + payload
    return bytes((service,)) + counted + bytes((checksum(counted), END))


def address(raw: bytes) -> str:
    return ".".join(str(byte) for byte in raw)


def radio_id(raw: bytes) -> int:
    return int.from_bytes(raw[1:4])


def read_body(message: Hdap) -> Fields | None:
    """What the message says; None when it is cut short, {} when its kind is not read."""
    reader = Reader(message.payload)
    if message.service == RRS:
        fields = _rrs(message.opcode, reader)
    elif message.service == LP:
        fields = _lp(message.opcode, reader)
    elif message.service == TMP:
        fields = _tmp(message.opcode, reader)
    else:
        fields = {}
    return None if reader.short else fields


def _radio(reader: Reader) -> Fields:
    raw = reader.take(4)
    return {"radio_ip": address(raw), "radio_id": radio_id(raw)}


def _rrs(opcode: int, reader: Reader) -> Fields:
    if opcode not in RRS_NAMES:
        return {}
    fields = {"message": RRS_NAMES[opcode], **_radio(reader)}
    if opcode in (0x0080, 0x0082):
        fields["result"] = reader.byte()
    if opcode == REGISTRATION_ANSWER:
        fields["renew_seconds"] = int.from_bytes(reader.take(4))
    return fields


def _lp(opcode: int, reader: Reader) -> Fields:
    """i request id and radio, e radio and kind of emergency, r result, t time left, g GPS, s signal strength."""
    name, layout = LP_LAYOUTS.get(opcode, ("", ""))
    fields: Fields = {"message": name} if name else {}
    for part in layout:
        if part == "i":
            fields["request_id"] = int.from_bytes(reader.take(4))
        if part in "ie":
            fields |= _radio(reader)
        if part == "e":
            fields["emergency_type"] = reader.byte()
        if part == "r":
            fields["result"] = int.from_bytes(reader.take(2))
        if part == "t":
            reader.take(INTERVAL_BYTES)
        if part == "g":
            fields |= read_gps(reader.take(GPS_BYTES))
        if part == "s":
            fields["signal_dbm"] = int.from_bytes(reader.take(2), signed=True)
    return fields


def read_gps(raw: bytes) -> Fields:
    """Unknown parts are None."""
    text = raw.ljust(GPS_BYTES, b"\0").decode("latin-1")
    day, clock = read_date(text[7:13]), read_time(text[1:7])
    return {
        "gps_valid": text[0] == "A",
        "time": datetime.combine(day, clock, UTC) if day and clock else None,
        "latitude": degrees(text[14:23], text[13], 90),
        "longitude": degrees(text[24:34], text[23], 180),
        "speed_knots": number(text[34:37].strip("\0 ")),
        "direction": number(text[37:40].strip("\0 ")),
    }


def _tmp(opcode: int, reader: Reader) -> Fields:
    kind = opcode & 0xFF
    if kind not in TMP_NAMES:
        return {}
    has_option = bool(opcode >> 8 & TMP_OPTION)
    option_bytes = int.from_bytes(reader.take(2)) if has_option else 0
    fields: Fields = {"message": TMP_NAMES[kind], "confirmed": bool(opcode >> 8 & TMP_CONFIRMED)}
    fields |= {"has_option": has_option, "request_id": int.from_bytes(reader.take(4))}
    names = ("destination",) if kind in (0xB2, 0xBF) else ("destination", "source")
    for name in names:
        raw = reader.take(4)
        fields |= {f"{name}_ip": address(raw), f"{name}_id": radio_id(raw)}
    if TMP_NAMES[kind].endswith("ack"):
        fields["result_code"] = reader.byte()
    elif TMP_NAMES[kind].endswith("text"):
        text = reader.take(max(reader.left - option_bytes, 0))
        fields["text"] = text.decode("utf-16-le", "replace").replace("\0", "")
    else:
        fields["data_hex"] = reader.take(max(reader.left - option_bytes, 0)).hex().upper()
    return fields | ({"option_hex": reader.take(option_bytes).hex().upper()} if has_option else {})
