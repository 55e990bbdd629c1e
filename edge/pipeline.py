"""What happens to observations between the Session and the spool: a tuple of pure stages.

A stage takes the view (what the site knows) and observations, and hands both back; no stage reads a clock or a file.

locate: where the observation belongs. A Position is in the smallest zone that holds the point. Anything else is in the
zone of its component, else in the zone its device is installed in, else in that of the device's own Position of the
same instant (an alarm and its place come in one frame), else where the device was last seen. Positions that a device
kept and sends later change nothing about that: what it saw last, by its own time, counts.

cross: what the Positions say about zones (edge.fences) is appended, in the order of the Positions.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from devices.observation import NO_ZONE, DeviceId, Observation, Position, ZoneId
from edge.config import Device
from edge.fences import Fences


class Seen(Struct, frozen=True):
    """Where a device was ("" = outside every zone), and when."""

    zone: ZoneId
    at: datetime


class View(Struct, frozen=True, kw_only=True):
    """`installed`: device -> zone; `components`: (device, native address) -> zone; `last_seen`: of each device's newest
    Position. It and `fences` are memory that is written in place: to copy 20,000 devices would cost more than the
    rest."""

    fences: Fences = field(default_factory=Fences)
    installed: Mapping[str, ZoneId] = {}
    components: Mapping[tuple[str, str], ZoneId] = {}
    last_seen: dict[DeviceId, Seen] = {}


Stage = Callable[[View, list[Observation]], tuple[View, list[Observation]]]
Instant = tuple[DeviceId, datetime]


def view_of(devices: Collection[Device]) -> View:
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
    for one, zone in zip(found, there, strict=True):
        if zone is not None:
            _moved(view, one, zone)
    return view, located


def _zone_at(view: View, body: Position) -> ZoneId:
    return ZoneId(view.fences.plan.zone_at(body.longitude, body.latitude))


def _zone_of(view: View, one: Observation, seen: Mapping[Instant, ZoneId]) -> ZoneId:
    body, device = one.body, one.device
    component = "" if isinstance(body, Position) else body.component
    if one.zone:
        return one.zone
    fixed = (view.components.get((device, component)) if component else None) or view.installed.get(device)
    if fixed:
        return fixed
    last = view.last_seen.get(device)
    return seen.get((device, one.observed_at), last.zone if last else NO_ZONE)


def _moved(view: View, one: Observation, zone: ZoneId) -> None:
    at = min(one.observed_at, one.received_at)  # a clock that is ahead must not outlast its own correction
    last = view.last_seen.get(one.device)
    if last is None or at >= last.at:
        view.last_seen[one.device] = Seen(zone, at)


def cross(view: View, found: list[Observation]) -> tuple[View, list[Observation]]:
    told = [event for one in found if isinstance(one.body, Position) for event in view.fences.seen(one, one.body)]
    return view, [*found, *told] if told else found


STAGES: tuple[Stage, ...] = (locate, cross)


def run(view: View, found: list[Observation]) -> tuple[View, list[Observation]]:
    for stage in STAGES:
        view, found = stage(view, found)
    return view, found
