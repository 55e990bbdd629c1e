"""Along a corridor: how far, which way, past which checkpoints. Pure.

Metres are counted along the line in the direction that is asked for, so that forward is always more. Between two fixes
a checkpoint counts as passed when the straight line between them comes near enough.
"""

from collections.abc import Iterator
from math import inf

from msgspec.structs import replace

from geofences.calendar import wall_time
from geofences.metres import along_m, boundary_m, distance_m, length_m
from geofences.plan import Plan
from geofences.rules import Checkpoint, Corridor
from geofences.track import Crossing, Fix, Ride

WRONG_FIXES = 2
PASSED_M = 50.0  # beyond a checkpoint and its radius: it was passed by


def ridden(known: Ride | None, zone: int, fix: Fix, last: Fix | None, plan: Plan) -> tuple[Ride, list[Crossing]]:
    """The ride with one more fix within the corridor, and what that tells."""
    corridor = plan.corridors[zone]
    at = _progress(corridor, zone, fix, plan)
    ride = known or Ride(zone, fix.at, at, at, at)
    if ride.low > ride.high:
        ride = replace(ride, low=at, high=at, turned=at)
    told: list[Crossing] = []
    ride = _faced(ride, at, corridor)
    if ride.is_wrong and not (known is not None and known.is_wrong):
        why = f"{corridor.direction} is the way, {abs(at - ride.high):.0f} m back"
        told.append(Crossing("wrong_way", plan.ids[zone], plan.version, fix.at, fix.at, fix, last, 1.0, why))
    before = last if known is not None else None
    visited = tuple(_visited(ride, corridor, fix, before, plan))
    ride = replace(ride, low=min(ride.low, at), high=max(ride.high, at), visited=visited)
    missed = tuple(each.name for each in _passed_by(ride, corridor, zone, fix, plan))
    for name in missed:
        why = f"{name} was passed by"
        told.append(
            Crossing("missed_checkpoint", plan.ids[zone], plan.version, fix.at, ride.since, fix, last, 1.0, why)
        )
    return replace(ride, missed=ride.missed + missed), told


def anew(ride: Ride) -> Ride:
    """Under another plan, whose line may be another one: what was reached and which way it went is not known until the
    next fix."""
    return replace(ride, low=inf, high=-inf, turned=-inf, fixes=0, is_wrong=False)


def runs_out(ride: Ride, plan: Plan) -> Iterator[tuple[float, Checkpoint]]:
    """When the time of each checkpoint that is neither visited nor missed runs out."""
    corridor = plan.corridors[ride.zone]
    for each in corridor.checkpoints:
        until = _window(each, ride.since, corridor)[1]
        if until < inf and each.name not in ride.visited and each.name not in ride.missed:
            yield until, each


def is_at_end(zone: int, fix: Fix, plan: Plan) -> bool:
    """Whether a corridor that is left here is left at one of its ends."""
    line, end_m = plan.lines[zone], plan.corridors[zone].end_m
    along = along_m(plan.scale, line, *plan.seen(fix))
    return along <= end_m or along >= sum(length_m(plan.scale, each) for each in line) - end_m


def _progress(corridor: Corridor, zone: int, fix: Fix, plan: Plan) -> float:
    return _directed(corridor, along_m(plan.scale, plan.lines[zone], *plan.seen(fix)))


def _directed(corridor: Corridor, metres: float) -> float:
    return -metres if corridor.direction == "backward" else metres


def _faced(ride: Ride, at: float, corridor: Corridor) -> Ride:
    """Which way it goes. It turns when it is WRONG_FIXES fixes in a row farther than `wrong_way_m` from where it was
    farthest the way that it went."""
    if corridor.direction == "both":
        return ride
    ahead = -1.0 if ride.is_wrong else 1.0
    turned = max(ride.turned * ahead, at * ahead) * ahead
    if (turned - at) * ahead <= corridor.wrong_way_m:
        return replace(ride, turned=turned, fixes=0)
    if ride.fixes + 1 < WRONG_FIXES:
        fixes, is_wrong = ride.fixes + 1, ride.is_wrong
    else:
        fixes, is_wrong, turned = 0, not ride.is_wrong, at
    return replace(ride, turned=turned, fixes=fixes, is_wrong=is_wrong)


def _visited(ride: Ride, corridor: Corridor, fix: Fix, last: Fix | None, plan: Plan) -> Iterator[str]:
    """In the order of the corridor."""
    for each in corridor.checkpoints:
        first, until = _window(each, ride.since, corridor)
        here = first <= fix.at < until and _is_near(each, fix, last, plan)
        if here or each.name in ride.visited:
            yield each.name


def _is_near(checkpoint: Checkpoint, fix: Fix, last: Fix | None, plan: Plan) -> bool:
    x, y = plan.seen_at(*checkpoint.at)
    end = plan.seen(fix)
    start = plan.seen(last) if last is not None else end
    if start == end:
        return distance_m(plan.scale, end, (x, y)) <= checkpoint.radius_m
    return boundary_m(plan.scale, [(*start, *end)], x, y) <= checkpoint.radius_m


def _passed_by(ride: Ride, corridor: Corridor, zone: int, fix: Fix, plan: Plan) -> Iterator[Checkpoint]:
    """Those on both sides of which it has been, without having been there. One whose time ran out was told then."""
    for each in corridor.checkpoints:
        if each.name in ride.visited or each.name in ride.missed or _window(each, ride.since, corridor)[1] <= fix.at:
            continue
        place = _directed(corridor, plan.marks[zone][each.name])
        beyond = each.radius_m + PASSED_M
        if ride.low < place - beyond and ride.high > place + beyond:
            yield each


def _window(checkpoint: Checkpoint, since: float, corridor: Corridor) -> tuple[float, float]:
    """From when and until when a checkpoint may be visited by whoever entered at `since`."""
    first, until = -inf, inf
    zone = corridor.time_zone
    days = 0
    if checkpoint.until is not None:
        until = wall_time(since, checkpoint.until, zone)
        if until <= since:
            days, until = 1, wall_time(since, checkpoint.until, zone, 1)
    if checkpoint.not_before is not None:
        first = wall_time(since, checkpoint.not_before, zone, days)
        if first >= until:
            first = wall_time(since, checkpoint.not_before, zone, days - 1)
    if checkpoint.until_s is not None:
        until = min(until, since + checkpoint.until_s)
    return first, until
