"""A Zigbee device behind zigbee2mqtt: `zigbee2mqtt/NAME` with what changed, as JSON, and when it was last seen.

Settings: `report_every_s` (battery and signal), `base_topic`.
Actions: those of STATES (smoke, smoke_over, leak …), press of an emergency button.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert, json

from simulators.device import Accepted
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec

# action -> (attribute, its value, alarm, raised)
STATES: dict[str, tuple[str, Any, str, bool]] = {
    "smoke": ("smoke", True, "smoke", True),
    "smoke_over": ("smoke", False, "smoke", False),
    "gas": ("gas", True, "gas", True),
    "gas_over": ("gas", False, "gas", False),
    "leak": ("water_leak", True, "water_leak", True),
    "leak_over": ("water_leak", False, "water_leak", False),
    "tamper": ("tamper", True, "tamper", True),
    "low_battery": ("battery_low", True, "low_battery", True),
    "press": ("action", "emergency", "sos", True),
}


class Settings(Periods, frozen=True, forbid_unknown_fields=True):
    base_topic: str = "zigbee2mqtt"


class ZigbeeDevice(Sender):
    WHAT, FAMILY = "a Zigbee device", "zigbee2mqtt"
    ACTIONS: ClassVar = no_args(*STATES)

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._topic = f"{settings.base_topic}/{native_id}"

    def happened(self, action: str, said: Any, at: datetime) -> None:
        attribute, value, kind, raised = STATES[action]
        self._state(at, {attribute: value}, self.row(kind, at, raised=raised))

    def measured(self, at: datetime) -> None:
        battery = self.chance.randrange(60, 100)
        self._state(at, {"battery": battery}, self.row("telemetry", at, battery_percent=battery))

    def _state(self, at: datetime, changed: dict[str, Any], *rows: Accepted) -> None:
        quality = self.chance.randrange(20, 255)
        self.send(self._topic, json.encode({**changed, "linkquality": quality, "last_seen": at.isoformat()}), *rows)


def build(native_id: str, settings: dict[str, Any], seed: int) -> ZigbeeDevice:
    """Raises ValueError for a name that is no topic."""
    if set("+#\0") & set(native_id):
        raise ValueError(f"a friendly name has no + or #, not {native_id!r}")
    return ZigbeeDevice(native_id, convert(settings, Settings), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    base = specs[0].settings.get("base_topic", "zigbee2mqtt")
    return {"topics": [f"{base}/#"], "settings": {"base_topic": base}}
