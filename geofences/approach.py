"""Who is on the way to a zone: by the way and speed of the last two fixes, when will they be inside? Pure.

Nobody pays who is nowhere near: the plan knows the boxes round these zones from which they can be reached in time
(geofences.reach), and only who is in one of them is looked at.
"""

from geofences.metres import boundary_m, distance_m, met_at
from geofences.plan import Plan
from geofences.track import Crossing, Fix, Nearing, State

SPEED_M_S_MIN = 0.5  # slower than that nobody is on the way anywhere
STEP_S_MAX = 120.0  # an older fix says nothing of where one is going
TURNED_AWAY_M = 50.0


def approached(state: State, fix: Fix, last: Fix | None, plan: Plan) -> tuple[tuple[Nearing, ...], list[Crossing]]:
    """Who is told to be approached and not entered yet, and what is to be told now."""
    told: list[Crossing] = []
    known = {each.zone: each for each in state.nearing}
    found = []
    for zone in sorted({*plan.reach.zones(fix.longitude, fix.latitude), *known} - state.members.keys()):
        metres = boundary_m(plan.scale, plan.edges(zone), *plan.seen(fix))
        near = known.get(zone)
        if near is not None:
            if metres <= near.least_m + TURNED_AWAY_M:
                found.append(Nearing(zone, min(metres, near.least_m)))
            continue
        seconds, speed = _reached_in(zone, fix, last, plan)
        limit = plan.rules[zone].approaching_s
        if limit is None or seconds > limit or not plan.is_in_force(zone, fix, ()):
            continue
        found.append(Nearing(zone, metres))
        why = f"in {seconds:.0f} s at {speed:.1f} m/s"
        told.append(Crossing("approaching", plan.ids[zone], plan.version, fix.at, fix.at, fix, last, 1.0, why))
    return tuple(found), told


def _reached_in(zone: int, fix: Fix, last: Fix | None, plan: Plan) -> tuple[float, float]:
    """Seconds until it is inside when it goes on like this, and its speed; infinite when it is not on the way."""
    limit = plan.rules[zone].approaching_s
    if last is None or limit is None or not 0 < fix.at - last.at <= STEP_S_MAX:
        return float("inf"), 0.0
    moved = distance_m(plan.scale, last.place, fix.place)
    if moved <= max(last.accuracy_m, fix.accuracy_m) / 2:  # less than that may be no way at all
        return float("inf"), 0.0
    speed = moved / (fix.at - last.at) if fix.speed_m_s is None else fix.speed_m_s
    if speed < SPEED_M_S_MIN or moved == 0:
        return float("inf"), speed
    (x, y), (lx, ly) = plan.seen(fix), plan.seen(last)
    ahead = speed * limit / moved
    shares = met_at(plan.edges(zone), (x, y), (x + (x - lx) * ahead, y + (y - ly) * ahead))
    return (min(shares) * limit if shares else float("inf")), speed
