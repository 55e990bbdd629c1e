"""A Bluetooth band or button in reach of a Theengs or OpenMQTTGateway gateway, as that publishes what it decoded:
`home/GATEWAY/BTtoMQTT/ADDRESS` with JSON. There is no time in it.

A BTHome sensor is published as it was heard: 44 | 00 number | 01 battery % | 02 Celsius x 100, two bytes | 3A 01 press.

Settings: `report_every_s`, `gateway`, `sos_button`: a press asks for help; `bthome`: a BTHome sensor instead of a band.
Actions: press.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert, json

from simulators.device import Accepted
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec


class Settings(Periods, frozen=True, forbid_unknown_fields=True):
    gateway: str = "gateway-1"
    sos_button: bool = True
    bthome: bool = False


class BleTag(Sender):
    WHAT, FAMILY = "a Bluetooth tag", "ble"
    ACTIONS: ClassVar = no_args("press")

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._settings = settings
        self._packet = 0

    def happened(self, action: str, said: Any, at: datetime) -> None:
        rows = [self.row("sos", at, raised=True)] if self._settings.sos_button else []
        if self._settings.bthome:
            self._heard(b"\x3a\x01", *rows)
        else:
            self._seen({"type": "BTN", "button": 1}, *rows)

    def measured(self, at: datetime) -> None:
        if self._settings.bthome:
            battery, degrees = self.chance.randrange(40, 100), self.chance.randrange(10, 30)
            row = self.row("telemetry", at, battery_percent=battery, temperature_c=degrees)
            self._heard(bytes((1, battery, 2)) + (degrees * 100).to_bytes(2, "little"), row)
            return
        beats, battery = self.chance.randrange(58, 96), self.chance.randrange(40, 100)
        row = self.row("telemetry", at, heart_rate_bpm=beats, battery_percent=battery)
        self._seen({"type": "BODY", "bpm": beats, "batt": battery}, row)

    def _heard(self, objects: bytes, *rows: Accepted) -> None:
        """Service data as it is in the air; the number tells two packets apart."""
        self._packet += 1
        data = bytes((0x44, 0, self._packet % 256)) + objects
        self._publish({"servicedatauuid": "fcd2", "servicedata": data.hex()}, *rows)

    def _seen(self, properties: dict[str, Any], *rows: Accepted) -> None:
        self._packet += 1
        seen = {
            "brand": "Simulated",
            "model": "Band",
            "model_id": "SIM-1",
            **properties,
            "packet": self._packet,
        }
        self._publish(seen, *rows)

    def _publish(self, said: dict[str, Any], *rows: Accepted) -> None:
        topic = f"home/{self._settings.gateway}/BTtoMQTT/{self.native_id.replace(':', '')}"
        self.send(topic, json.encode({"id": self.native_id, "rssi": -self.chance.randrange(40, 95)} | said), *rows)


def build(native_id: str, settings: dict[str, Any], seed: int) -> BleTag:
    """Raises ValueError for what is no address."""
    if not re.fullmatch(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", native_id):
        raise ValueError(f"a Bluetooth address is six bytes such as C0:FF:EE:00:00:02, not {native_id!r}")
    return BleTag(native_id, convert(settings, Settings), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    read = [(spec.id, convert(spec.settings, Settings)) for spec in specs]
    gateways = sorted({told.gateway for _, told in read})
    buttons = [name for name, told in read if told.sos_button]
    return {"topics": [f"home/{name}/BTtoMQTT/#" for name in gateways], "settings": {"sos_buttons": buttons}}
