"""Cursor on Target: framing, XML and TAK protocol version 1, read into and written from one Event. Meaning: cot.py.

    XML stream   [<?xml ...?>] <event ...>...</event> [<?xml ...?>] <event ...>...       split right after </event>
    stream v1    BF | varint length | TakMessage
    mesh v1      BF 01 BF | TakMessage to the end of the datagram

    <event version uid type time start stale how [access]>
      <point lat lon hae ce le/>  <detail>...</detail>
    </event>
    TakMessage {2 CotEvent {1 type 5 uid 6 sendTime ms 7 startTime 8 staleTime 9 how 10 lat 11 lon 12 hae 13 ce 14 le
                15 Detail {1 xmlDetail 2 contact 3 group 4 precisionLocation 5 status 6 takv 7 track}}}

Which of the three a piece is shows in its first byte, so one link may change between them. Times are UTC. 999999 and
more for hae, ce, le says unknown. Where xmlDetail has an element that also has a field, xmlDetail wins. Battery 0 in
protobuf is no battery. Source: the TAK protocol text and proto files; real events of node-CoT and pytak.
"""

import re
from datetime import UTC, datetime
from math import isfinite

from msgspec import Struct, field

from devices import protobuf
from devices.framing import Cut
from devices.local_time import read_iso
from devices.xml_text import NOT_XML, Element, escaped, read_xml

FRAME_BYTES_MAX = 65_536
DECLARATION_BYTES_MAX = 200
UNKNOWN_FROM = 999_999
UNKNOWN_XML, UNKNOWN_PROTOBUF = 9_999_999.0, 999_999.0
MAGIC = 0xBF
MESH = b"\xbf\x01\xbf"
MESSAGE_STARTS = (b"", b"\x0a", b"\x12")  # nothing yet, takControl, cotEvent
DECLARATION = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
BLANKS = b" \r\n\t"
NOISE = re.compile(rb"[^<\xbf \r\n\t]+")
EVENT = re.compile(rb"<event[\s/>]")
END = b"</event>"
CDATA = b"<![CDATA["
MARK = re.compile(rb"<!\[CDATA\[|</event>|<event[\s/>]")
TYPE = re.compile(r"[!-~]{1,64}")
NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)
MS_MAX = 253_402_300_799_999  # the end of the year 9999

AFFILIATIONS = {"f": "friend", "h": "hostile", "n": "neutral", "u": "unknown", "p": "pending", "a": "assumed friend"}
AFFILIATIONS |= {"s": "suspect", "j": "joker", "k": "faker"}
# What TAK calls the emergencies of a type.
EMERGENCIES = {"b-a-o-tbl": "911 Alert", "b-a-o-pan": "Ring The Bell", "b-a-o-opn": "Troops In Contact"}
EMERGENCIES |= {"b-a-g": "Geo-fence Breached", "b-a-o": "Custom"}
CANCEL = "b-a-o-can"


class Point(Struct, frozen=True):
    """Degrees and metres; None for what is unknown. `hae` is the height above the ellipsoid."""

    lat: float
    lon: float
    hae: float | None = None
    ce: float | None = None
    le: float | None = None


class Event(Struct, frozen=True, kw_only=True):
    """`point` is None when it cannot be on Earth, a time when it is no time. `root` holds what the XML said."""

    uid: str
    type: str
    how: str = ""
    time: datetime | None = None
    start: datetime | None = None
    stale: datetime | None = None
    point: Point | None = None
    detail: Element = field(default_factory=lambda: Element("detail"))
    root: Element | None = None

    def said(self, element: str, attribute: str) -> str | None:
        found = self.detail.child(element)
        return found.attributes.get(attribute) if found else None

    def measured(self, element: str, attribute: str) -> float | None:
        return number(self.said(element, attribute) or "")

    @property
    def affiliation(self) -> str | None:
        """None for what is no unit; a letter that is not in the table as it stands."""
        parts = self.type.split("-")
        return AFFILIATIONS.get(parts[1], parts[1]) if parts[0] == "a" and len(parts) > 1 else None

    @property
    def links(self) -> list[dict[str, str]]:
        return [link.attributes for link in self.detail.every("link") if "uid" in link.attributes]

    @property
    def emergency(self) -> dict[str, str] | None:
        found = self.detail.child("emergency")
        return {**found.attributes, "text": found.text} if found else None


# --- framing -------------------------------------------------------------------------------------


def cut(buffer: bytes, final: bool) -> Cut:
    if buffer[0] in BLANKS:
        return Cut(len(buffer) - len(buffer.lstrip(BLANKS)))
    if buffer[0] == MAGIC:
        return _cut_protobuf(buffer, final)
    if buffer[:1] == b"<":
        return _cut_xml(buffer, final)
    noise = NOISE.match(buffer)
    return Cut(noise.end() if noise else 1, reason="start mark missing")


