"""MEOKON frames: the wire reader's fields, values in the unit of the frame's type."""

from typing import Any

from devices.families import meokon_wire
from devices.framing import Framer
from tests.vectors import SHARED

SAMPLES = SHARED / "meokon.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data = bytes.fromhex(line["frame_hex"])
    framer = Framer(meokon_wire.cut, meokon_wire.FRAME_BYTES_MAX)
    [frame, *_] = [*framer.feed(data), *framer.idle()]
    report = meokon_wire.read_report(frame) if isinstance(frame, bytes) else None
    if report is None or report.low is None or report.high is None or report.now is None:
        return {"error": "unreadable"}
    return {
        "start": data[:2].hex().upper(),
        "id": report.id,
        "rssi_dbm": report.signal_dbm,
        "battery_percent": meokon_wire.battery_percent(report.battery),
        "interval_s": report.interval_s,
        "record_count": report.record_count,
        "unit": report.type,
        "decimals": meokon_wire.TYPES[report.type][2] if report.digits is None else report.digits,
        "alarm_bits": report.alarms,
        "alarms": report.alarm_names,
        "limit_low": report.value(report.low),
        "limit_high": report.value(report.high),
        "current": report.value(report.now),
        "time_epoch": report.epoch,
        "records": [report.value(raw) for raw in report.records],
        "end": data[-2:].hex().upper(),
    }
