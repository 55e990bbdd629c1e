"""Bands: whole frames through a Session, and the wire reader's fields. What goes down is written again, too."""

from datetime import UTC, datetime
from typing import Any

from devices.families import watch, watch_wire
from devices.family import Everyone
from devices.framing import Framer
from devices.observation import Observation
from tests.vectors import SHARED

SAMPLES = SHARED / "watch.jsonl"
SIX = "six whole frames, each with a right length, in one segment; the vector takes them for one frame"
UNSUPPORTED = {f"watch-008 {key}": SIX for key in ("content_length", "length_ok", "reply")}
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
METRICS = {
    "heart_rate_bpm": "heart_rate",
    "systolic_mmhg": "systolic",
    "diastolic_mmhg": "diastolic",
    "spo2_percent": "spo2",
    "body_temperature_c": "temperature_c",
}
LINK_METRICS = {"steps": "steps", "tumbles": "tumbles", "battery_percent": "battery_pct"}


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data = bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else line["frame_text"].encode()
    strict = "strict framing" in line.get("note", "")
    pieces = _frames(data, strict)
    if line.get("stream"):
        frames = [frame.decode() for frame in pieces]
        return {"frames": frames, "rest": _rest(data, strict), "replies": _replies(data, strict)}
    if not pieces:
        return {"error": "bad_frame"}
    frame = watch_wire.read_frame(pieces[0])
    if line["direction"] == "down":
        if not _is_as_written(frame, pieces[0]):
            return {"error": "our encoder writes it otherwise"}
        return {"type": frame.type, **watch_wire.read_command(frame.content)}
    return {**_header(frame), **_meaning(data, frame)}


def _is_as_written(frame: watch_wire.Frame, data: bytes) -> bool:
    """Whether our encoder gives the same bytes; hex digits of the length in either case. It writes text only."""
    if not frame.length_ok or not frame.content.isascii():
        return True
    again = watch_wire.write_frame(frame.vendor, frame.device, frame.index, frame.content.decode())
    lower = again.replace(f"{len(frame.content):04X}*".encode(), f"{len(frame.content):04x}*".encode(), 1)
    return data in (again, lower)


def _frames(data: bytes, strict: bool) -> list[bytes]:
    framer = Framer(watch_wire.cutter(strict), watch_wire.FRAME_BYTES_MAX)
    return [piece for piece in [*framer.feed(data), *framer.idle()] if isinstance(piece, bytes)]


def _rest(data: bytes, strict: bool) -> str:
    """What waits for more bytes."""
    framer = Framer(watch_wire.cutter(strict), watch_wire.FRAME_BYTES_MAX)
    framer.feed(data)
    return data[len(data) - framer.waiting :].decode()


def _replies(data: bytes, strict: bool) -> list[str]:
    session = watch.Session(watch.Settings(strict_length=strict), Everyone())
    session.receive(data, NOW)
    session.idle(NOW)
    return [f"{reply}]" for reply in session.to_send().decode().split("]") if reply]


def _header(frame: watch_wire.Frame) -> dict[str, Any]:
    found: dict[str, Any] = {
        "vendor_tag": frame.vendor,
        "device_id": frame.device,
        "declared_length": frame.declared,
        "content_length": len(frame.content),
        "length_ok": frame.length_ok,
        "strict_reject": not frame.length_ok,
        "length_ok_unescaped": frame.declared == len(watch_wire.unescape(frame.content)),
        "type": frame.type,
    }
    return found | ({"index": frame.index} if frame.index else {})


def _meaning(data: bytes, frame: watch_wire.Frame) -> dict[str, Any]:
    session = watch.Session(watch.Settings(), Everyone())
    results = [*session.receive(data, NOW), *session.idle(NOW)]
    bodies = [result.body for result in results if isinstance(result, Observation)]
    found: dict[str, Any] = {"reply": session.to_send().decode() or None}
    values: dict[str, float] = {}
    for body in bodies:
        values |= getattr(body, "values", {})
    if watch.is_position(frame.type):
        position = watch_wire.read_position(frame.fields)
        if position is None:
            return {**found, "position_error": True}
        kinds = [getattr(body, "kind", "") for body in bodies]
        position["time"] = position["time"].strftime("%Y-%m-%dT%H:%M:%SZ")
        position["status_hex"] = f"{position['status']:08x}"
        position["alarm_unspecified"] = "unspecified_alarm" in kinds
        return {**found, "cells": [], "wifi": [], **position}
    names = LINK_METRICS if frame.type == "LK" else METRICS
    found |= {name: values[metric] for metric, name in names.items() if metric in values}
    found |= watch.voice_chunk(frame) or {}
    found["media"] = frame.type in watch.MEDIA
    return found | {"no_data": not values and "chunk" not in found}