def _cut_xml(buffer: bytes, final: bool) -> Cut:
    if buffer.startswith(b"<?xml"):
        end = buffer.find(b"?>", 0, DECLARATION_BYTES_MAX)
        if end > 0:
            return Cut(end + 2)
        return Cut(1, reason="start mark missing") if final or len(buffer) >= DECLARATION_BYTES_MAX else Cut(0)
    start = EVENT.match(buffer)
    if start is None:
        may_become = any(mark.startswith(buffer) for mark in (b"<event", b"<?xml"))
        return Cut(0) if may_become and not final else Cut(1, reason="start mark missing")
    end, another = _end(buffer, start.end())
    if another:
        return Cut(end, reason="event cut short")
    if end < 0:
        return Cut(1, reason="frame incomplete") if final else Cut(0)
    return Cut(end, frame=buffer[:end])


def _end(buffer: bytes, at: int) -> tuple[int, bool]:
    """Where this event ends, or the next one begins (True) though this one did not end; -1 when neither is there yet.

    What stands in a CDATA section is neither.
    """
    while found := MARK.search(buffer, at):
        if found[0] == END:
            return found.end(), False
        if found[0] != CDATA:
            return found.start(), True
        at = buffer.find(b"]]>", found.end())
        if at < 0:
            break
    return -1, False


def _cut_protobuf(buffer: bytes, final: bool) -> Cut:
    if MESH.startswith(buffer[: len(MESH)]):
        if not final:
            return Cut(0)
        whole = len(buffer) > len(MESH) and read_message(buffer[len(MESH) :]) is not None
        return Cut(len(buffer), frame=buffer) if whole else Cut(1, reason="message unreadable")
    length = protobuf.read_varint(buffer, 1)
    if length is None:
        broken = final or len(buffer) > protobuf.VARINT_BYTES_MAX
        return Cut(1, reason="start mark missing") if broken else Cut(0)
    end = length[1] + length[0]
    if not 0 < length[0] <= FRAME_BYTES_MAX - 4:
        return Cut(1, reason="length wrong")
    if buffer[length[1] : length[1] + 1] not in MESSAGE_STARTS:
        return Cut(1, reason="start mark missing")
    if len(buffer) < end:
        return Cut(1, reason="frame incomplete") if final else Cut(0)
    whole = read_message(buffer[length[1] : end]) is not None
    return Cut(end, frame=buffer[:end]) if whole else Cut(1, reason="message unreadable")


def read_frame(frame: bytes) -> Event | None:
    """A frame as the cutter gave it; None when it is no event."""
    if frame.startswith(MESH):
        return read_message(frame[len(MESH) :])
    if frame[0] == MAGIC:
        length = protobuf.read_varint(frame, 1)
        return read_message(frame[length[1] :]) if length else None
    return read_event(frame)


# --- XML -----------------------------------------------------------------------------------------


def read_event(data: bytes) -> Event | None:
    """None when it is not XML, or without uid, type or point."""
    root = read_xml(data, FRAME_BYTES_MAX)
    if root is None or root.name != "event":
        return None
    said, place = root.attributes, root.child("point")
    if place is None or not said.get("uid") or not TYPE.fullmatch(said.get("type", "")):
        return None
    numbers = [number(place.attributes.get(name, "")) for name in ("lat", "lon", "hae", "ce", "le")]
    return Event(
        uid=said["uid"],
        type=said["type"],
        how=said.get("how", ""),
        time=read_iso(said.get("time", "")),
        start=read_iso(said.get("start", "")),
        stale=read_iso(said.get("stale", "")),
        point=_point(*numbers),
        detail=root.child("detail") or Element("detail"),
        root=root,
    )


def _point(lat: float | None, lon: float | None, hae: float | None, ce: float | None, le: float | None) -> Point | None:
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    return Point(lat, lon, *(value if value is not None and value < UNKNOWN_FROM else None for value in (hae, ce, le)))


def number(text: str) -> float | None:
    value = float(text) if NUMBER.fullmatch(text) else None
    return value if value is not None and isfinite(value) else None


def _written_time(at: datetime | None) -> str:
    assert at is not None, "events that are sent have times"
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def write_element(element: Element) -> str:
    said = "".join(f' {name}="{escaped(value)}"' for name, value in element.attributes.items())
    inside = escaped(element.text) + "".join(map(write_element, element.children))
    return f"<{element.name}{said}>{inside}</{element.name}>" if inside else f"<{element.name}{said}/>"


def write_event(event: Event) -> bytes:
    """One event for an XML stream: declaration, line break, event, nothing behind it."""
    point = event.point or Point(0, 0)
    hae, ce, le = (UNKNOWN_XML if value is None else value for value in (point.hae, point.ce, point.le))
    said = {"version": "2.0", "uid": event.uid, "type": event.type}
    said |= {name: _written_time(getattr(event, name)) for name in ("time", "start", "stale")} | {"how": event.how}
    place = {"lat": point.lat, "lon": point.lon, "hae": hae, "ce": ce, "le": le}
    where = Element("point", attributes={name: repr(float(value)) for name, value in place.items()})
    return DECLARATION + write_element(Element("event", attributes=said, children=[where, event.detail])).encode()


