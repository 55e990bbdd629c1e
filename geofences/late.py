"""Fixes that come late: put in where they belong, without telling anything twice. Pure.

The track goes back to the state before the late fix and steps through it and the fixes since. What that tells is
compared with what the same fixes told without it, kind by kind and zone by zone: entered and exited alternate from the
same start in both, so the longer list goes on where the shorter one ends, and only the rest is told. Where the late fix
takes something back (it shows that a visit never was), the zone is left, or entered, once more, "by a late fix".

A fix older than REORDER_S, or older than the fixes and states kept, changes nothing.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from msgspec.structs import replace

from geofences.plan import Plan
from geofences.step import Told, step
from geofences.track import Crossing, Fix, Pending, Track

REORDER_S = 300.0
BY_A_LATE_FIX = "by a late fix"


def taken(track: Track, fix: Fix, plan: Plan) -> tuple[Track, Told]:
    """`geofences.step.step`, and late fixes put in where they belong."""
    last = track.fix
    if last is None or fix.at > last.at or track.key != plan.key:
        return step(track, fix, plan)
    if fix in track.recent or fix.at < last.at - REORDER_S:
        return track, ()
    start = _start(track, fix, plan)
    if start is None:
        return track, ()
    later = sorted((each for each in track.recent if _order(each) > _order(start.recent[-1])), key=_order)
    _, old = _through(start, later, plan)
    new_track, new = _through(start, sorted((*later, fix), key=_order), plan)
    told = tuple(_rest(old, new, new_track, plan))
    return replace(new_track, pending=_since_before(track, new_track, start)), told


def _order(fix: Fix) -> tuple[float, float, float]:
    return fix.at, fix.longitude, fix.latitude


def _start(track: Track, fix: Fix, plan: Plan) -> Track | None:
    """The track as it was at the oldest of its fixes from which its state then is known; what was waited for then is
    not. None when the late fix is older."""
    states = (*track.before, track.state)
    state = max((each for each in states if each.made_at <= fix.at), key=lambda each: each.made_at, default=None)
    if state is None:
        return None
    known = [each for each in track.recent if state.made_at <= each.at]
    if not known or known[0].at >= fix.at:
        return None
    first = known[0]
    place = plan.cells.place(*first.place)
    zones = set(plan.cells.holding(place)) ^ state.members.keys()
    return Track(
        track.key,
        track.ids,
        first,
        place.signature,
        first.at,
        state,
        tuple(Pending(zone) for zone in sorted(zones)),
        tuple(each for each in track.recent if _order(each) <= _order(first)),
        tuple(each for each in track.before if each.made_at < state.made_at),
    )


def _since_before(old: Track, new: Track, start: Track) -> tuple[Pending, ...]:
    """What was waited for all the while is so since before the fixes that are still known."""
    waited = {each.zone: each for each in old.pending}
    first = min((each.at for each in new.recent if each.at > start.recent[-1].at), default=start.recent[-1].at)
    return tuple(
        waited[each.zone] if each.zone in waited and each.since is not None and each.since <= first else each
        for each in new.pending
    )


def _through(track: Track, fixes: Sequence[Fix], plan: Plan) -> tuple[Track, list[Crossing]]:
    told: list[Crossing] = []
    for fix in fixes:
        track, more = step(track, fix, plan)
        told += more
    return track, told


def _rest(old: Sequence[Crossing], new: Sequence[Crossing], track: Track, plan: Plan) -> list[Crossing]:
    """What the new course of things tells beyond the old one, in its order."""
    had = Counter(map(_what, old))
    told = []
    for crossing in new:
        if had[_what(crossing)]:
            had[_what(crossing)] -= 1
        else:
            told.append(crossing)
    for zone in dict.fromkeys(crossing.zone for crossing in chain(old, new)):
        entered, exited = had[(zone, "entered")], had[(zone, "exited")]
        if entered != exited and track.fix is not None:
            kind = "exited" if entered > exited else "entered"
            at = track.fix.at
            told.append(Crossing(kind, zone, plan.version, at, at, track.fix, None, 1.0, BY_A_LATE_FIX))
    return told


def _what(crossing: Crossing) -> tuple[str, str]:
    """A corridor is left once, at its end or not."""
    return crossing.zone, "exited" if crossing.kind == "left_corridor" else crossing.kind
