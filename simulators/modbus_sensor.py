"""A sensor on Modbus TCP: what stands in its registers is what it says. Nobody confirms that it was read.

Settings: `unit` (its address on the line), `map` ("renke_smoke": holding register 3 is 1 in alarm; "jxct_th": humidity
and temperature in tenths in 0 and 1), `report_every_s` (of the climate).
Actions: smoke, smoke_over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, convert

from simulators.device import ActionError, Packet
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec


class Settings(Periods, frozen=True, forbid_unknown_fields=True):
    unit: Annotated[int, Meta(ge=1, le=247)] = 1
    map: Literal["renke_smoke", "jxct_th"] = "renke_smoke"


class ModbusSensor(Sender):
    WHAT, FAMILY = "a Modbus sensor", "modbus"
    ACTIONS: ClassVar = no_args("smoke", "smoke_over")
    CONFIRMED = False

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._map = settings.map
        self.unit = settings.unit

    def happened(self, action: str, said: Any, at: datetime) -> None:
        if self._map != "renke_smoke":
            raise ActionError(f"a {self._map} cannot {action}")
        rows = [self.row("smoke", at, raised=True)] if action == "smoke" else []  # what burnt is for people to say
        self.send("holding/3", (action == "smoke").to_bytes(2), *rows)

    def measured(self, at: datetime) -> None:
        if self._map == "jxct_th":
            for address, tenths in ((0, self.chance.randrange(300, 700)), (1, self.chance.randrange(150, 280))):
                self.remark(Packet(f"holding/{address}", tenths.to_bytes(2)))


def build(native_id: str, settings: dict[str, Any], seed: int) -> ModbusSensor:
    return ModbusSensor(native_id, convert(settings, Settings), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    read = [(spec.id, convert(spec.settings, Settings)) for spec in specs]
    units = [{"unit": told.unit, "device": name, "map": told.map} for name, told in read]
    return {"period_s": 1.0, "settings": {"units": units}}
