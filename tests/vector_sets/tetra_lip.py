"""LIP short location reports, without the short data message around them."""

from typing import Any

from devices.families import tetra_wire
from tests.vectors import SHARED

SAMPLES = SHARED / "tetra_lip.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    report = tetra_wire.read_short_report(bytes.fromhex(line["frame_hex"]))
    if report is None:
        return {"error": "no short report"}
    return {
        "pdu_type": 0,
        "time_elapsed": report.elapsed,
        "longitude": round(report.longitude, 6),
        "latitude": round(report.latitude, 6),
        "position_error": tetra_wire.ERRORS[report.error],
        "speed_kmh": report.speed_kmh if report.speed_kmh is None else round(report.speed_kmh, 1),
        "direction_deg": report.course_deg,
        "additional_type": "user_defined" if report.user_defined else "reason_for_sending",
        "additional": report.additional,
    }
