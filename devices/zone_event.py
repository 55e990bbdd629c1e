"""What geofences tell, as edge and hub say it: an Event of the device, `zone_` and the kind. Pure.

The crossing is geofences.track.Crossing, which this package does not know: its kind, zone and time are all it asks for.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from devices.observation import DeviceId, Event, Observation, ZoneId

PREFIX = "zone_"


class Crossed(Protocol):
    """`at`: seconds since 1970."""

    @property
    def kind(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def at(self) -> float: ...


def zone_event(
    device: DeviceId, crossed: Crossed, attributes: Mapping[str, str], received_at: datetime, *, frame_id: str = ""
) -> Observation:
    return Observation(
        device=device,
        observed_at=datetime.fromtimestamp(crossed.at, UTC),
        received_at=received_at,
        body=Event(kind=PREFIX + crossed.kind, attributes=dict(attributes)),
        zone=ZoneId(crossed.zone),
        frame_id=frame_id,
    )
