"""zigbee2mqtt: topics and payloads, in the vectors' words."""

from typing import Any

from devices.families.zigbee2mqtt_wire import read
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "zigbee2mqtt.jsonl"


def message(line: dict[str, Any]) -> Message:
    headers = {"retained": "1"} if line.get("retained") else {}
    return Message(line["topic"], line["frame_text"].encode(), headers)


def decode(line: dict[str, Any]) -> dict[str, Any]:
    report = read("zigbee2mqtt", line["topic"], line["frame_text"].encode())
    if report is None:
        return {"error": "unreadable"}
    fields = report.fields
    found = {"kind": report.kind, "device": report.name, **fields}
    if "contact" in fields:
        found["door_open"] = not fields["contact"]
    if "battery" in fields:
        found["battery_pct"] = fields["battery"]
    if fields.get("state") in ("LOCK", "UNLOCK"):
        found["locked"] = fields.get("lock_state", "locked") == "locked" and fields["state"] == "LOCK"
    if report.kind == "bridge_event":
        found |= {"event": fields["type"], "device": fields.get("friendly_name", "")}
    return found
