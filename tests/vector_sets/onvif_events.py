"""ONVIF notifications, as the wire reader sees them."""

from typing import Any

from devices.families import onvif_wire
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "onvif_events.jsonl"


def message(line: dict[str, Any]) -> Message:
    return Message("POST /", line["frame_text"].encode())


def decode(line: dict[str, Any]) -> dict[str, Any]:
    root = onvif_wire.read_document(line["frame_text"].encode())
    if root is None:
        return {"error": "unreadable"}
    events = [_event(event) for event in onvif_wire.notifications(root)]
    if not events:
        return {"events": [], "event_count": 0, "no_data": True}
    return {**events[0], "events": events, "event_count": len(events)}


def _event(event: onvif_wire.Notification) -> dict[str, Any]:
    return {
        "topic": event.topic,
        "operation": event.operation or None,
        "utc_time": event.time_text,
        "source": event.source,
        "key": event.key,
        "data": event.data,
        "active": event.active,
    }
