"""JT/T 808-2011, -2013 and -2019 frames and bodies, read into plain values. What they mean stands in jt808.py.

    7E | header | body | K | 7E        between the marks 7D 02 stands for 7E, 7D 01 for 7D; K = XOR of header and body
    header 2013 = id 2 | properties 2 | phone BCD 6 | serial 2 | (total 2 | index 2)                  big endian
    header 2019 = id 2 | properties 2 | version 1 | phone BCD 10 | serial 2 | (total 2 | index 2)
    properties  = bits 0-9 body length, 10-12 encryption, 13 sub-packet item present, 14 version flag

The version flag lies in some firmware, in both directions: the layout is the one whose length fits; where none or both
fit, the flag decides.
Bike locks (ids 5501 and 5502) have a serial number of one byte. A wrong declared length with a right K is accepted.
Some streams carry ASCII frames in parentheses between binary ones; they are handed on whole. No message id starts with
the byte of an opening parenthesis (28), so the first byte of a frame tells the two apart.
"""

from datetime import datetime
from struct import Struct as Packer
from typing import Any

from msgspec import Struct

from devices.framing import Cut, xor8

MARK = 0x7E
TEXT_MARK = b"("
UNESCAPED = {b"\x01": b"\x7d", b"\x02": b"\x7e"}
HEADER_2013, HEADER_2019, CHECK = 12, 17, 1
SHORT_SERIAL = frozenset({0x5501, 0x5502})
FRAME_BYTES_MAX = 2_200  # body of 1023, header and checksum, every byte escaped
FRAME_BYTES_MIN = HEADER_2013 - 1 + CHECK
TEXT_FRAME_BYTES_MAX = 200

ALARM_BITS = {
    0: "sos",
    1: "overspeed",
    2: "fatigue",
    3: "danger",
    4: "gnss_fault",
    5: "gnss_fault",
    6: "gnss_fault",
    7: "low_battery",
    8: "power_fault",
    9: "fault",
    10: "fault",
    11: "fault",
    12: "fault",
    13: "overspeed",
    14: "fatigue",
    18: "fatigue",
    19: "parking_timeout",
    20: "zone_violation",
    21: "zone_violation",
    22: "zone_violation",
    23: "route_deviation",
    24: "fault",
    25: "fault",
    26: "tamper",
    27: "illegal_movement",
    28: "illegal_movement",
    29: "collision",
    30: "collision",
    31: "illegal_movement",
}

# Location item -> (name, bytes, unit of the last digit, signed). Others stay in `items` as they came.
ITEMS: dict[int, tuple[str, int, float, bool]] = {
    0x01: ("mileage_km", 4, 0.1, False),
    0x02: ("fuel_l", 2, 0.1, False),
    0x03: ("recorder_speed_kmh", 2, 0.1, False),
    0x04: ("manual_alarm_event_id", 2, 1, False),
    0x06: ("cabin_temperature_c", 2, 1, True),
    0x25: ("vehicle_signals", 4, 1, False),
    0x2A: ("io_status", 2, 1, False),
    0x30: ("network_signal", 1, 1, False),
    0x31: ("gnss_satellites", 1, 1, False),
}

AREA_TYPES = ("place", "circle", "rectangle", "polygon", "route")
OVERSPEED_IN, AREA_PASSED, SEGMENT_TIME = 0x11, 0x12, 0x13
ANALOG = 0x2B  # AD1 in the high half, AD0 in the low one

Fields = dict[str, Any]
_LOCATION = Packer(">IIIIHHH6s")


class Message(Struct, frozen=True):
    """`phone`: the raw BCD bytes, to be sent back as they came. `total` is 0 when there are no sub-packets."""

    id: int
    properties: int
    is_2019: bool
    version: int
    phone: bytes
    serial: int
    total: int
    index: int
    body: bytes

    @property
    def body_length(self) -> int:
        return self.properties & 0x3FF

    @property
    def encryption(self) -> int:
        return self.properties >> 10 & 7

    @property
    def version_flag(self) -> bool:
        return bool(self.properties >> 14 & 1)

    @property
    def length_ok(self) -> bool:
        return self.body_length == len(self.body)


