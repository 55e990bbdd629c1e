"""Detectors that send JSON of their own: SenML packs (`senml`), or whatever a table has to say (`mapped`).

    senml   [{"bn": "urn:dev:…:", "bt": seconds, "n": "temperature_c", "v": 21.5}, {"n": "smoke", "vb": true}]
    mapped  {"id": "17", "at": "2026-11-24T20:29:50+08:00", "t": 21.5, "smoke": "ALARM"}

Settings: `report_every_s`. Actions: smoke, smoke_over.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert, json

from simulators.device import Accepted
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec

TABLE = {
    "device": "id",
    "time": "at",
    "values": [{"at": "t", "metric": "temperature_c", "unit": "Cel"}],
    "alarms": [{"at": "smoke", "kind": "smoke", "raised": ["ALARM"], "cleared": ["OK"]}],
}


class _Detector(Sender):
    WHAT = "a detector"
    ACTIONS: ClassVar = no_args("smoke", "smoke_over")

    def happened(self, action: str, said: Any, at: datetime) -> None:
        raised = action == "smoke"
        self._told(at, raised, None, self.row("smoke", at, raised=raised))

    def measured(self, at: datetime) -> None:
        celsius = self.chance.randrange(150, 280) / 10
        self._told(at, None, celsius, self.row("telemetry", at, temperature_c=celsius))

    def _told(self, at: datetime, smoke: bool | None, celsius: float | None, row: Accepted) -> None:
        raise NotImplementedError


class SenmlDetector(_Detector):
    FAMILY = "senml"

    def _told(self, at: datetime, smoke: bool | None, celsius: float | None, row: Accepted) -> None:
        record = {"n": "smoke", "vb": smoke} if celsius is None else {"n": "temperature_c", "u": "Cel", "v": celsius}
        pack = [{"bn": f"{self.native_id}:", "bt": int(at.timestamp()), **record}]
        self.send(f"senml/{self.native_id}", json.encode(pack), row)


class MappedDetector(_Detector):
    FAMILY = "mapped"

    def _told(self, at: datetime, smoke: bool | None, celsius: float | None, row: Accepted) -> None:
        reading: dict[str, Any] = {"id": self.native_id, "at": at.isoformat()}
        reading |= {"smoke": "ALARM" if smoke else "OK"} if celsius is None else {"t": celsius}
        self.send(f"detectors-{self.native_id}.json", json.encode(reading), row)


def build_senml(native_id: str, settings: dict[str, Any], seed: int) -> SenmlDetector:
    """Raises ValueError for what is no device name."""
    if not native_id.startswith("urn:dev:"):
        raise ValueError(f"a name such as urn:dev:mac:0024befffe804ff1, not {native_id!r}")
    return SenmlDetector(native_id, convert(settings, Periods), seed)


def build_mapped(native_id: str, settings: dict[str, Any], seed: int) -> MappedDetector:
    """Raises ValueError for an id that is no file name."""
    if not native_id.isalnum():
        raise ValueError(f"an id is letters and digits, not {native_id!r}")
    return MappedDetector(native_id, convert(settings, Periods), seed)


def edge_senml(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    return {"topics": ["senml/#"]}


def edge_mapped(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    return {"period_s": 0.5, "settings": {"tables": [TABLE]}}
