"""What zones should tell, worked out the slow way: every zone at every fix, written from what rules.py and step.py
promise and sharing nothing with the engine but its values (Fix, Rules).

Inside is decided in fractions (`by_fractions`) or by shapely (`by_shapely`); metres by the radii of curvature of the
ellipsoid at the fix. Where a distance is so near to a limit that two ways to measure could disagree, Ambiguous is
raised and the world is thrown away.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from math import cos, hypot, radians, sin, sqrt
from statistics import NormalDist
from typing import Any
from zoneinfo import ZoneInfo

import shapely
from shapely.geometry import LineString, Point, shape

from geofences.rules import Rules
from geofences.track import Fix

Event = tuple[float, str, str]  # when, kind, zone
Place = tuple[float, float]
Polygons = list[list[list[Place]]]  # rings of each: outer, holes
Inside = Callable[[str, Place], bool]

NEARLY = 1e-4  # of a length
JUMP_M_S = 600 / 3.6
JUMP_SLACK_M = 50.0
JUMP_FIXES = 3
ACCURACY_DEVIATIONS = 1.515
EASED = 0.9


class Ambiguous(Exception):
    """Too near to a limit to tell."""


def by_fractions(zones: Mapping[str, Polygons]) -> Inside:
    """Exactly: the boundary belongs to a zone, the rim of a hole too."""

    def inside(zone: str, place: Place) -> bool:
        point = Fraction(place[0]), Fraction(place[1])
        for outer, *holes in zones[zone]:
            if _of_ring(outer, point) >= 0 and all(_of_ring(hole, point) <= 0 for hole in holes):
                return True
        return False

    return inside


def _of_ring(ring: Sequence[Place], point: tuple[Fraction, Fraction]) -> int:
    """1 within, 0 on it, -1 outside, by the winding number."""
    x, y = point
    winding = 0
    corners = [(Fraction(a), Fraction(b)) for a, b in ring]
    for (ax, ay), (bx, by) in pairwise(corners):
        cross = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        if cross == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return 0
        if ay <= y < by and cross > 0:
            winding += 1
        elif by <= y < ay and cross < 0:
            winding -= 1
    return 1 if winding else -1


def by_shapely(geometries: Mapping[str, Any]) -> Inside:
    drawn = {zone: shape(geometry) for zone, geometry in geometries.items()}
    return lambda zone, place: bool(drawn[zone].covers(Point(place)))


class Metres:
    """On the ellipsoid's tangent plane at a latitude."""

    def __init__(self, latitude: float) -> None:
        equator_m, flattening = 6_378_137.0, 1 / 298.257223563
        square = flattening * (2 - flattening)
        curved = 1 - square * sin(radians(latitude)) ** 2
        self.north = radians(1) * equator_m * (1 - square) / curved**1.5
        self.east = radians(1) * equator_m * cos(radians(latitude)) / sqrt(curved)

    def between(self, one: Place, other: Place) -> float:
        return hypot((other[0] - one[0]) * self.east, (other[1] - one[1]) * self.north)

    def to_boundary(self, geometry: Any, place: Place) -> float:
        x, y = place
        flat = shapely.transform(geometry.boundary, lambda at: (at - (x, y)) * (self.east, self.north))
        return float(flat.distance(Point(0, 0)))


def distance_m(one: Place, other: Place) -> float:
    return Metres((one[1] + other[1]) / 2).between(one, other)


