"""APRS packets as text (TNC2 form, what APRS-IS and terminal node controllers send), read into plain values.

    SOURCE>DESTINATION,PATH1,PATH2*,qAR,IGATE:type and information        callsigns: 9 characters, with -SSID
    types: ! = position, / @ with time, > status, : message, ; object, ) item, ` ' Mic-E, _ weather, T# telemetry,
           $ raw NMEA, } third party, { user defined
Positions: aprs_position.py. Names of the values are those of the shared vectors. APRS-IS: the first line is
`user CALL pass CODE vers NAME VERSION filter ...`, lines that begin with # are the server's.
"""

import re
from typing import Any

from devices.families.aprs_position import read_mic_e, read_position, read_weather

PACKET_BYTES_MAX = 1_024
CALL = re.compile(r"[A-Z0-9]{1,9}(-[A-Z0-9]{1,8})?", re.ASCII | re.IGNORECASE)
CALL_CHARS_MAX = 9
DESTINATION = re.compile(r"[A-Z0-9]{1,6}(-(\d|1[0-5]))?", re.ASCII)  # an address of AX.25
# Destinations of any packet (Reference, chapter 4): what is sent to them and has no type is a beacon's text.
BEACONS = re.compile(
    "AIR|ALL|AP|BEACON|CQ|GPS|DF|DGPS|DRILL|DX|ID|JAVA|MAIL|MICE|QST|QTH|RTCM|SKY|SPACE|SPC|SYM|TEL|TEST|TLM|WX|ZIP"
)
PATH_CALL = re.compile(r"[A-Z0-9]{1,9}(-[A-Z0-9]{1,8})?\*?", re.ASCII | re.IGNORECASE)
Q_CONSTRUCT = re.compile(r"q..")
PATH_MAX = 16
NESTED_MAX = 2
TIMESTAMP = re.compile(r"\d{6}[zh/]", re.ASCII)
MESSAGE = re.compile(r":([A-Za-z0-9_ \-]{9}):(.*)", re.DOTALL | re.ASCII)
# A number: up to five letters and digits; or two, a brace and perhaps the number of what is acknowledged.
NUMBER_OF = r"(?:([A-Za-z0-9]{2})\}([A-Za-z0-9]{2})?|([A-Za-z0-9]{1,5}))"
NUMBERED = re.compile(r"(.*)\{" + NUMBER_OF, re.DOTALL | re.ASCII)
TEXT = re.compile(r"[^\x00-\x1f|~{]{1,67}")
RESPONSE = re.compile(r"(ack|rej)" + NUMBER_OF, re.ASCII)
BULLETIN = re.compile(r"BLN(?:(\d)([A-Za-z0-9_ -]{5})|([A-Z])([A-Za-z0-9_ -]{5}))", re.ASCII)
UNREAD_TYPES = frozenset("#$%&(*+-.<?[\\]^")  # raw weather and NMEA, queries, capabilities, what nobody uses
DEFINITION = re.compile(r"(PARM|UNIT|EQNS|BITS)\.(.*)", re.DOTALL)
OBJECT = re.compile(r";(?P<name>.{9})(?P<alive>[*_])(?P<time>\d{6}[zh/])?(?P<rest>.*)", re.DOTALL | re.ASCII)
ITEM = re.compile(r"\)(?P<name>[^!_]{3,9})(?P<alive>[!_])(?P<rest>.*)", re.DOTALL)
REPORT = re.compile(r"T#(?P<seq>\d{1,5}|MIC),?(?P<values>[\d.,-]*)(?P<rest>.*)", re.DOTALL | re.ASCII)
NUMBER = re.compile(r"-?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})", re.ASCII)
CHANNELS, ANALOG_CHANNELS = 13, 5
FIND_WITHIN = 40  # a position may stand that far inside the information ("!")

Fields = dict[str, Any]