# --- protobuf ------------------------------------------------------------------------------------

# Fields of Detail -> element, and its attributes by field number.
DETAIL_FIELDS: dict[int, tuple[str, dict[int, str]]] = {
    2: ("contact", {1: "endpoint", 2: "callsign"}),
    3: ("__group", {1: "name", 2: "role"}),
    4: ("precisionlocation", {1: "geopointsrc", 2: "altsrc"}),
    5: ("status", {1: "battery"}),
    6: ("takv", {1: "device", 2: "platform", 3: "os", 4: "version"}),
    7: ("track", {1: "speed", 2: "course"}),
}


def read_message(data: bytes) -> Event | None:
    """A TakMessage. One with takControl only is an Event of type "" (peers announce their versions with it)."""
    message = protobuf.read_fields(data)
    raw = message.get(2) if message else None
    if message and raw is None and isinstance(message.get(1), bytes):
        return Event(uid="", type="")
    event = protobuf.read_fields(raw) if isinstance(raw, bytes) else None
    if event is None or not TYPE.fullmatch(protobuf.text(event, 1)) or not protobuf.text(event, 5):
        return None
    detail = _read_detail(event.get(15, b""))
    if detail is None:
        return None
    numbers = [protobuf.double(event, at) for at in range(10, 15)]
    return Event(
        uid=protobuf.text(event, 5),
        type=protobuf.text(event, 1),
        how=protobuf.text(event, 9),
        time=_from_ms(protobuf.integer(event, 6)),
        start=_from_ms(protobuf.integer(event, 7)),
        stale=_from_ms(protobuf.integer(event, 8)),
        point=_point(*(value if isfinite(value) else None for value in numbers)),
        detail=detail,
    )


def _read_detail(raw: protobuf.Value) -> Element | None:
    fields = protobuf.read_fields(raw) if isinstance(raw, bytes) else None
    if fields is None:
        return None
    inner = fields.get(1, b"")
    found = read_xml(b"<detail>%b</detail>" % inner, FRAME_BYTES_MAX) if isinstance(inner, bytes) else None
    if found is None:
        return None
    for at, (name, attributes) in DETAIL_FIELDS.items():
        raw = fields.get(at, 0)
        inside = protobuf.read_fields(raw) if isinstance(raw, bytes) else None
        if inside is not None and found.child(name) is None:
            said = {word: _written(inside, number_, name) for number_, word in attributes.items()}
            found.children.append(Element(name, attributes={word: text for word, text in said.items() if text}))
    return found


def _written(inside: protobuf.Fields, at: int, element: str) -> str:
    """A field as the XML attribute it stands for."""
    if element == "status":
        return str(protobuf.integer(inside, at) or "")
    return repr(protobuf.double(inside, at)) if element == "track" else NOT_XML.sub("", protobuf.text(inside, at))


def _from_ms(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if 0 < ms <= MS_MAX else None


def _to_ms(at: datetime | None) -> int:
    return round(at.timestamp() * 1000) if at else 0


def write_message(event: Event) -> bytes:
    """A TakMessage, without a header."""
    point = event.point or Point(0, 0)
    hae, ce, le = (UNKNOWN_PROTOBUF if value is None else float(value) for value in (point.hae, point.ce, point.le))
    values: dict[int, int | float | str | bytes] = {1: event.type, 5: event.uid}
    values |= {6: _to_ms(event.time), 7: _to_ms(event.start), 8: _to_ms(event.stale), 9: event.how}
    values |= {10: float(point.lat), 11: float(point.lon), 12: hae, 13: ce, 14: le, 15: _write_detail(event.detail)}
    return protobuf.write_field(2, b"".join(protobuf.write_field(at, value) for at, value in values.items()))


def _write_detail(detail: Element) -> bytes:
    """An element goes into its field when the field can hold all of it, else into xmlDetail."""
    rest, fields = [], b""
    places = {name: (at, attributes) for at, (name, attributes) in DETAIL_FIELDS.items()}
    for element in detail.children:
        at, attributes = places.get(element.name, (0, {}))
        fits = at and set(element.attributes) <= set(attributes.values()) and not (element.children or element.text)
        inside = [_write_attribute(element, number_, word) for number_, word in attributes.items()] if fits else [None]
        if None in inside:
            rest.append(element)
        else:
            fields += protobuf.write_field(at, b"".join(piece for piece in inside if piece))
    return protobuf.write_field(1, "".join(map(write_element, rest))) + fields


def _write_attribute(element: Element, at: int, word: str) -> bytes | None:
    text = element.attributes.get(word, "")
    if element.name not in ("status", "track"):
        return protobuf.write_field(at, text)
    value = number(text or "0")
    if value is None or (element.name == "status" and not 0 <= value < 1 << 32):
        return None
    return protobuf.write_field(at, int(value) if element.name == "status" else value)


def write_stream(event: Event) -> bytes:
    message = write_message(event)
    return bytes((MAGIC,)) + protobuf.write_varint(len(message)) + message


def write_mesh(event: Event) -> bytes:
    return MESH + write_message(event)
