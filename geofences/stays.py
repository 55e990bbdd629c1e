"""What is told of whoever is inside: entered and exited by what is in force, and everything that time brings. Pure."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from math import inf

from msgspec.structs import replace

from geofences.metres import distance_m
from geofences.plan import Plan
from geofences.rules import Rules
from geofences.track import Crossing, Fix, Rest, State

EASED = 0.9  # of the speed limit: slower than that is not too fast any more
TIMES_MAX = 10_000  # that one stay is told to be inside still, after a long silence

Told = tuple[State, list[Crossing]]


def in_force(state: State, fix: Fix, last: Fix | None, certainty: Mapping[int, float], plan: Plan) -> Told:
    """Who has entered and who has exited, of all members. `certainty`: of those that have just become, or ceased to be,
    members."""
    stays = _stays(state, fix, plan)
    if stays == state.stays:
        return state, []
    since = dict(zip(state.stays, state.since, strict=True))
    told = []
    for zone in state.stays:
        if zone not in stays:
            sure, why = certainty.get(zone, 1.0), _why_left(zone, state, fix, plan)
            told.append(plan.crossing("exited", zone, fix.at, since[zone], fix, start=last, certainty=sure, why=why))
    for zone in stays:
        if zone not in since:
            sure, why = certainty.get(zone, 1.0), _why_entered(zone, last, certainty)
            told.append(plan.crossing("entered", zone, fix.at, fix.at, fix, start=last, certainty=sure, why=why))
            since[zone] = fix.at
    new = replace(
        state,
        stays=stays,
        since=array("d", (since[zone] for zone in stays)),
        rests=tuple(rest for rest in state.rests if rest.zone in stays),
        fast=tuple(zone for zone in state.fast if zone in stays),
        speed_max=min((plan.speed_max[zone] for zone in stays), default=inf),
    )
    return new, told


def _stays(state: State, fix: Fix, plan: Plan) -> "array[int]":
    """The members in force, of each group the innermost only, and their parents."""
    if plan.special.isdisjoint(state.members):
        return state.members
    found: set[int] = set()
    groups: dict[str, int] = {}
    for zone in state.members:
        rules = plan.rules[zone]
        if not plan.is_in_force(zone, fix, state.stays):
            continue
        if not rules.one_of:
            found.add(zone)
        elif rules.one_of not in groups or rules.rank < plan.rules[groups[rules.one_of]].rank:
            groups[rules.one_of] = zone
    found.update(groups.values())
    found.update(parent for zone in tuple(found) for parent in plan.parents[zone])
    return array("i", sorted(found))


def _why_left(zone: int, state: State, fix: Fix, plan: Plan) -> str:
    if zone not in state.members:
        return "outside"
    if not plan.is_in_force(zone, fix, state.stays):
        return "not in force"
    return f"in another of {plan.rules[zone].one_of}"


def _why_entered(zone: int, last: Fix | None, certainty: Mapping[int, float]) -> str:
    if zone not in certainty:
        return "in force"
    return "inside" if last is not None else "inside at the first fix"


def watched(state: State, fix: Fix, last: Fix | None, plan: Plan) -> Told:
    """Whoever is too fast, and where those rest who are to be told of when they stop."""
    told = []
    if state.speed_max < inf and last is not None:
        speed = distance_m(plan.scale, last.place, fix.place) / (fix.at - last.at)
        speed = speed if fix.speed_m_s is None else fix.speed_m_s
        fast = tuple(
            zone for zone in state.stays if speed > plan.speed_max[zone] * (EASED if zone in state.fast else 1)
        )
        for zone in fast:
            if zone not in state.fast:
                why = f"{speed * 3.6:.0f} km/h, {plan.rules[zone].speed_max_kmh:g} allowed"
                told.append(plan.crossing("too_fast", zone, fix.at, fix.at, fix, start=last, why=why))
        state = replace(state, fast=fast)
    rests = tuple(_rests(state, fix, plan))
    return (state if rests == state.rests else replace(state, rests=rests)), told


def _rests(state: State, fix: Fix, plan: Plan) -> Iterator[Rest]:
    known = {rest.zone: rest for rest in state.rests}
    for zone in state.stays:
        rules = plan.rules[zone]
        if rules.stopped_s is None:
            continue
        rest = known.get(zone)
        if rest is None or distance_m(plan.scale, (rest.longitude, rest.latitude), fix.place) > rules.stopped_radius_m:
            rest = Rest(zone, fix.longitude, fix.latitude, fix.at)
        yield rest


def due_after(state: State, at: float, plan: Plan) -> float:
    """The first time after `at` at which something is to be told or a zone comes into force or goes out of it, as long
    as there is no fix."""
    times = [time for zone, since in _stayed(state) for time in _times(plan.rules[zone], since, at)]
    times += [rest.since + (plan.rules[rest.zone].stopped_s or inf) for rest in state.rests]
    for zone in state.members:
        schedule = plan.rules[zone].schedule
        if schedule is not None:
            times.append(schedule.next_change(at))
    return min((time for time in times if time > at), default=inf)


def told_between(state: State, after: float, now: float, fix: Fix, plan: Plan) -> list[Crossing]:
    """What is told because it came due after `after` and not after `now`; the last fix is that of the track."""
    told = []
    for zone, since in _stayed(state):
        rules = plan.rules[zone]
        for kind, seconds in (("dwelt", rules.dwelt_s), ("overstayed", rules.overstayed_s)):
            if seconds is not None and after < since + seconds <= now:
                told.append(plan.crossing(kind, zone, since + seconds, since, fix, why=f"inside for {seconds:g} s"))
        told += [
            plan.crossing("inside", zone, at, since, fix, why=f"inside for {at - since:g} s")
            for at in _again(rules, since, after, now)
        ]
        if rules.lost_s is not None and after < fix.at + rules.lost_s <= now:
            why = f"not heard for {rules.lost_s:g} s"
            told.append(plan.crossing("lost", zone, fix.at + rules.lost_s, fix.at, fix, why=why))
    for rest in state.rests:
        seconds = plan.rules[rest.zone].stopped_s
        if seconds is not None and after < rest.since + seconds <= now:
            why = f"not moved for {seconds:g} s"
            told.append(plan.crossing("stopped", rest.zone, rest.since + seconds, rest.since, fix, why=why))
    return sorted(told, key=lambda each: (each.at, each.zone, each.kind))


def _stayed(state: State) -> Iterator[tuple[int, float]]:
    return zip(state.stays, state.since, strict=True)


def _times(rules: Rules, since: float, at: float) -> Iterator[float]:
    if rules.first_told_s == inf:
        return
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