def passcode(call: str) -> int:
    """The number that APRS-IS wants with a callsign; it proves nothing."""
    code = 0x73E2
    letters = call.partition("-")[0].upper().encode()
    for at in range(0, len(letters), 2):
        code ^= letters[at] << 8 | (letters[at + 1] if at + 1 < len(letters) else 0)
    return code & 0x7FFF


def write_login(call: str, filter_: str) -> bytes:
    line = f"user {call} pass {passcode(call)} vers gridward 1" + (f" filter {filter_}" if filter_ else "")
    return line.encode() + b"\r\n"


def write_ack(call: str, to: str, number: str) -> bytes:
    return f"{call}>APZGRD,TCPIP*::{to:<9}:ack{number}\r\n".encode()


def write_text(call: str, to: str, text: str, number: int) -> bytes | None:
    """A message that asks to be acknowledged; None when the text cannot be one."""
    if not TEXT.fullmatch(text):
        return None
    return f"{call}>APZGRD,TCPIP*::{to:<9}:{text}{{{number}\r\n".encode()


def read_packet(text: str, nested: int = 0) -> Fields | None:
    """None for what is no packet, or has nothing in it."""
    head, colon, information = text.partition(":")
    source, arrow, rest = head.partition(">")
    destination, *path = rest.split(",", PATH_MAX)
    calls = CALL.fullmatch(source) and len(source) <= CALL_CHARS_MAX and DESTINATION.fullmatch(destination)
    if not (colon and arrow and calls and (len(information) > 1 or information == ">")):
        return None
    if len(path) > PATH_MAX or not all(PATH_CALL.fullmatch(one) and _short(one) for one in path):
        return None
    via = path[-1] if len(path) > 1 and Q_CONSTRUCT.fullmatch(path[-2]) else ""
    fields = _information(destination, information, nested)
    if fields is None:
        return None
    return {"from": source, "to": destination, "path": path, "via": via, **fields}


def _short(call: str) -> bool:
    return len(call.rstrip("*")) <= CALL_CHARS_MAX


def _information(destination: str, text: str, nested: int) -> Fields | None:
    kind, rest = text[0], text[1:]
    if kind in "!=":
        return _position(rest, kind == "=")
    if kind in "/@":
        stamp = {"raw_timestamp": rest[:7]} if TIMESTAMP.match(rest) else {}
        found = _position(rest[7:] if stamp else rest, kind == "@")
        return found and {**stamp, **found}
    if kind in "`'":
        return read_mic_e(destination, rest)
    if kind == "}":
        inner = read_packet(rest, nested + 1) if nested < NESTED_MAX else None
        return inner and {"format": "thirdparty", "subpacket": inner}
    if kind in UNREAD_TYPES:
        return {"format": "unread", "text": text}
    readers = {">": _status, ":": _message, ";": _object, ")": _item, "_": _weather, "T": _report, "{": _user_defined}
    readers[","] = _invalid
    found = readers[kind](text) if kind in readers else _other(destination, text)
    return _other(destination, text) if found == {} else found


def _position(text: str, capable: bool) -> Fields | None:
    found = read_position(text)
    return found and {"messagecapable": capable, **found}


def _status(text: str) -> Fields:
    stamp = {"raw_timestamp": text[1:8]} if TIMESTAMP.match(text, 1) else {}
    return {**stamp, "format": "status", "status": text[8 if stamp else 1 :].strip()}


def _weather(text: str) -> Fields | None:
    """Without a position: month, day, hour and minute in front."""
    if not re.match(r"_\d{8}", text, re.ASCII):
        return None
    weather, rest = read_weather(text[9:])
    return {"format": "wx", "wx_raw_timestamp": text[1:9], "comment": rest.strip(), "weather": weather}


def _object(text: str) -> Fields | None:
    found = OBJECT.fullmatch(text)
    position = read_position(found["rest"]) if found else None
    if found is None or position is None:
        return None
    kind = position["format"]
    fields = {"object_name": found["name"], "alive": found["alive"] == "*"}
    stamp = {"raw_timestamp": found["time"]} if found["time"] else {}
    return {**position, **fields, **stamp, "format": "object", "object_format": kind}


