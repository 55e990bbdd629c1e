"""Modbus frames, RTU and TCP, and what register maps make of them."""

from typing import Any

from devices.families import modbus, modbus_wire
from devices.families.modbus_maps import MAPS
from tests.vectors import SHARED

SAMPLES = SHARED / "modbus_sensors.jsonl"
# The vectors' names of maps and metrics -> ours.
MAP_NAMES = {"unverified_smoke": "renke_smoke"}
WORDS = {"humidity_percent": "humidity_pct"}


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data = bytes.fromhex(line["frame_hex"])
    rtu = line["transport"] == "rtu"
    adu = modbus_wire.read_rtu(data) if rtu else modbus_wire.read_tcp(data)
    if adu is None:
        return {"error": "length"}
    if not adu.crc_ok:
        return {"error": "crc"}
    fields = modbus_wire.read_answer(adu) if line["direction"] == "up" else modbus_wire.read_request(adu)
    found: dict[str, Any] = {"unit": adu.unit, "function": adu.function, **(fields or {"error": "data"})}
    found |= {"crc_ok": True} if rtu else {"transaction": adu.transaction}
    if "exception" in found:
        found |= {"function": adu.function & ~modbus_wire.EXCEPTION, "exception_code": found["exception"]}
    return found | _meaning(line.get("map", ""), found.get("registers") or found.get("bits", []))


def _meaning(name: str, registers: list[int]) -> dict[str, Any]:
    """An answer does not say where its registers begin: here, where the map's do."""
    points = MAPS.get(MAP_NAMES.get(name, name), ())
    if not points or not registers:
        return {}
    first = min(point.address for point in points)
    found: dict[str, Any] = {}
    for point in points:
        at = point.address - first
        held = registers[at : at + point.words]
        if len(held) < point.words:
            continue
        if point.metric:
            found[WORDS.get(point.metric, point.metric)] = modbus.measurement(point, held)
        else:
            found[point.alarm] = found.get(point.alarm, False) or held[0] in point.raised_at
    return found
