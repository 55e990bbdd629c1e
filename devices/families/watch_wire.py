"""Frames of the "3G" / "SG" / "CS" / "ZJ" bands, read into plain values. What they mean stands in watch.py.

    [ vendor(2) * device id * (index(4 hex) *) length(4 hex) * content ]        text, in both directions

The length is that of the content, and is often wrong. A frame ends where the length says when a `]` stands there, else
at the first `]` that is followed by the next `[` or by silence; `strict` drops such frames instead. The index exists in
newer firmware only. Binary content (voice, pictures) escapes } [ ] , * as 7D 01 .. 7D 05.

    position = ddMMyy, HHmmss (UTC), A|V, latitude, N|S, longitude, E|W, speed km/h, course, altitude m, satellites,
               signal 0-100, battery %, steps, tumbles, status hex, network
    network  = cells, (timing advance, MCC, MNC, {LAC, CID, signal} * cells),
               wifi, {ssid, bssid, signal} * wifi, accuracy
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from typing import Any

from msgspec import Struct

from devices.framing import Cut

FRAME_BYTES_MAX = 20_000  # a voice chunk has 1 to 10 KB
HEADER_BYTES_MAX = 48
HEADER = re.compile(
    rb"\[([A-Za-z0-9]{2})\*([0-9A-Za-z]{1,20})\*(?:([0-9A-Fa-f]{4})\*(?=[0-9A-Fa-f]{4}\*))?([0-9A-Fa-f]{4})\*"
)
BLANKS = b" \r\n\t\0"
BRACKET = re.compile(rb"\][ \r\n\t\0]*\[")  # behind the first `]` the next frame begins
LAST_BRACKET = re.compile(rb"\][ \r\n\t\0]*\Z")
NUMBER = re.compile(r"[ \t]*[+-]?(\d+(\.\d*)?|\.\d+)[ \t]*", re.ASCII)
TIME = re.compile(r" *(\d\d)(\d\d)(\d\d) *, *(\d\d)(\d\d)(\d\d) *", re.ASCII)
HEX_OF_UTF16 = re.compile(rb"([0-9A-Fa-f]{4})+")
NOISE = re.compile(rb"[^\[ \r\n\t\0]+")
ESCAPE, COMMA = 0x7D, 0x2C
ESCAPED = {1: 0x7D, 2: 0x5B, 3: 0x5D, 4: 0x2C, 5: 0x2A}

# Bits of the status word: low half state, high half alarms.
ALARM_BITS = {0: "low_battery", 1: "left_fence", 2: "entered_fence", 14: "power_cut", 16: "sos", 17: "low_battery"}
ALARM_BITS |= {18: "left_fence", 19: "entered_fence", 20: "removed", 21: "fall", 22: "fall"}
WORN_STATE_BIT, MOTION_BIT = 3, 4

Fields = dict[str, Any]


class Frame(Struct, frozen=True):
    """`index` is "" in firmware without it; `content` as it came, escapes included."""

    vendor: str
    device: str
    index: str
    declared: int
    type: str
    content: bytes

    @property
    def length_ok(self) -> bool:
        return self.declared == len(self.content)

    @property
    def fields(self) -> list[str]:
        """What stands behind the type, separated by commas."""
        return self.content.decode("utf-8", "replace").split(",")[1:]


def cutter(strict: bool) -> Callable[[bytes, bool], Cut]:
    return partial(_cut, strict)


def _cut(strict: bool, buffer: bytes, final: bool) -> Cut:
    if buffer[0] in BLANKS:
        return Cut(len(buffer) - len(buffer.lstrip(BLANKS)))
    if buffer[:1] != b"[":
        noise = NOISE.match(buffer)
        return Cut(noise.end() if noise else 1, reason="start mark missing")
    header = HEADER.match(buffer)
    if header is None:
        whole = final or len(buffer) >= HEADER_BYTES_MAX or b"]" in buffer
        return Cut(1, reason="header unreadable") if whole else Cut(0)
    end = header.end() + int(header[4], 16)
    if len(buffer) <= end and not final:
        return Cut(0)
    if buffer[end : end + 1] != b"]":
        if strict:
            return Cut(1, reason="length wrong")
        end = _bracket(buffer, header.end(), final)
        if end < 0:
            return Cut(1, reason="frame incomplete") if final or len(buffer) >= FRAME_BYTES_MAX else Cut(0)
    if buffer[end - 1] == ESCAPE:
        return Cut(1, reason="escape cut short")
    if end == header.end() or buffer[header.end()] == COMMA:
        return Cut(end + 1, frame=buffer[: end + 1], reason="type missing")
    return Cut(end + 1, frame=buffer[: end + 1])


def _bracket(buffer: bytes, start: int, final: bool) -> int:
    """Where the first `]` stands behind which the next frame begins, or nothing comes any more; -1 when unknown."""
    found = BRACKET.search(buffer, start) or (LAST_BRACKET.search(buffer, start) if final else None)
    return found.start() if found else -1


def read_frame(frame: bytes) -> Frame:
    """A frame as the cutter gave it."""
    header = HEADER.match(frame)
    assert header is not None, "frames come from the cutter"
    vendor, device, index, length = header.groups()
    content = frame[header.end() : -1]
    kind = content.partition(b",")[0].decode("ascii", "replace")
    return Frame(vendor.decode(), device.decode(), (index or b"").decode(), int(length, 16), kind, content)


def write_frame(vendor: str, device: str, index: str, content: str) -> bytes:
    """`content` without `[`, `]` and `*`."""
    numbered = f"{index}*" if index else ""
    return f"[{vendor}*{device}*{numbered}{len(content.encode()):04X}*{content}]".encode()


def unescape(content: bytes) -> bytes:
    """Binary content; an escape that does not exist stays as it is."""
    found = bytearray()
    at = 0
    while at < len(content):
        escaped = ESCAPED.get(content[at + 1]) if content[at] == ESCAPE and at + 1 < len(content) else None
        found.append(content[at] if escaped is None else escaped)
        at += 1 if escaped is None else 2
    return bytes(found)


def number(text: str) -> float | None:
    """None for what is no finite decimal number; float() alone would read "1_0", "nan" and other scripts' digits."""
    if not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if isfinite(value) else None


