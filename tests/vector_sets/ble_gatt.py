"""GATT values by characteristic, and the two number formats by themselves."""

from typing import Any

from devices.families.ble_gatt import CHARACTERISTICS, medical_float
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "ble_gatt.jsonl"
FLOAT_BITS = {"sfloat": 12, "float": 24}


def message(line: dict[str, Any]) -> Message:
    return Message(f"C0:FF:EE:00:00:01/{line['characteristic']}", bytes.fromhex(line["frame_hex"]))


def decode(line: dict[str, Any]) -> dict[str, Any]:
    name, data = line["characteristic"], bytes.fromhex(line["frame_hex"])
    return medical_float(data, FLOAT_BITS[name]) if name in FLOAT_BITS else CHARACTERISTICS[name.lower()](data)