class Oracle:
    """Of one track. `zones`: id -> (GeoJSON geometry, Rules)."""

    def __init__(self, zones: Mapping[str, tuple[Any, Rules]], inside: Inside, posture: str = "") -> None:
        self._shapes = {zone: shape(geometry) for zone, (geometry, _) in zones.items()}
        self._rules = {zone: rules for zone, (_, rules) in zones.items()}
        self._inside, self._posture = inside, posture
        self._last: Fix | None = None
        self._members: set[str] = set()
        self._since: dict[str, float] = {}  # stays, since when
        self._pending: dict[str, tuple[float | None, int]] = {}
        self._rests: dict[str, tuple[Place, float]] = {}
        self._fast: set[str] = set()
        self._suspects: list[Fix] = []

    def take(self, fix: Fix) -> list[Event]:
        """What a fix tells, in order of time, kind and zone."""
        last = self._last
        if last is not None and fix.at <= last.at:
            return []
        if last is not None and self._is_jump(last, fix):
            if self._suspects and self._is_jump(self._suspects[-1], fix):
                self._suspects = []
            self._suspects.append(fix)
            if len(self._suspects) < JUMP_FIXES:
                return []
        self._suspects = []
        told = [] if last is None else self._passed(last, fix.at)
        told += [] if last is None else self._crossed(last, fix)
        self._moved(fix)
        told += self._settled(fix.at, fix)
        told += [] if last is None else self._too_fast(last, fix)
        self._rested(fix)
        self._last = fix
        return sorted(told)

    def _is_jump(self, one: Fix, other: Fix) -> bool:
        far = distance_m(one.place, other.place) - one.accuracy_m - other.accuracy_m - JUMP_SLACK_M
        return _less(JUMP_M_S * abs(other.at - one.at), far)

    def _passed(self, last: Fix, now: float) -> list[Event]:
        """What time brought, schedules at their own time."""
        told: list[Event] = []
        start = last.at
        changes = {at for zone in self._members for at in _changes(self._rules[zone], start, now)}
        for change in sorted(changes):
            told += self._due(last, start, change)
            told += self._settled(change, last)
            start = change
        return told + self._due(last, start, now)

    def _due(self, last: Fix, after: float, now: float) -> list[Event]:
        found: list[Event] = []
        for zone, since in self._since.items():
            rules = self._rules[zone]
            found += [(since + rules.dwelt_s, "dwelt", zone)] if rules.dwelt_s else []
            found += [(since + rules.overstayed_s, "overstayed", zone)] if rules.overstayed_s else []
            if rules.inside_every_s:
                count = int((now - since) / rules.inside_every_s) + 1
                found += [(since + number * rules.inside_every_s, "inside", zone) for number in range(1, count + 1)]
            found += [(last.at + rules.lost_s, "lost", zone)] if rules.lost_s else []
            if rules.stopped_s and zone in self._rests:
                found.append((self._rests[zone][1] + rules.stopped_s, "stopped", zone))
        return [each for each in found if after < each[0] <= now]

    def _moved(self, fix: Fix) -> None:
        """Who counts as within which shape."""
        pending = {}
        for zone, rules in self._rules.items():
            enters = zone not in self._members
            if self._inside(zone, fix.place) != enters:
                continue
            certainty = rules.enter_certainty if enters else rules.leave_certainty
            least = fix.accuracy_m * NormalDist().inv_cdf(certainty) / ACCURACY_DEVIATIONS
            least = least if enters else max(least, rules.exit_buffer_m)
            if least > 0 and _less(Metres(fix.latitude).to_boundary(self._shapes[zone], fix.place), least):
                pending[zone] = (None, 0)
                continue
            since, fixes = self._pending.get(zone, (None, 0))
            since = fix.at if since is None else since
            dwell = rules.dwell_in_s if enters else rules.dwell_out_s
            if fix.at - since >= dwell and fixes + 1 >= rules.fixes_min:
                self._members ^= {zone}
            else:
                pending[zone] = (since, fixes + 1)
        self._pending = pending

    def _settled(self, at: float, fix: Fix) -> list[Event]:
        """Who has entered and left, by what is in force."""
        force = {zone for zone in self._members if self._is_in_force(zone, at, fix)}
        for group in {self._rules[zone].one_of for zone in force} - {""}:
            of_group = sorted(zone for zone in force if self._rules[zone].one_of == group)
            force -= set(of_group) - {min(of_group, key=lambda zone: self._rules[zone].rank)}
        for zone in list(force):
            while zone := self._rules[zone].parent:
                force.add(zone)
        told = [(at, "exited", zone) for zone in self._since if zone not in force]
        told += [(at, "entered", zone) for zone in force if zone not in self._since]
        self._since = {zone: self._since.get(zone, at) for zone in force}
        self._fast &= force
        self._rests = {zone: rest for zone, rest in self._rests.items() if zone in force}
        return told

    def _is_in_force(self, zone: str, at: float, fix: Fix) -> bool:
        rules = self._rules[zone]
        if rules.postures and self._posture not in rules.postures:
            return False
        if rules.schedule is not None and not _is_on(rules, at):
            return False
        if rules.levels and fix.level is not None:
            return fix.level in rules.levels
        return zone in self._since if rules.levels else True

    def _too_fast(self, last: Fix, fix: Fix) -> list[Event]:
        speed = distance_m(last.place, fix.place) / (fix.at - last.at) if fix.speed_m_s is None else fix.speed_m_s
        fast = set()
        for zone in self._since:
            limit = self._rules[zone].speed_max_kmh
            if limit is not None and _less(limit / 3.6 * (EASED if zone in self._fast else 1.0), speed):
                fast.add(zone)
        told = [(fix.at, "too_fast", zone) for zone in fast - self._fast]
        self._fast = fast
        return told

    def _rested(self, fix: Fix) -> None:
        for zone in self._since:
            rules = self._rules[zone]
            if rules.stopped_s is None:
                continue
            place = self._rests[zone][0] if zone in self._rests else None
            if place is None or _less(rules.stopped_radius_m, distance_m(place, fix.place)):
                self._rests[zone] = (fix.place, fix.at)

    def _crossed(self, last: Fix, fix: Fix) -> list[Event]:
        """Before `_moved`: neither end of the step is in the zone, nor is anything waited for there."""
        far = distance_m(last.place, fix.place)
        if far > JUMP_M_S * (fix.at - last.at):
            return []
        told = []
        line = LineString([last.place, fix.place])
        for zone, rules in self._rules.items():
            if rules.crossed_from_m is None or _less(far, rules.crossed_from_m):
                continue
            ends = zone in self._members or any(self._inside(zone, each.place) for each in (last, fix))
            if ends or zone in self._pending or not self._shapes[zone].intersects(line):
                continue
            if not self._is_in_force_for_nobody(zone, fix):
                continue
            cuts = shapely.intersection(self._shapes[zone].boundary, line)
            shares = [line.project(Point(place), normalized=True) for place in shapely.get_coordinates(cuts)]
            at = last.at + max(shares) * (fix.at - last.at)
            told.append((at, "crossed", zone))
        return told

    def _is_in_force_for_nobody(self, zone: str, fix: Fix) -> bool:
        """A floor that is not known lets nobody in."""
        held, self._since = self._since, {}
        try:
            return self._is_in_force(zone, fix.at, fix)
        finally:
            self._since = held


