"""Dahua events: the bodies of parts, single data objects and CGI replies.

`event_count` is as its source counts: a passage without a device time is none for it; ours are stamped and flagged.
"""

from typing import Any

import msgspec

from devices.families import dahua_wire
from devices.multipart import parts_of
from tests.vectors import SHARED

SAMPLES = SHARED / "dahua_events.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    if "frame_json" in line:
        return {"redacted": dahua_wire.redacted(line["frame_json"]), **_passage(_data(line["frame_json"]))}
    if line.get("layer") == "cgi_reply":
        return dahua_wire.read_table(line["frame_text"])
    texts = _texts(line)
    events = [event for text in texts for event in dahua_wire.read_events(text) if not event.broken]
    passages = [_passage(event.data) for event in events if event.code == "AccessControl"]
    timeless = sum(passage["time_epoch"] is None for passage in passages)
    found = [{"code": one.code, "action": one.action, "index": one.index, "data": one.data} for one in events]
    return {"parts": texts, "events": found, "normalised": passages, "event_count": len(events) - timeless}


def _data(said: dict[str, Any]) -> dict[str, Any]:
    """Of a whole event its data, nested or with "Data." before each name; else it is the data itself."""
    inside = said.get("data", said.get("Data"))
    return inside if isinstance(inside, dict) else {name.removeprefix("Data."): said[name] for name in said}


def _texts(line: dict[str, Any]) -> list[str]:
    """The bodies: of a part alone, or of the parts of a piece of the stream."""
    data = bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else line["frame_text"].encode()
    parts = parts_of(data, 1_000_000) if data.startswith(b"--") else []
    if not parts:
        return [data.decode("utf-8", "replace")]
    return [part.body.decode("utf-8", "replace") for part in parts if not part.is_picture]


def _passage(data: dict[str, Any]) -> dict[str, Any]:
    return dict(msgspec.to_builtins(dahua_wire.read_passage(data)))
