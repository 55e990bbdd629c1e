"""Wiegand bursts, the first bit on the wire first."""

from typing import Any

from devices import wiegand
from tests.vectors import SHARED

SAMPLES = SHARED / "wiegand.jsonl"
ERRORS = {"unknown length": "unknown_length", "keypad burst wrong": "bad_keypad"}


def decode(line: dict[str, Any]) -> dict[str, Any]:
    bits = line["frame_text"]
    read = wiegand.read(bits)
    found: dict[str, Any] = {"bits": len(bits)}
    if isinstance(read, wiegand.Key):
        return found | {"key": read.key}
    if isinstance(read, wiegand.ReadError):
        wrong = {"parity_ok": False} if read.reason == "parity wrong" else {"error": ERRORS[read.reason]}
        return found | wrong
    width = wiegand.BY_NAME[read.format].raw[1]
    found |= {"format": read.format, "card_number": read.number, f"raw_{width}": read.raw, "parity_ok": True}
    return found | ({"facility_code": read.facility} if read.facility is not None else {})