def _item(text: str) -> Fields | None:
    found = ITEM.fullmatch(text)
    position = read_position(found["rest"]) if found else None
    if found is None or position is None:
        return None
    return {**position, "object_name": found["name"], "alive": found["alive"] == "!", "format": "item"}


def _report(text: str) -> Fields | None:
    found = REPORT.fullmatch(text)
    if found is None:
        return None
    values = [value for value in found["values"].split(",") if value]
    analog, bits = values[:ANALOG_CHANNELS], (values[ANALOG_CHANNELS:] or [""])[0]
    seq = int(found["seq"]) if found["seq"].isdecimal() else found["seq"]
    fields: Fields = {"seq": seq, "vals": [float(one) for one in analog if NUMBER.fullmatch(one)], "bits": bits}
    return {"format": "telemetry", "telemetry": fields, "comment": found["rest"].strip()}


def _invalid(text: str) -> Fields:
    """Data that its sender knows to be wrong, or a test."""
    return {"format": "invalid", "body": text[1:]}


def _user_defined(text: str) -> Fields:
    return {"format": "user-defined", "id": text[1:2], "type": text[2:3], "body": text[3:]}


def _other(destination: str, text: str) -> Fields:
    """A position may stand inside other text; else it is a beacon, or of a type that is not read."""
    at = text.find("!", 0, FIND_WITHIN)
    found = _position(text[at + 1 :], False) if at >= 0 else None
    return found or {"format": "beacon" if BEACONS.match(destination) else "unread", "text": text}


# --- messages ---


def _message(text: str) -> Fields:
    """{} for what only begins as one."""
    found = MESSAGE.fullmatch(text)
    if found is None:
        return {}
    to, content = found[1], found[2]
    if bulletin := BULLETIN.fullmatch(to):
        return _bulletin(bulletin, content)
    if definition := DEFINITION.fullmatch(content):
        return {"format": "telemetry-message", "addresse": to.strip(), **_definition(definition[1], definition[2])}
    return {"format": "message", "addresse": to.strip(), **_text(content)}


def _bulletin(found: re.Match[str], content: str) -> Fields:
    number, group, letter, tail = found.groups()
    identifier = (group if number else tail).rstrip()
    if number:
        kind = "group-bulletin" if identifier else "bulletin"
        return {"format": kind, "message_text": content.strip(), "bid": number, "identifier": identifier}
    return {"format": "announcement", "message_text": content.strip(), "aid": letter, "identifier": identifier}


def _definition(kind: str, text: str) -> Fields:
    parts = [part.strip() for part in text.split(",")]
    if kind == "BITS":
        return {"tBITS": parts[0][:8], "title": ",".join(parts[1:])}
    if kind == "EQNS":
        numbers = [float(part) if NUMBER.fullmatch(part) else 0.0 for part in parts]
        numbers += [float(at % 3 == 1) for at in range(len(numbers), 15)]  # left out: as it was measured
        return {"tEQNS": [numbers[at : at + 3] for at in range(0, 15, 3)]}
    return {f"t{kind}": (parts + [""] * CHANNELS)[:CHANNELS]}


def _text(content: str) -> Fields:
    """`{AB}CD` carries a number and an acknowledgement."""
    if response := RESPONSE.fullmatch(content.strip()):
        return {"response": response[1], **_numbers(response[2], response[3], response[4])}
    if numbered := NUMBERED.fullmatch(content.rstrip()):
        return {"message_text": numbered[1].strip(), **_numbers(numbered[2], numbered[3], numbered[4])}
    return {"message_text": content.strip()}


def _numbers(paired: str | None, acknowledged: str | None, plain: str | None) -> Fields:
    return {"msgNo": paired or plain} | ({"ackMsgNo": acknowledged} if acknowledged else {})
