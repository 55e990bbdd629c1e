"""What happens to observations between the Session and the spool: a tuple of pure stages.

A stage takes the view (what the site knows) and observations, and hands both back; no stage reads a clock or a file.

locate: where the observation belongs. A Position is in the smallest zone that holds the point. Anything else is in the
zone of its component, else in the zone its device is installed in, else in that of the device's own Position of the
same instant (an alarm and its place come in one frame), else where the device was last seen.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from devices.observation import NO_ZONE, DeviceId, Observation, Position, ZoneId
from edge.config import Device
from geofences.zones import Zones

NO_ZONES = Zones()


class View(Struct, frozen=True, kw_only=True):
    """`installed`: device -> zone; `components`: (device, native address) -> zone; `last_seen`: device -> zone of its
    last Position, devices outside every zone left out."""

    zones: Zones = NO_ZONES
    installed: Mapping[str, ZoneId] = {}
    components: Mapping[tuple[str, str], ZoneId] = {}
    last_seen: Mapping[DeviceId, ZoneId] = {}


Stage = Callable[[View, list[Observation]], tuple[View, list[Observation]]]
Instant = tuple[DeviceId, datetime]


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
    there = [_zone_at(view, one.body) if isinstance(one.body, Position) else None for one in found]
    seen = {(one.device, one.observed_at): zone for one, zone in zip(found, there, strict=True) if zone is not None}
    located = []
    for one, zone in zip(found, there, strict=True):
        place = zone if zone is not None else _zone_of(view, one, seen)
        located.append(replace(one, zone=place) if place != one.zone else one)
    return _moved(view, seen), located


def _zone_at(view: View, body: Position) -> ZoneId:
    return ZoneId(view.zones.zone_at(body.longitude, body.latitude))


def _zone_of(view: View, one: Observation, seen: Mapping[Instant, ZoneId]) -> ZoneId:
    body, device = one.body, one.device
    component = "" if isinstance(body, Position) else body.component
    fixed = (view.components.get((device, component)) if component else None) or view.installed.get(device)
    if fixed:
        return fixed
    last = view.last_seen.get(device, NO_ZONE)
    return seen.get((device, one.observed_at), last) if seen else last


def _moved(view: View, seen: Mapping[Instant, ZoneId]) -> View:
    """The view after these positions; the same one, uncopied, as long as nobody changes zones."""
    latest = {device: zone for (device, _), zone in seen.items()}
    moved = {device: zone for device, zone in latest.items() if view.last_seen.get(device, NO_ZONE) != zone}
    if not moved:
        return view
    last_seen = {device: zone for device, zone in {**view.last_seen, **moved}.items() if zone != NO_ZONE}
    return replace(view, last_seen=last_seen)


STAGES: tuple[Stage, ...] = (locate,)


def run(view: View, found: list[Observation]) -> tuple[View, list[Observation]]:
    for stage in STAGES:
        view, found = stage(view, found)
    return view, found