def _less(one: float, other: float) -> bool:
    """Of lengths that are measured; raises Ambiguous."""
    if abs(one - other) <= NEARLY * max(abs(one), abs(other)) and one != other:
        raise Ambiguous
    return one < other


def _changes(rules: Rules, after: float, now: float) -> Iterator[float]:
    """When its schedule may change in (after, now]: any beginning and end of a window, on any of these days."""
    if rules.schedule is None:
        return
    zone = ZoneInfo(rules.schedule.time_zone)
    day = datetime.fromtimestamp(after, zone).date() - timedelta(1)
    while day <= datetime.fromtimestamp(now, zone).date():
        for window in rules.schedule.windows:
            for clock in (window.on, window.until):
                at = datetime.combine(day, time.fromisoformat(clock), zone).timestamp()
                if after < at <= now:
                    yield at
        day += timedelta(1)


def _is_on(rules: Rules, at: float) -> bool:
    """By the wall clock; a window that ends before it starts runs over midnight."""
    assert rules.schedule is not None
    here = datetime.fromtimestamp(at, ZoneInfo(rules.schedule.time_zone))
    clock = here.time()
    for window in rules.schedule.windows:
        on, until = time.fromisoformat(window.on), time.fromisoformat(window.until)
        if on <= clock < until if on < until else clock >= on or clock < until:
            return True
    return False
