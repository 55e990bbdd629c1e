"""What happens to observations between the Session and the spool: a tuple of pure stages.

A stage takes the view (what the site knows) and observations, and hands both back; no stage reads a clock or a file.

locate: where the observation belongs. A Position is in the smallest zone that holds the point. Anything else is in the
zone of its component, else in the zone its device is installed in, else where the device was last seen.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from devices.observation import NO_ZONE, Alarm, DeviceId, Event, Observation, Position, ZoneId
from edge.config import Device


class Places(Protocol):
    """What locate asks of geofences.zones.Zones (which is imported only when there are zones: it costs 15 MB)."""

    def zone_at(self, longitude: float, latitude: float) -> str: ...


class Nowhere:
    """No zones have been drawn yet."""

    def zone_at(self, longitude: float, latitude: float) -> str:
        return NO_ZONE


class View(Struct, frozen=True, kw_only=True):
    """`installed`: device -> zone; `components`: (device, native address) -> zone; `last_seen`: device -> zone of its
    last Position."""

    places: Places = Nowhere()
    installed: Mapping[str, ZoneId] = {}
    components: Mapping[tuple[str, str], ZoneId] = {}
    last_seen: Mapping[DeviceId, ZoneId] = {}


Stage = Callable[[View, list[Observation]], tuple[View, list[Observation]]]


def view_of(devices: tuple[Device, ...]) -> View:
    """The view before any zone was drawn and any device seen."""
    return View(
        installed={device.id: ZoneId(device.zone) for device in devices if device.zone},
        components={
            (device.id, component.address): ZoneId(component.zone)
            for device in devices
            for component in device.components
        },
    )


def locate(view: View, found: list[Observation]) -> tuple[View, list[Observation]]:
    located: list[Observation] = []
    for observation in found:
        body, device = observation.body, observation.device
        if isinstance(body, Position):
            zone = ZoneId(view.places.zone_at(body.longitude, body.latitude))
            if view.last_seen.get(device) != zone:
                view = replace(view, last_seen={**view.last_seen, device: zone})
        else:
            zone = _zone_of(view, device, body.component if isinstance(body, Alarm | Event) else "")
        located.append(replace(observation, zone=zone) if zone != observation.zone else observation)
    return view, located


def _zone_of(view: View, device: DeviceId, component: str) -> ZoneId:
    zone = view.components.get((device, component)) if component else None
    return zone or view.installed.get(device) or view.last_seen.get(device, NO_ZONE)


STAGES: tuple[Stage, ...] = (locate,)


def run(view: View, found: list[Observation]) -> tuple[View, list[Observation]]:
    for stage in STAGES:
        view, found = stage(view, found)
    return view, found
