"""One fix of one track: what it changes, and what is to be told. Pure: step(track, fix, plan) -> (track, crossings).

Rules
- A fix that shows nothing new costs a look at its cell: the same zones' shapes hold it, nothing is waited for or due.
- A zone whose shape begins to hold the fix, or ceases to, is waited for until it is sure enough and long enough
  (Rules): jitter tells nothing, and entered and exited alternate.
- Who is within the shape has entered when the zone is in force: posture, schedule, floor, the innermost of its group.
  An unknown floor enters nothing and leaves nothing.
- A fix from farther away than JUMP_M_S allows is not believed until JUMP_FIXES in a row agree.
- Fixes are taken in the order of their times. One that is late is put in where it belongs (geofences.late) while the
  fixes since then are known; an older one changes nothing.
- `until` tells what comes due without a fix: dwelt, inside, overstayed, stopped, lost, schedules.
"""

from collections.abc import Iterable
from math import isfinite

from msgspec.structs import replace

from geofences.cells import Place
from geofences.metres import boundary_m, distance_m, met_at
from geofences.plan import Plan
from geofences.rides import anew
from geofences.stays import due_after, looked_at_again, settled, told_between, watched
from geofences.track import RECENT_MAX, UNKNOWN, Crossing, Fix, Pending, State, Track

JUMP_M_S = 600 / 3.6
JUMP_FIXES = 3
JUMP_SLACK_M = 50.0  # what two receivers may differ by
BEFORE_MAX = RECENT_MAX
# A step shorter than this in degrees, each way, is shorter than a metre and the square root of two.
DEGREES_PER_METRE = 1 / 111_700 / 1.4143
JUMP_DEGREES_S = JUMP_M_S * DEGREES_PER_METRE
WITHDRAWN = "zone withdrawn"

Told = tuple[Crossing, ...]


class NotAFix(ValueError):
    """It cannot be; the text says what."""


def checked(fix: Fix) -> Fix:
    """Raises NotAFix."""
    if not isfinite(fix.at + fix.longitude + fix.latitude + fix.accuracy_m):
        names = [name for name in ("at", "longitude", "latitude", "accuracy_m") if not isfinite(getattr(fix, name))]
        raise NotAFix(f"{names[0] if names else 'at'}: not a number")
    if abs(fix.latitude) > 90 or abs(fix.longitude) > 540 or fix.accuracy_m < 0:
        raise NotAFix(f"({fix.longitude:.9g}, {fix.latitude:.9g}) is not on the globe")
    return fix


def step(track: Track, fix: Fix, plan: Plan) -> tuple[Track, Told]:
    """A fix that is newer than the track's last one; an older one changes nothing (geofences.late takes those)."""
    last, state = track.fix, track.state
    if last is not None and fix.at <= last.at:
        return track, ()
    place = plan.place(fix.longitude, fix.latitude)
    if last is None or track.key != plan.key:
        track, told = carried(track, fix, plan)
        track, more = _advanced(track, fix, place, plan)
        return track, told + more
    elapsed = fix.at - last.at
    far = max(abs(fix.longitude - last.longitude), abs(fix.latitude - last.latitude))
    if far > elapsed * JUMP_DEGREES_S and is_jump(last, fix, plan):
        return _suspected(track, fix, place, plan)
    if (
        place.signature != track.signature
        or track.pending
        or fix.at >= state.due
        or elapsed >= plan.lost_s
        or far > plan.crossed_from_m * DEGREES_PER_METRE
        or not state.is_plain
        or (plan.reach.is_asked and plan.reach.is_near(fix.longitude, fix.latitude))
    ):
        return _advanced(track, fix, place, plan)
    recent = (*track.recent[1 - RECENT_MAX :], fix)
    return Track(track.key, track.ids, fix, place.signature, fix.at, state, (), recent, track.before), ()


def is_due(track: Track, now: float, plan: Plan) -> bool:
    """Whether `until` has something to tell."""
    fix, state = track.fix, track.state
    if fix is None or track.key != plan.key:
        return False
    if state.due <= now:
        return True
    if now - fix.at < plan.lost_s:
        return False
    silences = (plan.rules[zone].lost_s for zone in state.stays)
    return any(seconds is not None and track.told < fix.at + seconds <= now for seconds in silences)


def until(track: Track, now: float, plan: Plan) -> tuple[Track, Told]:
    """What came due since, without a fix."""
    if track.fix is None or track.key != plan.key or now <= track.told:
        return track, ()
    state, told = run(track.state, track.told, track.fix, now, plan)
    return replace(track, state=state, told=now, before=_before(track, state)), tuple(told)


def carried(track: Track, fix: Fix, plan: Plan) -> tuple[Track, Told]:
    """The track under another plan, by the zones' ids. Those that are not there any more are left."""
    state, pending = track.state, track.pending
    gone = [
        Crossing("exited", track.ids[at], plan.version, fix.at, since, fix, track.fix, 1.0, WITHDRAWN)
        for at, since in state.stays.items()
        if track.ids[at] not in plan.index
    ]
    if track.ids != plan.ids:
        number = {at: plan.index[zone_id] for at, zone_id in enumerate(track.ids) if zone_id in plan.index}
        state = replace(
            state,
            members={number[at]: since for at, since in state.members.items() if at in number},
            stays={number[at]: since for at, since in state.stays.items() if at in number},
            rests=tuple(replace(each, zone=number[each.zone]) for each in state.rests if each.zone in number),
            fast=tuple(number[at] for at in state.fast if at in number),
            rides=tuple(replace(each, zone=number[each.zone]) for each in state.rides if each.zone in number),
            nearing=tuple(replace(each, zone=number[each.zone]) for each in state.nearing if each.zone in number),
        )
        pending = tuple(replace(each, zone=number[each.zone]) for each in pending if each.zone in number)
    state = replace(state, rides=tuple(anew(each) for each in state.rides if each.zone in plan.riding))
    state = replace(state, timed=tuple(sorted(zone for zone in state.stays if zone in plan.timed)))
    state = replace(state, due=due_after(state, track.told, plan))
    track = replace(
        track, key=plan.key, ids=plan.ids, signature=UNKNOWN, state=state, pending=pending, before=(), recent=()
    )
    return track, tuple(gone)


