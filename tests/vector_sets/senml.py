"""SenML packs, resolved."""

from typing import Any

from devices.families.senml_wire import Invalid, Record, read
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "senml.jsonl"


def message(line: dict[str, Any]) -> Message:
    data = bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else line["frame_text"].encode()
    return Message("senml", data, {"content-type": line["media_type"]})


def decode(line: dict[str, Any]) -> dict[str, Any]:
    given = message(line)
    try:
        records = read(given.data, given.headers["content-type"])
    except Invalid:
        return {"error": "invalid"}
    return {"resolved": [_words(record) for record in records]}


def _words(record: Record) -> dict[str, Any]:
    words = {"n": record.name, "u": record.unit, "t_relative" if record.relative else "t": record.time}
    values = {"v": record.value, "vs": record.text, "vb": record.flag, "vd": record.data, "s": record.sum}
    return words | {name: value for name, value in {**values, "ut": record.update_s}.items() if value is not None}
