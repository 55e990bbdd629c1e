"""NMEA 0183 sentences and the lines that name a unit. `source_is_valid` is the view of the library that one half of
the lines comes from; it is computed here, the product does not use it."""

from typing import Any

from devices.families import nmea_wire
from tests.vectors import SHARED

SAMPLES = SHARED / "nmea0183.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data = line["frame_text"].strip().encode()
    device = nmea_wire.read_login(data)
    if device:
        return {"kind": "login", "device_id": device}
    sentence = nmea_wire.read_sentence(data)
    fields = nmea_wire.read_fields(sentence) if sentence else None
    if sentence is None or fields is None:
        return {"error": "malformed"}
    found: dict[str, Any] = {
        "prefix": sentence.prefix,
        "talker": sentence.talker,
        "sentence": sentence.type,
        "checksum": sentence.check or None,
        "checksum_ok": sentence.check_ok,
        "trailing": sentence.trailing,
        "proprietary": sentence.talker == "P",
        **fields,
    }
    if sentence.check and not sentence.check_ok:
        found["error"] = "checksum"
    if fields.get("time"):
        found["time"] = _shown(fields["time"].isoformat())
    if "date" in fields:
        found["date"] = fields["date"].isoformat() if fields["date"] else None
    if sentence.type == "RMC":
        found["source_is_valid"] = (
            fields["status"] == "A"
            and fields.get("mode", "A") in list("ADEFMPRS")
            and fields.get("nav_status", "S") in list("SCU")
        )
    return found


def _shown(text: str) -> str:
    return text.rstrip("0") if "." in text else text
