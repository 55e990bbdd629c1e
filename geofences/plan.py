"""Zones and their rules, ready to be obeyed: what geofences.step reads. Never changed, made anew with each document.

A plan with another posture shares the compiled cells (`in_posture`). Zones have numbers, in the order of their ids; a
track knows the ids its numbers stand for, so it can be carried over to the next plan.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Self

from geofences.calendar import Schedule
from geofences.cells import Cells, Place, turned
from geofences.cells_build import Edge, columns_of, edges_of, unwrapped
from geofences.metres import Edge as MetreEdge
from geofences.metres import Scale, along_m, scale_at
from geofences.reach import Reach
from geofences.rules import NO_RULES, Corridor, Rules, deviations, mistake, speed_m_s
from geofences.track import Fix
from geofences.zones import LATITUDE_MAX, LONGITUDE_MAX, ZoneError

PARENTS_MAX = 8
EDGES_KEPT_MAX = 20_000  # zones whose edges are remembered: of a city they are 60 MB
SMALLEST_MAX = 10_000  # sets of zones whose smallest is remembered
NO_PLAN = (0, "")


class Plan:
    """`key`: version and posture; two plans of one key are the same."""

    def __init__(self, cells: Cells, rules: Mapping[str, Rules], version: int = 1, posture: str = "") -> None:
        """`rules` by zone id; NO_RULES where none are given. Raises ZoneError."""
        self.cells = cells
        self.ids = tuple(zone.id for zone in self.cells.zones)
        self.rules: Sequence[Rules] = tuple(rules.get(zone_id, NO_RULES) for zone_id in self.ids)
        self.index = {zone_id: at for at, zone_id in enumerate(self.ids)}
        self.key = (version, posture)
        if strange := rules.keys() - self.index.keys():
            raise ZoneError(f"rules for a zone that is not there: {min(strange)}")
        for zone_id, each in zip(self.ids, self.rules, strict=True):
            if wrong := mistake(each):
                raise ZoneError(f"zone {zone_id}: rules.{wrong}")
        self.parents = parents_of(self.ids, [each.parent for each in self.rules])
        self.special = frozenset(at for at, each in enumerate(self.rules) if each.is_conditional or each.parent)
        self.timed = frozenset(at for at, each in enumerate(self.rules) if each.first_told_s < inf)
        self.floored = frozenset(at for at, each in enumerate(self.rules) if each.levels or each.altitude_m)
        self.enter_m = [deviations(each.enter_certainty) for each in self.rules]  # per metre of accuracy
        self.leave_m = [deviations(each.leave_certainty) for each in self.rules]
        self.speed_max = [speed_m_s(each.speed_max_kmh) for each in self.rules]
        self.schedules: dict[int, Schedule] = {at: each.schedule for at, each in enumerate(self.rules) if each.schedule}
        self.scheduled = frozenset(self.schedules)
        self.limited = frozenset(at for at, limit in enumerate(self.speed_max) if limit < inf)
        self.resting = frozenset(at for at, each in enumerate(self.rules) if each.stopped_s)
        self.corridors = {at: each.corridor for at, each in enumerate(self.rules) if each.corridor}
        self.riding = frozenset(self.corridors)
        self.lines = {at: self._line(each) for at, each in self.corridors.items()}  # as `edges`
        self.reach = Reach(self.cells.zones, {at: each.approaching_s for at, each in enumerate(self.rules)})
        self.lost_s = min((each.lost_s for each in self.rules if each.lost_s), default=inf)
        self.crossed_from_m = min((each.crossed_from_m for each in self.rules if each.crossed_from_m), default=inf)
        self.scale = self._scale()
        self.marks = {at: self._marks(at) for at in self.riding}  # zone -> checkpoint -> metres along its line
        self._place: Place | None = None
        self._smallest: dict[int, str] = {}
        self._spans: dict[int, tuple[float, float, bool]] = {}
        self._edges: dict[int, tuple[MetreEdge, ...]] = {}

    @property
    def version(self) -> int:
        return self.key[0]

    @property
    def posture(self) -> str:
        return self.key[1]

    def in_posture(self, posture: str) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, key=(self.version, posture))
        return other

    def edges(self, at: int) -> tuple[MetreEdge, ...]:
        """Of a zone, in degrees as the cells see them."""
        found = self._edges.get(at)
        if found is None:
            if len(self._edges) >= EDGES_KEPT_MAX:
                self._edges.clear()
            edges = edges_of(self.cells.zones[at], at, self.cells.east_of_seam)
            found = self._edges[at] = tuple((edge.ax, edge.ay, edge.bx, edge.by) for edge in edges)
        return found

    def zone_at(self, longitude: float, latitude: float) -> str:
        """The id of the smallest place whose shape holds the point (a room before its building before its ring); of
        equal ones the first by id, "" when none does."""
        if not (abs(longitude) <= LONGITUDE_MAX and abs(latitude) <= LATITUDE_MAX):
            return ""
        place = self.place(longitude, latitude)
        found = self._smallest.get(place.signature)
        if found is None:
            if len(self._smallest) >= SMALLEST_MAX:
                self._smallest.clear()
            zones = (self.cells.zones[at] for at in self.cells.holding(place) if self.rules[at].is_place)
            found = min(((zone.area, zone.id) for zone in zones), default=(0.0, ""))[1]
            self._smallest[place.signature] = found
        return found

    def place(self, longitude: float, latitude: float) -> Place:
        """As the cells see it. The last one is remembered: a position is asked for its zone, and then takes a step."""
        held = self._place
        if held is None or held.longitude != longitude or held.latitude != latitude:
            held = self._place = self.cells.place(longitude, latitude)
        return held

    def seen(self, fix: Fix) -> tuple[float, float]:
        """Its place as the cells and `edges` see it."""
        return self.seen_at(fix.longitude, fix.latitude)

    def seen_at(self, longitude: float, latitude: float) -> tuple[float, float]:
        return unwrapped(turned(longitude), self.cells.east_of_seam), latitude

    def is_in_force(self, zone: int, fix: Fix, stays: Container[int]) -> bool:
        """By posture, schedule and floor; an unknown floor leaves a zone as it is in `stays`."""
        rules = self.rules[zone]
        if not rules.is_conditional:
            return True
        if rules.postures and self.posture not in rules.postures:
            return False
        if rules.schedule is not None and not self._span(zone, fix.at)[2]:
            return False
        if rules.levels and fix.level is not None:
            return fix.level in rules.levels
        if rules.altitude_m is not None and fix.altitude_m is not None:
            return rules.altitude_m[0] <= fix.altitude_m <= rules.altitude_m[1]
        return not (rules.levels or rules.altitude_m) or zone in stays

    def next_change(self, zone: int, at: float) -> float:
        """Of a zone that has a schedule: geofences.calendar.Schedule.next_change."""
        return self._span(zone, at)[1]

    def _span(self, zone: int, at: float) -> tuple[float, float, bool]:
        """(since, until, whether it is on); what the schedule said last is kept until it changes."""
        found = self._spans.get(zone)
        if found is None or not found[0] <= at < found[1]:
            schedule = self.schedules[zone]
            found = self._spans[zone] = at, schedule.next_change(at), schedule.is_on(at)
        return found

    def crossable(self, start: tuple[float, float], end: tuple[float, float]) -> set[int]:
        """The zones with an edge in any cell that the line between two places leads through."""
        seam = self.cells.east_of_seam
        line = Edge(unwrapped(start[0], seam), start[1], unwrapped(end[0], seam), end[1], 0)
        return set(self._zones_along(line, 0))

    def _zones_along(self, line: Edge, number: int) -> Iterator[int]:
        build = self.cells.build
        grid, leaves = build.grids[number], build.leaves
        for row, first, last in columns_of(line, grid):
            start = grid.first + row * grid.columns
            for found in build.slots[start + first : start + last + 1]:
                if found < 0:
                    yield from self._zones_along(line, ~found)
                else:
                    yield from leaves.zones(found)

    def _line(self, corridor: Corridor) -> tuple[MetreEdge, ...]:
        places = [self.seen_at(*place) for place in corridor.line]
        return tuple((*one, *other) for one, other in pairwise(places) if one != other)

    def _marks(self, at: int) -> dict[str, float]:
        line = self.lines[at]
        places = {each.name: self.seen_at(*each.at) for each in self.corridors[at].checkpoints}
        return {name: along_m(self.scale, line, *place) for name, place in places.items()}

    def _scale(self) -> Scale:
        boxes = [zone.box for zone in self.cells.zones]
        if not boxes:
            return scale_at(0.0)
        return scale_at((min(box.south for box in boxes) + max(box.north for box in boxes)) / 2)


def parents_of(ids: Sequence[str], named: Sequence[str]) -> list[tuple[int, ...]]:
    """Of each zone its parent, that one's parent, and so on; `named`: the id of each one's own, "" for none. Raises
    ZoneError."""
    index = {zone_id: at for at, zone_id in enumerate(ids)}
    return [_parents(at, ids, named, index) for at in range(len(ids))]


def _parents(at: int, ids: Sequence[str], named: Sequence[str], index: Mapping[str, int]) -> tuple[int, ...]:
    found: list[int] = []
    while parent := named[found[-1] if found else at]:
        if parent not in index:
            raise ZoneError(f"zone {ids[at]}: rules.parent: {parent} is not there")
        if index[parent] in (at, *found) or len(found) == PARENTS_MAX:
            raise ZoneError(f"zone {ids[at]}: rules.parent: its parents go round, or are more than {PARENTS_MAX}")
        found.append(index[parent])
    return tuple(found)
