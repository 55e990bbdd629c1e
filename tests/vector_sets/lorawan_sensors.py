"""LoRaWAN payloads: the codec that the line names, on the port that it names."""

from typing import Any

from devices.families.lorawan_codecs import CODECS
from tests.vectors import SHARED

SAMPLES = SHARED / "lorawan_sensors.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    codec = CODECS[line["device"]]
    return codec(line["fport"], bytes.fromhex(line["frame_hex"]), line["direction"] == "down")
