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
from geofences.track import UNKNOWN, Crossing, Fix, State, Track

REORDER_S = 300.0
BY_A_LATE_FIX = "by a late fix"


def taken(track: Track, fix: Fix, plan: Plan) -> tuple[Track, Told]:
    """`geofences.step.step`, and late fixes put in where they belong."""
    last = track.fix
    if last is None or fix.at > last.at or track.key != plan.key:
        return step(track, fix, plan)
    if fix in track.recent or fix.at < last.at - REORDER_S:
        return track, ()
    start = _start(track, fix)
    if start is None:
        return track, ()
    later = sorted((each for each in track.recent if each.at > (start.fix or fix).at), key=_order)
    _, old = _through(start, later, plan)
    track, new = _through(start, sorted((*later, fix), key=_order), plan)
    return track, tuple(_rest(old, new, track, plan))


def _order(fix: Fix) -> tuple[float, float, float]:
    return fix.at, fix.longitude, fix.latitude


def _start(track: Track, fix: Fix) -> Track | None:
    """The track as it was before the late fix; None when that is not known any more."""
    earlier = [each for each in track.recent if each.at < fix.at]
    if not earlier:
        return None
    last = max(earlier, key=_order)
    states: Sequence[State] = (*track.before, track.state)
    state = next((each for each in reversed(states) if each.made_at <= last.at), None)
    if state is None:
        return None
    known = tuple(each for each in track.before if each.made_at < state.made_at)
    recent = tuple(each for each in track.recent if each.at <= last.at)
    return replace(
        track, fix=last, signature=UNKNOWN, told=last.at, state=state, recent=recent, before=known, suspects=()
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
            told.append(plan.crossing(kind, plan.index[zone], track.fix.at, track.fix.at, track.fix, why=BY_A_LATE_FIX))
    return told


def _what(crossing: Crossing) -> tuple[str, str]:
    return crossing.zone, crossing.kind
