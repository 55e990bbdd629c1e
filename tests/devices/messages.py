"""One good report of each family of whole messages, made by hand from the protocols, and the settings it needs."""

import json
from base64 import b64encode
from typing import Any

from msgspec import Struct

from devices.family import Message


class Good(Struct, frozen=True):
    """A message of device `native_id` that raises an alarm under `settings`."""

    native_id: str
    message: Message
    settings: dict[str, Any] = {}
    flipped_is_caught: bool = False  # the family declares an integrity check


DEV_EUI = "24e12422115a212f"


def chirpstack(payload: bytes, profile: str = "milesight/gs524n", f_port: int = 85, **more: Any) -> Message:
    body = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-11-24T12:29:50.250123456+00:00",
        "deviceInfo": {"deviceName": "Hall A", "deviceProfileName": profile, "devEui": DEV_EUI},
        "fCnt": 42,
        "fPort": f_port,
        "data": b64encode(payload).decode(),
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -90, "snr": -3.2}, {"rssi": -70, "snr": 8}],
    }
    topic = f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{DEV_EUI}/event/up"
    return Message(topic, json.dumps(body | more).encode())


def zigbee2mqtt(name: str = "hall/smoke_1", **state: Any) -> Message:
    return Message(f"zigbee2mqtt/{name}", json.dumps(state).encode())


SMOKE_ZIGBEE = {"smoke": True, "battery": 80, "linkquality": 90, "last_seen": "2026-11-24T12:29:50+00:00"}
SMOKE_GS524N = bytes.fromhex("22115A212F23")

GOOD_MESSAGES: dict[str, Good] = {
    "lorawan": Good(DEV_EUI, chirpstack(SMOKE_GS524N)),
    "zigbee2mqtt": Good("hall/smoke_1", zigbee2mqtt(**SMOKE_ZIGBEE)),
}