def read_position(fields: list[str]) -> Fields | None:
    """The fields behind the type of a position; None when time or place cannot be read.

    Missing numbers are left out. `network` says why there is none: "truncated" when the cells are fewer than announced,
    "not_understood" when country and network code are no numbers.
    """
    latitude, longitude = (_degrees(fields, at) for at in (3, 5))
    time = _time(fields[:2])
    if latitude is None or longitude is None or time is None:
        return None
    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    found: Fields = {"time": time, "gps_valid": fields[2].strip().upper() == "A"}
    found |= {"latitude": latitude, "longitude": longitude}
    for at, name in enumerate(NUMBERS, start=7):
        value = number(fields[at]) if at < len(fields) else None
        if value is not None:
            found[name] = value
    try:
        status = int(fields[15], 16) if len(fields) > 15 else 0
    except ValueError:
        status = 0
    found["status"] = status & 0xFFFFFFFF
    raised = [name for bit, name in ALARM_BITS.items() if status >> bit & 1] if status else []
    found["alarms"] = list(dict.fromkeys(raised))
    if status >> MOTION_BIT & 1:
        found["motion_bit"] = True
    return found | _network(fields[16:])


NUMBERS = ("speed_kmh", "course", "altitude_m", "satellites", "gsm_signal", "battery_pct", "steps", "tumbles")


def _time(fields: list[str]) -> datetime | None:
    """ddMMyy and HHmmss; None when that is no date."""
    found = TIME.fullmatch(",".join(fields))
    if found is None:
        return None
    day, month, year, hour, minute, second = map(int, found.groups())
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _degrees(fields: list[str], at: int) -> float | None:
    """`-84.14,W` is west once: the sign is minus if the number has it or the letter says so."""
    value = number(fields[at]) if at < len(fields) else None
    if value is None:
        return None
    letter = fields[at + 1].strip().upper() if at + 1 < len(fields) else ""
    return -abs(value) if value < 0 or letter in ("S", "W") else value


def _network(fields: list[str]) -> Fields:
    """Cells, access points and accuracy; nothing when there is no such part."""
    if not fields:
        return {}
    count = number(fields[0])
    if count is None or not 0 <= count <= 50:
        return {}
    at = 4 if count else 1
    if count and len(fields) >= at and None in map(number, fields[2:4]):
        return {"network": "not_understood"}
    cells: list[Fields] = []
    for _ in range(int(count)):
        cell = _cell(fields[2:4], fields[at : at + 3])
        if cell is None:
            return {"network": "truncated"}
        cells.append(cell)
        at += 3
    points, at = _access_points(fields, at)
    accuracy = number(fields[at]) if at < len(fields) else None
    return {"cells": cells, "wifi": points} | ({"accuracy_m": accuracy} if accuracy else {})


def _cell(network: list[str], fields: list[str]) -> Fields | None:
    mcc, mnc = (number(text) for text in network) if len(network) == 2 else (None, None)
    if mcc is None or mnc is None or len(fields) < 3:
        return None
    lac, cid, signal = _hex_or_decimal(fields[0]), _hex_or_decimal(fields[1]), number(fields[2])
    if lac is None or cid is None or signal is None:
        return None
    return {"mcc": int(mcc), "mnc": int(mnc), "lac": lac, "cid": cid, "rssi": int(signal)}


def _hex_or_decimal(text: str) -> int | None:
    """Cell numbers are hex when they contain letters."""
    try:
        return int(text.strip(), 16 if re.search("[A-Fa-f]", text) else 10)
    except ValueError:
        return None


def _access_points(fields: list[str], at: int) -> tuple[list[Fields], int]:
    count = number(fields[at]) if at < len(fields) else None
    at += 1
    points: list[Fields] = []
    for _ in range(int(count) if count and 0 < count <= 50 else 0):
        if at + 3 > len(fields):
            break
        ssid, bssid, signal = fields[at], fields[at + 1].strip(), number(fields[at + 2])
        at += 3
        if bssid not in ("", "0") and signal is not None:
            points.append({"ssid": ssid, "bssid": bssid, "rssi": int(signal)})
    return points, at


def read_command(content: bytes) -> Fields:
    """What a platform asks of a band."""
    word, _, rest = content.partition(b",")
    name = word.decode("ascii", "replace")
    text = content.decode("utf-8", "replace")
    if name == "TK":
        return {"command": "voice_message", "payload_hex": unescape(rest).hex().upper()}
    if name.startswith("SOS") and name[3:] in ("1", "2", "3"):
        phone = rest.decode("ascii", "replace")
        return {"command": "set_sos_number", "index": int(name[3:]), "phone": phone, "content": text}
    if name == "LZ":
        offset = number(text.rpartition(",")[2])
        return {"command": "set_timezone", "offset_hours": offset, "content": text}
    if name == "RESET":
        return {"command": "reboot", "content": text}
    if name == "MESSAGE" and HEX_OF_UTF16.fullmatch(rest):
        return {
            "command": "message",
            "text": bytes.fromhex(rest.decode()).decode("utf-16-be", "replace"),
            "content": text,
        }
    return {"command": "custom", "content": text}
