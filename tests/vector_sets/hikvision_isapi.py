"""Hikvision: single events (XML, JSON), whole multipart messages, pieces of alertStream, records of a search.

A passage whose time is none is rejected here, as its source does; our session keeps it, stamped and flagged.
"""

import json
import re
from typing import Any

from devices.families import hikvision_isapi, hikvision_wire
from devices.families.hikvision_codes import CATEGORIES, code_of
from devices.families.hikvision_wire import Alert, Passage
from devices.family import Message
from devices.multipart import Part, parts_of
from tests.vectors import SHARED

SAMPLES = SHARED / "hikvision_isapi.jsonl"
LABELS = {1: "card_authenticated", 38: "fingerprint_authenticated", 75: "face_authenticated", 76: "face_auth_failed"}
EVENT_MAJOR = 5
IP_CHANNELS_FROM = 33  # of recorders that count so


def message(line: dict[str, Any]) -> Message:
    """The line as a device would push it."""
    data = bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else _text(line).encode()
    return Message("POST /events", data, {"content-type": line.get("content_type", "application/json")})


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line["frame_json"]) if "frame_json" in line else str(line["frame_text"])


def decode(line: dict[str, Any]) -> dict[str, Any]:
    if "frame_hex" in line:
        parts = parts_of(bytes.fromhex(line["frame_hex"]), 1_000_000)
        return {"events": _passages(parts)} if line.get("layer") == "alert_stream" else _message(parts)
    if "frame_json" in line and (records := hikvision_isapi.records_of(line["frame_json"])):
        return {**_alert(records[0]), "events": [_alert(one) for one in records]}
    return _alert(hikvision_wire.read_alert(_text(line).encode()))


def _passages(parts: list[Part]) -> list[dict[str, Any]]:
    """Passages of a stream, each with whether a picture follows it; a record that is sent again counts once."""
    found: list[dict[str, Any]] = []
    told: set[tuple[str, int | None]] = set()
    last: dict[str, Any] = {}  # what a picture belongs to
    for part in parts:
        if part.is_picture:
            last["has_photo"] = True
            continue
        alert, last = hikvision_wire.read_alert(part.body), {}
        if alert is None or alert.passage is None or alert.passage.major != EVENT_MAJOR:
            continue
        last = {**_alert(alert), "has_photo": False}
        record = (alert.mac or alert.ip, alert.passage.serial_no)
        if record[1] is None or record not in told:
            found.append(last)
        told.add(record)
    return found


def _message(parts: list[Part]) -> dict[str, Any]:
    """An event and its picture, pushed as one message."""
    event = next((part.body for part in parts if not part.is_picture), b"")
    found = _alert(hikvision_wire.read_alert(event))
    for picture in (part for part in parts if part.is_picture):
        name = re.search(r'filename="([^"]*)"', picture.headers.get("content-disposition", ""))
        found["picture"] = {
            "content_type": picture.headers.get("content-type"),
            "file_name": name[1] if name else None,
            "content_id": picture.headers.get("content-id"),
            "data_hex": picture.body.hex().upper(),
        }
    return found


def _alert(alert: Alert | None) -> dict[str, Any]:
    if alert is None:
        return {"rejected": True}
    found: dict[str, Any] = {
        "kind": "heartbeat" if alert.is_heartbeat else "video_alarm",
        "event_type": alert.type,
        "event_state": alert.state or None,
        "device_time": alert.time_text or None,
        "time_utc": f"{alert.time:%Y-%m-%dT%H:%M:%SZ}" if alert.time else None,
        "ip": alert.ip or None,
        "mac": alert.mac or None,
        "channel_id": alert.channel,
        "resolved_channel": _resolved(alert.channel),
        "channel_name": alert.channel_name or None,
        "active_post_count": alert.post_count,
        "region_id": alert.region,
        "detection_target": alert.target or None,
        "input_port": alert.input_port,
        "resolved_event": alert.types[0],
    }
    passage = alert.passage
    if passage and not (passage.readable and (alert.time or not alert.time_text)):
        return {"rejected": True}
    return found | (_passage(passage) if passage else {})


def _resolved(channel: int | None) -> int | None:
    return channel - IP_CHANNELS_FROM + 1 if channel is not None and channel >= IP_CHANNELS_FROM else channel


def _passage(passage: Passage) -> dict[str, Any]:
    major, minor = passage.major or 0, passage.minor or 0
    code = code_of(major, minor)
    granted = code.attributes.get("granted") if code else None
    return {
        "kind": "access",
        "major": passage.major,
        "category": CATEGORIES.get(major),
        "minor": passage.minor,
        "label": LABELS.get(minor, "unknown_access_event") if major == EVENT_MAJOR else None,
        "granted": {"yes": True, "no": False}.get(granted or ""),
        "live": passage.current,
        "person_id": passage.person_id,
        "person_name": passage.person_name,
        "card_no": passage.card_no,
        "door_no": passage.door_no,
        "reader_no": passage.reader_no,
        "serial_no": passage.serial_no,
        "verify_mode": passage.verify_mode,
        "current_event": passage.current,
        "attendance": passage.attendance,
        "mask": passage.mask,
    }
