"""What is told of whoever is inside: entered and exited by what is in force, and everything that time brings. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from geofences.approach import approached
from geofences.metres import distance_m
from geofences.plan import Plan
from geofences.rides import is_at_end, ridden, runs_out
from geofences.rules import Rules, certainty_at
from geofences.track import Crossing, Fix, Rest, State

EASED = 0.9  # of the speed limit: slower than that is not too fast any more
TIMES_MAX = 10_000  # that one stay is told to be inside still, after a long silence

Told: TypeAlias = tuple[State, list[Crossing]]


def settled(state: State, metres: Mapping[int, float], fix: Fix, last: Fix | None, plan: Plan) -> Told:
    """The state once the zones in `metres` have become, or ceased to be, members; `metres` from their boundary."""
    members = dict(state.members)
    for zone in metres:
        if members.pop(zone, None) is None:
            members[zone] = fix.at
    if plan.special.isdisjoint(members) and state.stays is state.members:
        stays = members
    else:
        stays = in_force(members, state.stays, fix, plan)
    return _entered(state, _Now(members, stays, metres, fix, last), plan)


def looked_at_again(state: State, fix: Fix, plan: Plan) -> Told:
    """The state when a floor, a schedule or the posture may have changed."""
    if plan.special.isdisjoint(state.members):
        return state, []
    stays = in_force(state.members, state.stays, fix, plan)
    return _entered(state, _Now(state.members, stays, {}, fix, None), plan)


def in_force(members: Mapping[int, float], stays: Mapping[int, float], fix: Fix, plan: Plan) -> dict[int, float]:
    """The members in force, of each group the innermost only, and their parents; since when, as far as in `stays`."""
    asked = plan.special.intersection(members)
    found = members.keys() - asked
    groups: dict[str, int] = {}
    for zone in sorted(asked):
        rules = plan.rules[zone]
        if not plan.is_in_force(zone, fix, stays):
            continue
        if not rules.one_of:
            found.add(zone)
        elif rules.one_of not in groups or rules.rank < plan.rules[groups[rules.one_of]].rank:
            groups[rules.one_of] = zone
    found.update(groups.values())
    found.update(parent for zone in tuple(asked & found) for parent in plan.parents[zone])
    return {zone: stays.get(zone, fix.at) for zone in sorted(found)}


class _Now(NamedTuple):
    """Members and stays at a fix; `metres`: how far from the boundary those are that have just changed."""

    members: dict[int, float]
    stays: dict[int, float]
    metres: Mapping[int, float]
    fix: Fix
    last: Fix | None


def _entered(state: State, now: _Now, plan: Plan) -> Told:
    members, stays, metres, fix, last = now
    told = []
    changed = metres if stays is members else state.stays.keys() ^ stays.keys()
    for zone in sorted(changed, key=lambda zone: (zone in stays, zone)):
        sure = certainty_at(metres[zone], fix.accuracy_m) if zone in metres else 1.0
        if zone in stays:
            why = _why_entered(zone, last, metres)
            told.append(Crossing("entered", plan.ids[zone], plan.version, fix.at, fix.at, fix, last, sure, why))
        else:
            why, since = _why_left(zone, members, fix, state, plan), state.stays[zone]
            strays = zone in plan.riding and zone not in members and not is_at_end(zone, fix, plan)
            kind = "left_corridor" if strays else "exited"
            told.append(Crossing(kind, plan.ids[zone], plan.version, fix.at, since, fix, last, sure, why))
    if not told and members is state.members:
        return state, told
    state = State(
        members=members,
        stays=stays,
        timed=_some(plan.timed, stays),
        rests=tuple([rest for rest in state.rests if rest.zone in stays]) if state.rests else (),
        fast=tuple([zone for zone in state.fast if zone in stays]) if state.fast else (),
        rides=tuple([ride for ride in state.rides if ride.zone in stays]) if state.rides else (),
        nearing=tuple([near for near in state.nearing if near.zone not in members]) if state.nearing else (),
        speed_max=min([plan.speed_max[zone] for zone in stays], default=inf) if plan.limited else inf,
        by_floor=not plan.floored.isdisjoint(members),
        made_at=fix.at,
    )
    if state.timed or state.rests or state.rides or not plan.scheduled.isdisjoint(members):
        state = replace(state, due=due_after(state, fix.at, plan))
    return state, told


def _some(zones: frozenset[int], stays: Mapping[int, float]) -> tuple[int, ...]:
    found = [zone for zone in stays if zone in zones]
    return tuple(sorted(found)) if found else ()


def _why_left(zone: int, members: Mapping[int, float], fix: Fix, state: State, plan: Plan) -> str:
    if zone not in members:
        return "outside"
    if not plan.is_in_force(zone, fix, state.stays):
        return "not in force"
    return f"in another of {plan.rules[zone].one_of}"


def _why_entered(zone: int, last: Fix | None, metres: Mapping[int, float]) -> str:
    if zone not in metres:
        return "in force"
    return "inside" if last is not None else "inside at the first fix"


def watched(state: State, fix: Fix, last: Fix | None, plan: Plan) -> Told:
    """Whoever is too fast, on the way along a corridor or to a zone, and where those rest who are to be told of when
    they stop."""
    told = []
    if state.speed_max < inf and last is not None:
        speed = distance_m(plan.scale, last.place, fix.place) / (fix.at - last.at)
        speed = speed if fix.speed_m_s is None else fix.speed_m_s
        limits = {zone: plan.speed_max[zone] * (EASED if zone in state.fast else 1) for zone in state.stays}
        fast = tuple(zone for zone in sorted(limits) if speed > limits[zone])
        for zone in fast:
            if zone not in state.fast:
                why = f"{speed * 3.6:.0f} km/h, {plan.rules[zone].speed_max_kmh:g} allowed"
                told.append(Crossing("too_fast", plan.ids[zone], plan.version, fix.at, fix.at, fix, last, 1.0, why))
        if fast != state.fast:
            state = replace(state, fast=fast, made_at=fix.at)
    if state.nearing or plan.reach.is_asked:
        nearing, more = approached(state, fix, last, plan)
        told += more
        if nearing != state.nearing:
            state = replace(state, nearing=nearing, made_at=fix.at)
    if not plan.riding.isdisjoint(state.stays):
        state, more = _ridden(state, fix, last, plan)
        told += more
    if plan.resting.isdisjoint(state.stays):
        return state, told
    rests = tuple(_rests(state, fix, plan))
    if rests != state.rests:
        state = replace(state, rests=rests, made_at=fix.at)
        state = replace(state, due=due_after(state, fix.at, plan))
    return state, told


def _ridden(state: State, fix: Fix, last: Fix | None, plan: Plan) -> Told:
    known = {ride.zone: ride for ride in state.rides}
    rides, told = [], []
    for zone in _some(plan.riding, state.stays):
        ride, more = ridden(known.get(zone), zone, fix, last, plan)
        rides.append(ride)
        told += more
    if tuple(rides) != state.rides:
        state = replace(state, rides=tuple(rides), made_at=fix.at)
        state = replace(state, due=due_after(state, fix.at, plan))
    return state, told


def _rests(state: State, fix: Fix, plan: Plan) -> Iterator[Rest]:
    known = {rest.zone: rest for rest in state.rests}
    for zone in _some(plan.resting, state.stays):
        rest = known.get(zone)
        far = inf if rest is None else distance_m(plan.scale, (rest.longitude, rest.latitude), fix.place)
        if rest is None or far > plan.rules[zone].stopped_radius_m:
            rest = Rest(zone, fix.longitude, fix.latitude, fix.at)
        yield rest


def due_after(state: State, at: float, plan: Plan) -> float:
    """The first time after `at` at which something is to be told or a zone comes into force or goes out of it, as long
    as there is no fix."""
    times = [time for zone in state.timed for time in _times(plan.rules[zone], state.stays[zone], at)]
    times += [until for ride in state.rides for until, _ in runs_out(ride, plan)]
    times += [rest.since + (plan.rules[rest.zone].stopped_s or inf) for rest in state.rests]
    times += [plan.next_change(zone, at) for zone in plan.scheduled.intersection(state.members)]
    return min((time for time in times if time > at), default=inf)


def told_between(state: State, after: float, now: float, fix: Fix, plan: Plan) -> list[Crossing]:
    """What is told because it came due after `after` and not after `now`; the last fix is that of the track."""
    due = [
        (at, plan.ids[zone], kind, since, why)
        for at, zone, kind, since, why in _all_due(state, after, now, fix, plan)
        if after < at <= now
    ]
    return [
        Crossing(kind, zone, plan.version, at, since, fix, None, 1.0, why) for at, zone, kind, since, why in sorted(due)
    ]


def _all_due(
    state: State, after: float, now: float, fix: Fix, plan: Plan
) -> Iterator[tuple[float, int, str, float, str]]:
    """(when, zone, kind, since, why), whenever it is."""
    for zone in state.timed:
        rules, since = plan.rules[zone], state.stays[zone]
        for kind, seconds in (("dwelt", rules.dwelt_s), ("overstayed", rules.overstayed_s)):
            if seconds is not None:
                yield since + seconds, zone, kind, since, f"inside for {seconds:g} s"
        for at in _again(rules, since, after, now):
            yield at, zone, "inside", since, f"inside for {at - since:g} s"
    for rest in state.rests:
        seconds = plan.rules[rest.zone].stopped_s
        if seconds is not None:
            yield rest.since + seconds, rest.zone, "stopped", rest.since, f"not moved for {seconds:g} s"
    for ride in state.rides:
        for until, checkpoint in runs_out(ride, plan):
            yield until, ride.zone, "missed_checkpoint", ride.since, f"{checkpoint.name} was not passed in time"
    if now - fix.at >= plan.lost_s:
        for zone in state.stays:
            seconds = plan.rules[zone].lost_s
            if seconds is not None:
                yield fix.at + seconds, zone, "lost", fix.at, f"not heard for {seconds:g} s"


def _times(rules: Rules, since: float, at: float) -> Iterator[float]:
    if rules.dwelt_s is not None:
        yield since + rules.dwelt_s
    if rules.overstayed_s is not None:
        yield since + rules.overstayed_s
    if rules.inside_every_s is not None:
        yield since + rules.inside_every_s * (max((at - since) // rules.inside_every_s, 0) + 1)


def _again(rules: Rules, since: float, after: float, now: float) -> Iterable[float]:
    every = rules.inside_every_s
    if every is None or now <= since:
        return ()
    first = max(int((max(after, since) - since) // every) + 1, 1)
    last = min(int((now - since) // every), first + TIMES_MAX)
    return (since + number * every for number in range(first, last + 1))
