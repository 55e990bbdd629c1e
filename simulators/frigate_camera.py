"""A camera that Frigate looks at: tracked objects on `frigate/events`.

Settings: `report_every_s` (the status of the camera), `zone`: where nobody may be.
Actions: intruder (a person appears in the zone), intruder_gone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from msgspec import convert, json

from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, no_args
from simulators.spec import DeviceSpec


class Settings(Periods, frozen=True, forbid_unknown_fields=True):
    zone: str = "ramp"


class FrigateCamera(Sender):
    WHAT, FAMILY = "a camera", "frigate"
    ACTIONS: ClassVar = no_args("intruder", "intruder_gone")

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._zone = settings.zone
        self._since: datetime | None = None

    def happened(self, action: str, said: Any, at: datetime) -> None:
        came = action == "intruder"
        if not came and self._since is None:
            return
        self._since = self._since or at
        self._object("new" if came else "end", at)
        if not came:
            self._since = None

    def _object(self, phase: str, at: datetime) -> None:
        assert self._since is not None
        began = self._since.timestamp()
        seen = {
            "id": f"{began:.1f}-{self.native_id}",
            "camera": self.native_id,
            "label": "person",
            "frame_time": at.timestamp(),
            "start_time": began,
            "end_time": at.timestamp() if phase == "end" else None,
            "false_positive": False,
            "stationary": False,
            "current_zones": [self._zone] if phase == "new" else [],
            "entered_zones": [self._zone],
        }
        row = self.row("intrusion", at, self._zone, raised=phase == "new")
        self.send("frigate/events", json.encode({"type": phase, "before": seen, "after": seen}), row)


def build(native_id: str, settings: dict[str, Any], seed: int) -> FrigateCamera:
    """Raises ValueError for what is no name of a camera."""
    if not native_id.replace("_", "").isalnum():
        raise ValueError(f"a camera's name is letters, digits and _, not {native_id!r}")
    return FrigateCamera(native_id, convert(settings, Settings), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    rules = [{"camera": spec.id, "zone": spec.settings.get("zone", "ramp")} for spec in specs]
    return {"topics": ["frigate/#"], "settings": {"intrusion": rules}}
