"""LoRaWAN network servers: the envelope, and the payload of devices whose profile names a codec."""

import json
from typing import Any

from devices.families.lorawan_codecs import CODECS
from devices.families.lorawan_wire import Uplink, read
from devices.family import Message
from tests.vectors import SHARED

SAMPLES = SHARED / "lorawan_envelopes.jsonl"


def message(line: dict[str, Any]) -> Message:
    return Message(line["topic"], json.dumps(line["frame_json"]).encode())


def decode(line: dict[str, Any]) -> dict[str, Any]:
    envelope = read(message(line))
    assert envelope is not None, line["id"]
    found = {"event": envelope.event, "dev_eui": envelope.dev_eui, "device_id": envelope.name, **envelope.fields}
    if envelope.uplink:
        found |= _uplink(envelope.profile, envelope.uplink)
    return found


def _uplink(profile: str, uplink: Uplink) -> dict[str, Any]:
    found: dict[str, Any] = {
        "f_port": uplink.f_port,
        "f_cnt": uplink.f_cnt,
        "payload_hex": uplink.payload.hex().upper(),
        "confirmed": uplink.confirmed,
        "best_rssi": uplink.radio.rssi_dbm,
        "best_snr": uplink.radio.snr_db,
        "gateways": list(uplink.radio.gateways),
    }
    if profile in CODECS:
        values = CODECS[profile](uplink.f_port, uplink.payload, False)
        found |= {"device": profile, "decoded": values | {"event_name": values.get("event")}}
    return found