def is_jump(last: Fix, fix: Fix, plan: Plan) -> bool:
    far = distance_m(plan.scale, last.place, fix.place) - last.accuracy_m - fix.accuracy_m - JUMP_SLACK_M
    return far > JUMP_M_S * abs(fix.at - last.at)


def _suspected(track: Track, fix: Fix, place: Place, plan: Plan) -> tuple[Track, Told]:
    suspects = track.suspects
    if suspects and is_jump(suspects[-1], fix, plan):
        suspects = ()
    suspects = (*suspects, fix)
    if len(suspects) < JUMP_FIXES:
        return replace(track, suspects=suspects), ()
    return _advanced(track, fix, place, plan)


def _advanced(track: Track, fix: Fix, place: Place, plan: Plan) -> tuple[Track, Told]:
    """A fix that may change something."""
    last = track.fix
    state, told = (track.state, []) if last is None else run(track.state, track.told, last, fix.at, plan)
    waits = _waits(track, state, place, plan)
    told += _crossed(last, fix, waits, track, plan)
    pending, metres = _sure(waits, state, fix, plan)
    if metres:
        state, more = settled(state, metres, fix, last, plan)
    else:
        state, more = looked_at_again(state, fix, plan)
    told += more
    state, more = watched(state, fix, last, plan)
    told += more
    recent = (*track.recent[1 - RECENT_MAX :], fix)
    before = _before(track, state)
    return Track(plan.key, plan.ids, fix, place.signature, fix.at, state, pending, recent, before), tuple(told)


def _before(track: Track, state: State) -> tuple[State, ...]:
    return track.before if state is track.state else (*track.before[1 - BEFORE_MAX :], track.state)


def run(state: State, after: float, fix: Fix, now: float, plan: Plan) -> tuple[State, list[Crossing]]:
    """Everything that came due after `after` until `now`, each at its own time; `fix` is the track's last."""
    told: list[Crossing] = []
    while state.due <= now:
        due = state.due
        told += told_between(state, after, due, fix, plan)
        state, more = looked_at_again(state, replace(fix, at=due), plan)
        told += more
        after, state = due, replace(state, due=due_after(state, due, plan))
    return state, told + told_between(state, after, now, fix, plan)


def _waits(track: Track, state: State, place: Place, plan: Plan) -> list[Pending]:
    """The zones whose shape says otherwise than the state, in order."""
    known = {each.zone: each for each in track.pending}
    if track.fix is None or track.signature == UNKNOWN:
        zones = set(plan.cells.holding(place)) ^ state.members.keys()
    elif place.signature == track.signature:
        return list(track.pending)
    else:
        last = plan.cells.place(*track.fix.place)
        zones = known.keys() ^ {abs(gain) - 1 for gain in plan.cells.between(last, place)}
    return [known.get(zone) or Pending(zone) for zone in sorted(zones)]


def _sure(waits: Iterable[Pending], state: State, fix: Fix, plan: Plan) -> tuple[tuple[Pending, ...], dict[int, float]]:
    """Who is waited for still; and of those that are sure and long enough, the metres from the boundary."""
    pending, metres = [], {}
    for wait in waits:
        zone, rules, enters = wait.zone, plan.rules[wait.zone], wait.zone not in state.members
        far = boundary_m(plan.scale, plan.edges(zone), *plan.seen(fix))
        if enters:
            least, dwell = fix.accuracy_m * plan.enter_m[zone], rules.dwell_in_s
        else:
            least, dwell = max(fix.accuracy_m * plan.leave_m[zone], rules.exit_buffer_m), rules.dwell_out_s
        if far < least:
            pending.append(Pending(zone))
            continue
        since = fix.at if wait.since is None else wait.since
        if fix.at - since < dwell or wait.fixes + 1 < rules.fixes_min:
            pending.append(Pending(zone, since, wait.fixes + 1))
        else:
            metres[zone] = far
    return tuple(pending), metres


def _crossed(last: Fix | None, fix: Fix, waits: Iterable[Pending], track: Track, plan: Plan) -> list[Crossing]:
    """The zones that a long step leads through, though neither of its ends is in one."""
    if last is None:
        return []
    far = distance_m(plan.scale, last.place, fix.place)
    if far < plan.crossed_from_m or far > JUMP_M_S * (fix.at - last.at):
        return []
    ends = {*track.state.members, *(each.zone for each in waits), *(each.zone for each in track.pending)}
    told = []
    for zone in sorted(plan.crossable(last.place, fix.place) - ends):
        shares = met_at(plan.edges(zone), plan.seen(last), plan.seen(fix))
        least = plan.rules[zone].crossed_from_m
        if least is None or far < least or len(shares) < 2 or not plan.is_in_force(zone, fix, ()):
            continue
        entered, exited = (last.at + share * (fix.at - last.at) for share in (min(shares), max(shares)))
        why = f"a step of {far:.0f} m"
        told.append(Crossing("crossed", plan.ids[zone], plan.version, exited, entered, fix, last, 1.0, why))
    return told