class Location(Struct, frozen=True):
    """`time` as the terminal's wall clock shows it, None when it is no date; latitude and longitude signed degrees,
    as they came: only a location that is `somewhere` can be shown on a map."""

    alarms: int
    status: int
    latitude: float
    longitude: float
    altitude_m: int
    speed_kmh: float
    course_deg: int
    time: datetime | None
    items: tuple[tuple[int, bytes], ...] = ()
    values: dict[str, float] = {}
    tail: bytes = b""  # what could not be read as items

    @property
    def positioned(self) -> bool:
        return bool(self.status >> 1 & 1)

    @property
    def on_globe(self) -> bool:
        return abs(self.latitude) <= 90 and abs(self.longitude) <= 180

    @property
    def somewhere(self) -> bool:
        """A place on the globe, not 0/0, and not encrypted (status bit 5)."""
        return self.on_globe and bool(self.latitude or self.longitude) and not self.status >> 5 & 1


def cut(buffer: bytes, final: bool) -> Cut:
    """See devices.framing. The closing mark is left: it may open the next frame, and two marks in a row are nothing."""
    first = buffer[0]
    if first == MARK:
        return _cut_frame(buffer, final)
    if first == ord("("):
        return _cut_text(buffer, final)
    starts = [at for at in (buffer.find(b"\x7e"), buffer.find(b"(")) if at > 0]
    return Cut(min(starts, default=len(buffer)), reason="start mark missing")


def _cut_frame(buffer: bytes, final: bool) -> Cut:
    end = buffer.find(MARK, 1)
    if end < 0:
        return Cut(int(final and len(buffer) == 1))
    if end == 1:
        return Cut(1)
    frame = unescape(buffer[1:end])
    if xor8(frame):
        return Cut(end, frame=buffer[: end + 1], reason="checksum wrong")
    if len(frame) < FRAME_BYTES_MIN:
        return Cut(end, frame=buffer[: end + 1], reason="frame too short")
    if frame.startswith(TEXT_MARK):
        return Cut(end, frame=buffer[: end + 1], reason="message id reserved")
    return Cut(end, frame=frame)


def _cut_text(buffer: bytes, final: bool) -> Cut:
    end = buffer.find(b")", 0, TEXT_FRAME_BYTES_MAX)
    if end > 0 and buffer[: end + 1].isascii() and buffer[1:end].decode().isprintable():
        return Cut(end + 1, frame=buffer[: end + 1])
    if end > 0 or final or len(buffer) >= TEXT_FRAME_BYTES_MAX or MARK in buffer:
        return Cut(1, reason="start mark missing")
    return Cut(0)


def unescape(data: bytes) -> bytes:
    """A 7D before anything but 01 and 02 stands for itself: some firmware forgets to escape, the checksum decides."""
    if b"\x7d" not in data:
        return data
    pieces = data.split(b"\x7d")
    return pieces[0] + b"".join(UNESCAPED.get(piece[:1], b"\x7d" + piece[:1]) + piece[1:] for piece in pieces[1:])


def escape(data: bytes) -> bytes:
    return data.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")


def read_message(frame: bytes) -> Message:
    """An unescaped frame of at least FRAME_BYTES_MIN bytes, its checksum included."""
    id_, properties = int.from_bytes(frame[:2]), int.from_bytes(frame[2:4])
    is_2019 = _is_2019(frame, properties)
    version = frame[4] if is_2019 else 0
    at = 5 if is_2019 else 4
    phone = frame[at : at + (10 if is_2019 else 6)]
    at += len(phone)
    serial_bytes = 1 if id_ in SHORT_SERIAL else 2
    serial = int.from_bytes(frame[at : at + serial_bytes])
    at += serial_bytes
    total = index = 0
    if properties >> 13 & 1 and len(frame) >= at + 4 + CHECK and id_ not in SHORT_SERIAL:
        total, index = int.from_bytes(frame[at : at + 2]), int.from_bytes(frame[at + 2 : at + 4])
        at += 4
    return Message(id_, properties, is_2019, version, phone, serial, total, index, frame[at:-CHECK])


