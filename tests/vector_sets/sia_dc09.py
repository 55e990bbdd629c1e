"""SIA DC-09 lines: the wire reader's fields, and the ACK byte for byte. Lines of this set stand without LF and CR."""

from typing import Any

from devices.families import sia_dc09, sia_dc09_wire
from devices.families.sia_dc09_codes import SIA_CODE
from devices.framing import Framer
from tests.vectors import SHARED

SAMPLES = SHARED / "sia_dc09.jsonl"


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data = line["frame_text"].encode()
    frame = sia_dc09_wire.read_frame(data)
    pieces = Framer(sia_dc09_wire.cut, sia_dc09_wire.FRAME_BYTES_MAX)
    accepted = any(isinstance(piece, bytes) for piece in [*pieces.feed(data), *pieces.idle()])
    if frame is None:
        assert not accepted
        return {"error": "format"}
    assert accepted == frame.crc_ok
    found: dict[str, Any] = {
        "crc": frame.crc,
        "crc_ok": frame.crc_ok,
        "length_field": frame.length,
        "length_ok": frame.length_ok,
        "id": frame.id,
        "encrypted": frame.encrypted,
        "sequence": frame.sequence,
        "receiver": frame.receiver,
        "line": frame.line,
        "account": frame.account,
        "inner_account": frame.inner_account,
        "cipher_hex": frame.cipher,
        "extended_data": [{"type": name, "value": value} for name, value in frame.extended],
        "time": f"{frame.time.isoformat()}Z" if frame.time else None,
    }
    if frame.crc_ok and frame.id not in sia_dc09_wire.ANSWERS:
        found["ack"] = sia_dc09_wire.write_answer("ACK", frame).decode()
    return found | _event(frame)


def _event(frame: sia_dc09_wire.Frame) -> dict[str, Any]:
    if frame.id not in sia_dc09_wire.CONTACT_IDS:
        return next(iter(sia_dc09_wire.read_dcs(frame.data)), {})
    event = sia_dc09_wire.read_contact_id(frame.data)
    if event is None:
        return {}
    code = event["event_code"]
    pair = SIA_CODE.get(code, ("", ""))
    return {
        **event,
        "meaning": sia_dc09.meaning(code, frame.id == "HENG-BO"),
        "sia_code": pair[event["qualifier"] == "restore"],
    }
