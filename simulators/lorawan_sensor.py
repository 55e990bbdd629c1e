"""A LoRaWAN device behind ChirpStack v4 or The Things Stack v3, as its server publishes it: a smoke detector or an
emergency button.

Smoke detector (Milesight GS524N), six bytes: version | type and message | battery % | smoke % | temperature | check
(the sum of all is 0). Message: 1 alarm, 2 silenced, 4 low battery, 7 normal, 10 removed.
Button (Milesight WS101): FF 2E and 1 short, 2 long, 3 double press; 01 75 and the battery in %.

Settings: `report_every_s`, `model` ("gs524n" or "ws101"), `server` ("chirpstack" or "the_things_stack"), `application`
(The Things Stack: APP@TENANT).
Actions: smoke, smoke_over, removed, low_battery of the detector, press of the button.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from msgspec import convert, json

from simulators.device import Accepted, ActionError
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec

SMOKE, REMOVED, LOW_BATTERY, NORMAL = 1, 10, 4, 7
MESSAGES = {"smoke": SMOKE, "smoke_over": NORMAL, "removed": REMOVED, "low_battery": LOW_BATTERY}
APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"


class Settings(Periods, frozen=True, forbid_unknown_fields=True):
    model: Literal["gs524n", "ws101"] = "gs524n"
    server: Literal["chirpstack", "the_things_stack"] = "chirpstack"
    application: str = APPLICATION


class LorawanSensor(Sender):
    WHAT, FAMILY = "a LoRaWAN sensor", "lorawan"
    ACTIONS: ClassVar = no_args(*MESSAGES, "press")

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._settings = settings
        self._counter = 0

    def happened(self, action: str, said: Any, at: datetime) -> None:
        if (action == "press") != (self._settings.model == "ws101"):
            raise ActionError(f"a {self._settings.model} cannot {action}")
        if action == "press":
            self._uplink(b"\xff\x2e\x01", at, self.row("sos", at, raised=True))
            return
        smoke = 30 if action == "smoke" else 0
        rows = {
            "smoke": [self.row("smoke", at, raised=True)],
            "smoke_over": [self.row("smoke", at, raised=False)],
            "removed": [self.row("tamper", at, raised=True)],
            "low_battery": [self.row("low_battery", at, raised=True)],
        }
        self._detector(MESSAGES[action], smoke, at, rows[action])

    def measured(self, at: datetime) -> None:
        if self._settings.model == "ws101":
            battery = self.chance.randrange(70, 100)
            self._uplink(bytes((1, 0x75, battery)), at, self.row("telemetry", at, battery_percent=battery))
        else:
            self._detector(NORMAL, 0, at, [])

    def _detector(self, message: int, smoke: int, at: datetime, rows: list[Accepted]) -> None:
        battery, degrees = self.chance.randrange(70, 100), self.chance.randrange(10, 30)
        told = bytes((0x22, 0x10 | message, battery, smoke, degrees))
        values: dict[str, Any] = {"battery_percent": battery, "temperature_c": degrees}
        check = bytes((-sum(told) % 256,))
        self._uplink(told + check, at, *rows, self.row("telemetry", at, **values))

    def _uplink(self, payload: bytes, at: datetime, *rows: Accepted) -> None:
        self._counter += 1
        if self._settings.server == "the_things_stack":
            self._things(payload, at, *rows)
            return
        body = {
            "deduplicationId": str(UUID(int=self.chance.getrandbits(128))),
            "time": at.isoformat(),
            "deviceInfo": {
                "deviceName": f"{self._settings.model} {self.native_id[-4:]}",
                "deviceProfileName": f"milesight/{self._settings.model}",
                "devEui": self.native_id,
            },
            "fCnt": self._counter,
            "fPort": 85,
            "data": b64encode(payload).decode(),
            "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -self.chance.randrange(60, 120), "snr": 5}],
        }
        topic = f"application/{self._settings.application}/device/{self.native_id}/event/up"
        self.send(topic, json.encode(body), *rows)

    def _things(self, payload: bytes, at: datetime, *rows: Accepted) -> None:
        name = f"{self._settings.model}-{self.native_id[-4:]}"
        heard = {"gateway_ids": {"gateway_id": "roof"}, "rssi": -self.chance.randrange(60, 120), "snr": 5}
        uplink = {
            "session_key_id": "AZ" + self.native_id,
            "f_port": 85,
            "f_cnt": self._counter,
            "frm_payload": b64encode(payload).decode(),
            "rx_metadata": [heard],
            "received_at": at.isoformat(),
        }
        body = {"end_device_ids": {"device_id": name, "dev_eui": self.native_id.upper()}, "uplink_message": uplink}
        self.send(f"v3/{self._settings.application}/devices/{name}/up", json.encode(body), *rows)


def build(native_id: str, settings: dict[str, Any], seed: int) -> LorawanSensor:
    """Raises ValueError for an id that is no DevEUI."""
    if not re.fullmatch(r"[0-9a-f]{16}", native_id):
        raise ValueError(f"a DevEUI is 16 hex digits in lower case, not {native_id!r}")
    return LorawanSensor(native_id, convert(settings, Settings), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    """The Things Stack names no profile: there the edge's file says which device is what."""
    read = [(spec.id, convert(spec.settings, Settings)) for spec in specs]
    topics = {
        f"v3/{told.application}/devices/+/up"
        if told.server == "the_things_stack"
        else f"application/{told.application}/device/+/event/+"
        for _, told in read
    }
    codecs = {name: f"milesight/{told.model}" for name, told in read if told.server == "the_things_stack"}
    return {"topics": sorted(topics)} | ({"settings": {"devices": codecs}} if codecs else {})