def _is_2019(frame: bytes, properties: int) -> bool:
    flag = bool(properties >> 14 & 1)
    beside = (4 if properties >> 13 & 1 else 0) + (properties & 0x3FF) + CHECK
    fits = (len(frame) == HEADER_2013 + beside, len(frame) == HEADER_2019 + beside)
    if fits in ((True, False), (False, True)):
        return fits[1]
    return flag and len(frame) >= HEADER_2019 + CHECK


def write_message(message: Message) -> bytes:
    """Marks, escapes and checksum included; properties are made from the body's length and the layout."""
    properties = len(message.body) | message.is_2019 << 14 | bool(message.total) << 13
    version = bytes((message.version,)) if message.is_2019 else b""
    head = message.id.to_bytes(2) + properties.to_bytes(2) + version + message.phone + message.serial.to_bytes(2)
    if message.total:
        head += message.total.to_bytes(2) + message.index.to_bytes(2)
    frame = head + message.body
    return b"\x7e" + escape(frame + bytes((xor8(frame),))) + b"\x7e"


def read_time(raw: bytes) -> datetime | None:
    """BCD yyMMddHHmmss; None when it is no date."""
    digits = raw.hex()
    try:
        year, month, day, hour, minute, second = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the wire has no zone
    except ValueError:
        return None


def read_location(body: bytes) -> Location | None:
    """Body of 0x0200; None when it is shorter than its fixed part."""
    if len(body) < _LOCATION.size:
        return None
    alarms, status, latitude, longitude, altitude, speed, course, time = _LOCATION.unpack_from(body)
    items, tail = read_items(body[_LOCATION.size :])
    return Location(
        alarms,
        status,
        (-latitude if status >> 2 & 1 else latitude) / 1e6,
        (-longitude if status >> 3 & 1 else longitude) / 1e6,
        altitude,
        speed / 10,
        course,
        read_time(time),
        items,
        _values(items),
        tail,
    )


def read_items(data: bytes) -> tuple[tuple[tuple[int, bytes], ...], bytes]:
    """{id 1, length 1, value}; a wrong length ends the reading and keeps what was good."""
    items: list[tuple[int, bytes]] = []
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + data[at + 1]
        if end > len(data):
            break
        items.append((data[at], data[at + 2 : end]))
        at = end
    return tuple(items), data[at:]


def _values(items: tuple[tuple[int, bytes], ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for id_, raw in items:
        name, size, digit, signed = ITEMS.get(id_, ("", 0, 1, False))
        if name and len(raw) == size:
            value = int.from_bytes(raw, signed=signed)
            found[name] = round(value * digit, 1) if digit != 1 else value
        elif id_ == ANALOG and len(raw) == 4:
            found |= {"analog_0": int.from_bytes(raw[2:]), "analog_1": int.from_bytes(raw[:2])}
    return found


def detail(location: Location, kind: str) -> str:
    """Which area or route an alarm is about, as items 11, 12 and 13 tell: "circle 17 exited"."""
    items = dict(location.items)
    if kind == "overspeed" and len(raw := items.get(OVERSPEED_IN, b"")) == 5:
        return _area(raw)
    if kind in ("zone_violation", "route_deviation") and len(raw := items.get(AREA_PASSED, b"")) == 6:
        return f"{_area(raw)} {'exited' if raw[5] else 'entered'}"
    if kind == "zone_violation" and len(raw := items.get(SEGMENT_TIME, b"")) == 7:
        seconds, slow = int.from_bytes(raw[4:6]), raw[6]
        return f"segment {int.from_bytes(raw[:4])} in {seconds} s: too {'slow' if slow else 'fast'}"
    return ""


def _area(raw: bytes) -> str:
    kind = AREA_TYPES[raw[0]] if raw[0] < len(AREA_TYPES) else "area"
    return f"{kind} {int.from_bytes(raw[1:5])}"


def alarm_kinds(flags: int) -> tuple[str, ...]:
    """Alarm kinds of the set bits, each once, lowest bit first; vendor bits 15 to 17 have none."""
    if not flags:
        return ()
    return tuple(dict.fromkeys(kind for bit, kind in ALARM_BITS.items() if flags >> bit & 1))


def read_text(raw: bytes) -> str:
    """GBK, NUL padded on either side, in some firmware also inside."""
    return raw.replace(b"\0", b"").decode("gbk", "replace")
