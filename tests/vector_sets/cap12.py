"""CAP 1.2: alerts read, and written so that they read the same."""

from datetime import datetime
from typing import Any

from hub import cap, cap_xml
from tests.vectors import SHARED

SAMPLES = SHARED / "cap12.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    try:
        alert = cap_xml.read(line["frame_text"].encode())
    except cap.CapError:
        return {"error": "invalid"}
    assert cap_xml.read(cap_xml.write(alert)) == alert
    return _alert(alert)


def _alert(alert: cap.Alert) -> dict[str, Any]:
    return {
        "identifier": alert.identifier,
        "sender": alert.sender,
        "sent": cap.time_text(alert.sent),
        "status": alert.status,
        "msg_type": alert.message_type,
        "source": alert.source or None,
        "scope": alert.scope,
        "restriction": alert.restriction or None,
        "addresses": list(alert.addresses),
        "codes": list(alert.codes),
        "note": alert.note or None,
        "references": [
            {"sender": one.sender, "identifier": one.identifier, "sent": cap.time_text(one.sent)}
            for one in alert.references
        ],
        "incidents": list(alert.incidents),
        "info": [_info(info) for info in alert.infos],
    }


def _info(info: cap.Info) -> dict[str, Any]:
    return {
        "language": info.language,
        "category": list(info.categories),
        "event": info.event,
        "response_type": list(info.responses),
        "urgency": info.urgency,
        "severity": info.severity,
        "certainty": info.certainty,
        "audience": info.audience or None,
        "event_code": dict(info.event_codes),
        "effective": _time(info.effective),
        "onset": _time(info.onset),
        "expires": _time(info.expires),
        "sender_name": info.sender_name or None,
        "headline": info.headline or None,
        "description": info.description or None,
        "instruction": info.instruction or None,
        "web": info.web or None,
        "contact": info.contact or None,
        "parameters": dict(info.parameters),
        "resources": [
            {
                "desc": one.description,
                "mime_type": one.mime_type,
                "size": one.size,
                "uri": one.uri or None,
                "digest": one.digest or None,
            }
            for one in info.resources
        ],
        "areas": [_area(area) for area in info.areas],
    }


def _area(area: cap.Area) -> dict[str, Any]:
    found: dict[str, Any] = {
        "desc": area.description,
        "geocodes": [list(pair) for pair in area.geocodes],
        "altitude": area.altitude_ft,
        "ceiling": area.ceiling_ft,
    }
    for polygon in area.polygons[:1]:
        found["polygon"] = [list(place) for place in polygon]
    for circle in area.circles[:1]:
        found["circle"] = {"lat": circle.latitude, "lon": circle.longitude, "radius_km": circle.radius_km}
    return found


def _time(at: datetime | None) -> str | None:
    return cap.time_text(at) if at else None
