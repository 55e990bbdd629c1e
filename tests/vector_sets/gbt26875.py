"""GB/T 26875.3: whole frames through a Session, application data through the wire reader. What goes down is also
written again from what was read of it, and must be the same bytes."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from devices.families import gbt26875, gbt26875_commands, gbt26875_wire
from devices.family import Everyone
from devices.observation import Observation, Rejected
from tests.vectors import SHARED

SAMPLES = SHARED / "gbt26875.jsonl"
USER_DEFINED = 128
DOWN = range(61, 92)  # types that only we send
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ERRORS = {"end mark missing": "end_flag", "start mark missing": "no_start_flag", "checksum wrong": "checksum"}
ERRORS |= {"frame incomplete": "short", "application data too long": "too_long"}


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data, layer = bytes.fromhex(line["frame_hex"]), line.get("layer", "")
    found = _unit(data) if layer == "app_data_unit" else _frame(data)
    if line["direction"] == "down" and "error" not in found and (again := _again(data, layer)) != data:
        return {"written_again": again.hex().upper()}
    return found


def _again(data: bytes, layer: str) -> bytes:
    """The bytes of a command or an answer of ours, made by our encoders."""
    if layer == "app_data_unit":
        unit = gbt26875_wire.read_unit(data)
        asked = unit.type in DOWN and not unit.error
        return gbt26875_commands.write_unit(unit.type, *unit.objects) if asked else data
    frame = gbt26875_wire.read_frame(data)
    if frame.time is None:
        return data
    unit_again = _again(frame.unit, "app_data_unit") if frame.unit else b""
    return gbt26875_wire.write_frame(replace(frame, unit=unit_again), frame.time)


def _frame(data: bytes) -> dict[str, Any]:
    session = gbt26875.Session(gbt26875.Settings(device="vector", sync_clock=False), Everyone())
    results = [*session.receive(data, NOW), *session.idle(NOW)]
    reasons = [result.reason for result in results if isinstance(result, Rejected)]
    if errors := [ERRORS[reason] for reason in reasons if reason in ERRORS]:
        assert not any(isinstance(result, Observation) for result in results)
        return {"error": errors[0]}
    frame = gbt26875_wire.read_frame(data)
    found: dict[str, Any] = {
        "serial": frame.serial,
        "main_version": frame.main_version,
        "user_version": frame.user_version,
        "time": _iso(frame.time),
        "source": frame.source,
        "source_hex": f"{frame.source:012X}",
        "destination": frame.destination,
        "destination_hex": f"{frame.destination:012X}",
        "app_length": len(frame.unit),
        "command": frame.command,
        "command_name": gbt26875_wire.COMMANDS.get(
            frame.command, "reserved" if frame.command < USER_DEFINED else "user_defined"
        ),
        "checksum": f"{data[-3]:02X}",
        "checksum_ok": True,
        "end_ok": True,
        "app_hex": frame.unit.hex().upper(),
        "app": _unit(frame.unit) if frame.unit else {},
    }
    if reply := session.to_send():
        answer = gbt26875_wire.read_frame(reply)
        found["reply"] = {
            "command": answer.command,
            "serial": answer.serial,
            "source": answer.source,
            "destination": answer.destination,
            "app_length": len(answer.unit),
        }
    return found


def _unit(data: bytes) -> dict[str, Any]:
    unit = gbt26875_wire.read_unit(data)
    objects = [
        {name: _iso(value) if name.endswith("time") else value for name, value in fields.items()}
        for fields in unit.objects
    ]
    found: dict[str, Any] = {"type": unit.type, "count": unit.count, "objects": objects}
    if unit.trailing:
        found["trailing"] = unit.trailing
    if unit.error:
        found["error"] = unit.error
    if unit.error == "unknown type":
        found["payload_hex"] = data[2:].hex().upper()
    return found


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
