"""Cursor on Target: events in XML and protobuf, and the emergencies that we send."""

from datetime import UTC, datetime
from typing import Any

from devices.families import cot_sent, cot_wire
from devices.framing import Framer
from tests.vectors import SHARED

SAMPLES = SHARED / "cot_tak.jsonl"
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LINKS_COMPARED = 3  # routes have many; the vectors list the first three
UNKNOWN = cot_wire.UNKNOWN_XML


def decode(line: dict[str, Any]) -> dict[str, Any]:
    if "frame_json" in line:
        return _sent(line["frame_json"])
    data = bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else line["frame_text"].encode()
    framer = Framer(cot_wire.cut, cot_wire.FRAME_BYTES_MAX)
    frames = [piece for piece in framer.feed(data) if isinstance(piece, bytes)]
    rest = data[len(data) - framer.waiting :]
    frames += [piece for piece in framer.idle() if isinstance(piece, bytes)]
    events = [event for event in map(cot_wire.read_frame, frames) if event]
    if not events:
        return {"error": "no_event", "frames": [], "rest": rest.decode(errors="replace")}
    found = _event(events[0])
    if line.get("stream") or rest or len(frames) != 1:
        found |= {"frames": [frame.decode(errors="replace") for frame in frames]}
        found |= {"events": [_event(event) for event in events], "rest": rest.decode(errors="replace")}
    return found


def _sent(record: dict[str, Any]) -> dict[str, Any]:
    point = cot_wire.Point(record["lat"], record["lon"])
    unit = cot_sent.Unit(record["id"], record.get("callsign", ""), point, record["how"])
    event = cot_sent.alert(unit, record["cot_type"], NOW)
    for form in (cot_wire.write_event(event), cot_wire.write_stream(event), cot_wire.write_mesh(event)):
        [frame] = [piece for piece in _frames(form) if isinstance(piece, bytes)]
        back = cot_wire.read_frame(frame)
        assert back is not None
        assert (back.type, back.emergency, back.point) == (event.type, event.emergency, point)
    return _event(event)


def _frames(data: bytes) -> list[Any]:
    framer = Framer(cot_wire.cut, cot_wire.FRAME_BYTES_MAX)
    return [*framer.feed(data), *framer.idle()]


def _event(event: cot_wire.Event) -> dict[str, Any]:
    detail, point = event.detail, event.point
    group, chat, video = (detail.child(name) for name in ("__group", "__chat", "__video"))
    chat = chat or detail.child("__chatreceipt")
    found: dict[str, Any] = {
        "uid": event.uid,
        "type": event.type,
        "how": event.how or None,
        "affiliation": event.affiliation,
        "callsign": event.said("contact", "callsign"),
        "endpoint": event.said("contact", "endpoint"),
        "group": group.attributes if group else None,
        "battery": event.measured("status", "battery"),
        "speed_m_s": event.measured("track", "speed"),
        "course": event.measured("track", "course"),
        "device": event.said("takv", "device"),
        "platform": event.said("takv", "platform"),
        "links": event.links[:LINKS_COMPARED],
        "emergency": event.emergency,
        "video_url": video.attributes.get("url") if video else None,
        "remarks": detail.said("remarks"),
        "chat": {**chat.attributes, "text": detail.said("remarks")} if chat else None,
        "detail_elements": sorted({element.name for element in detail.children}),
    }
    if point:
        found |= {"lat": point.lat, "lon": point.lon}
        for name in ("hae", "ce", "le"):
            value = getattr(point, name)
            found[name] = UNKNOWN if value is None else value
    for name, at in (("time", event.time), ("start", event.start), ("stale", event.stale)):
        found[f"{name}_ms"] = round(at.timestamp() * 1000) if at else None
    said = event.root.attributes if event.root else {}
    return found | {name: said[name] for name in ("version", "access", "time", "start", "stale") if name in said}
