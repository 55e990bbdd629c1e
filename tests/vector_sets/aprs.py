"""APRS packets, and passcodes of APRS-IS. A packet whose type is not read makes a sign of life only: an error here."""

from typing import Any

from devices.families import aprs_wire
from tests.vectors import SHARED

SAMPLES = SHARED / "aprs.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    if line.get("layer") == "aprs_is_passcode":
        return {"aprs_is_passcode": aprs_wire.passcode(line["frame_text"])}
    found = aprs_wire.read_packet(line["frame_text"].rstrip("\r\n"))
    inner = found
    while inner and inner["format"] == "thirdparty":
        inner = inner["subpacket"]
    if found is None or inner is None or inner["format"] == "unread":
        return {"error": "parse"}
    for name in ("latitude", "longitude"):
        if name in found:
            found[name] = round(found[name], 6)
    return found
