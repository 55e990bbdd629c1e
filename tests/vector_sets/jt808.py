"""JT/T 808: whole frames, as the wire reader sees them and as a Session answers them. What goes down is written again.

`vendor` (attributes of single brands' own items) is an optional goal of the set and is not compared.
"""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from devices.families import jt808, jt808_bodies, jt808_commands, jt808_parameters, jt808_wire
from devices.family import Everyone
from devices.framing import Framer, xor8
from devices.observation import Observation
from tests.vectors import SHARED

SAMPLES = SHARED / "jt808.jsonl"
UNSUPPORTED = {"vendor": "what another project calls values of vendors' items; an optional goal of the set"}
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def decode(line: dict[str, Any]) -> dict[str, Any]:
    data = bytes.fromhex(line["frame_hex"]) if "frame_hex" in line else line["frame_text"].encode()
    start = data.find(b"\x7e")
    if start < 0:
        return _text(data)
    frame = jt808_wire.unescape(data[start:].strip(b"\x7e"))
    found = {"unescaped_hex": f"7E{frame.hex().upper()}7E", "skipped_prefix_hex": data[:start].hex().upper()}
    if len(frame) < jt808_wire.FRAME_BYTES_MIN:
        return found
    return found | _message(data, frame, line["direction"] == "down")


def _text(data: bytes) -> dict[str, Any]:
    pieces = Framer(jt808_wire.cut, jt808_wire.FRAME_BYTES_MAX).feed(data)
    found = {
        "kind": "huabao_text_frame",
        "text": b"".join(piece for piece in pieces if isinstance(piece, bytes)).decode(),
    }
    reply = _reply(data).decode()
    if not reply:
        return {**found, "reply": None}
    pattern = "same text with TIME replaced by current UTC yyyyMMddHHmmss"
    answered = reply == data.decode().replace("TIME", f"{NOW:%Y%m%d%H%M%S}")
    return {**found, "reply_text_pattern": pattern if answered else reply}


def _message(data: bytes, frame: bytes, down: bool) -> dict[str, Any]:
    message = jt808_wire.read_message(frame)
    checksum_ok = xor8(frame) == 0
    digits = message.phone.hex()
    found: dict[str, Any] = {
        "msg_id": f"0x{message.id:04X}",
        "body_length": message.body_length,
        "encryption": message.encryption,
        "version_flag": message.version_flag,
        "version_2019": message.is_2019,
        "protocol_version": message.version,
        "terminal_id_bcd": digits,
        "terminal_id": digits.lstrip("0") or "0",
        "serial": message.serial,
        "packet_total": message.total,
        "packet_index": message.index,
        "checksum": f"{frame[-1]:02X}",
        "checksum_ok": checksum_ok,
        "body_length_matches": message.length_ok,
        "body_hex": message.body.hex().upper(),
        "body_hex_len": len(message.body),
        "body_empty": not message.body,
    }
    if message.version_flag != message.is_2019:
        bit, layout = ("clear", "2019") if message.is_2019 else ("set", "2013")
        found["layout_quirk"] = f"version bit {bit} but {layout} header layout"
    if checksum_ok and message.id < 0x8000:
        found |= _answer(data)
    if checksum_ok and down and not _is_as_written(data[data.find(b"\x7e") :], message):
        return {"error": "our encoder writes it otherwise"}
    if not checksum_ok:
        assert not any(isinstance(result, Observation) for result in _session().receive(data, NOW))
    return found | _body(message)


def _is_as_written(data: bytes, message: jt808_wire.Message) -> bool:
    """Whether our encoders give the same bytes, from what was read."""
    lies = message.version_flag != message.is_2019 or not message.length_ok
    if lies or message.encryption or message.id in jt808_wire.SHORT_SERIAL:
        return True
    if message.id == jt808_commands.SET_PARAMETERS:
        params = jt808_bodies.read_body(message)["params"]
        items = jt808_parameters.items({int(id_, 16): bytes.fromhex(value) for id_, value in params})
        message = replace(message, body=items)
    return jt808_wire.write_message(message) == data


def _body(message: jt808_wire.Message) -> dict[str, Any]:
    if message.id in (0x0200, 0x0201, 0x0500):
        lead = 0 if message.id == 0x0200 else 2
        serial = {"reply_serial": int.from_bytes(message.body[:2])} if lead else {}
        return serial | {"location": _location(jt808_wire.read_location(message.body[lead:]))}
    if message.id == 0x0704:
        batch = jt808_bodies.read_batch(message.body)
        assert batch is not None
        return {"count": batch[0], "batch_type": batch[1], "locations": [_location(one) for one in batch[2]]}
    fields = jt808_bodies.read_body(message)
    return {**fields, "time": _iso(fields["time"])} if "time" in fields else fields


def _location(location: jt808_wire.Location | None) -> dict[str, Any]:
    if location is None:
        return {}
    return {
        "alarm_flags": location.alarms,
        "status_flags": location.status,
        "acc_on": bool(location.status & 1),
        "positioned": location.positioned,
        "latitude": location.latitude,
        "longitude": location.longitude,
        "altitude_m": location.altitude_m,
        "speed_kmh": location.speed_kmh,
        "direction": location.course_deg,
        "time": _iso(location.time),
        "extra_tlv": [[f"{id_:02X}", raw.hex().upper()] for id_, raw in location.items],
        "extra_tail_hex": location.tail.hex().upper(),
        **location.values,
    }


def _answer(data: bytes) -> dict[str, Any]:
    pieces = Framer(jt808_wire.cut, jt808_wire.FRAME_BYTES_MAX).feed(_reply(data))
    answers = [jt808_wire.read_message(piece) for piece in pieces if isinstance(piece, bytes)]
    if not answers:
        return {}
    fields = jt808_bodies.read_body(answers[0])
    return {"reply": {"msg_id": f"0x{answers[0].id:04X}", **fields}}


def _reply(data: bytes) -> bytes:
    session = _session()
    session.receive(data, NOW)
    return session.to_send()


def _session() -> jt808.Session:
    return jt808.Session(jt808.Settings(), Everyone())


def _iso(time: datetime | None) -> str | None:
    return f"{time.isoformat()}+08:00" if time else None
