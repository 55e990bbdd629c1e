"""Where a device is that somebody carries or drives: along the streets of a place, or about in one of its buildings.

The way is drawn by the seed, leg by leg: somebody walks the shortest way to another corner, or through a door into a
house and up to some floor, rests there, and goes on. With `floor`, somebody stays on that floor of the building round
the given place. Vehicles keep to what is open to wheels. Without `streets`, a device stays where it was put.
"""

import math
import random
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Annotated

from msgspec import Meta, Struct, ValidationError

from simulators.device import Latitude, Longitude
from simulators.place import Building, Point, Streets, on_way, streets

REST_S = (10.0, 90.0)
VISIT_S = (60.0, 600.0)
INDOORS_SHARE = 0.6  # of the speed outdoors
OFF_WALL = 0.1  # of the way to the middle
ROOMS_TRIED_MAX = 1_000
PLACES = 6  # decimals of a degree: a tenth of a metre
Speed = Annotated[float, Meta(gt=0, le=500)]


class Moving(Struct, frozen=True, forbid_unknown_fields=True):
    """`streets`: the place of simulators/scenarios that it moves in. `wander_m`: how far from where it starts; it stays
    when there are no corners so near. `floor`: of the building that it stays in."""

    longitude: Longitude = 120.4838
    latitude: Latitude = 30.7436
    streets: str = ""
    wander_m: Annotated[float, Meta(ge=0, le=100_000)] = 400.0
    speed_kmh: Speed = 4.5
    floor: str = ""


class Leg(Struct, frozen=True):
    """From point to point at one speed, or a rest at the only one."""

    points: tuple[Point, ...]
    seconds: float
    floor: str = ""
    altitude_m: float | None = None


class Spot(Struct, frozen=True):
    """`altitude_m` and `floor` of a building's; None and "" outdoors."""

    longitude: float
    latitude: float
    course_deg: int = 0
    speed_kmh: float = 0.0
    floor: str = ""
    altitude_m: float | None = None


class Whereabouts:
    """Of one device. `spot`: where it was when `move` was last called."""

    def __init__(self, told: Moving, seed: str, wheels: bool = False) -> None:
        """Raises msgspec.ValidationError for a place or floor that does not exist."""
        self._told = told
        self._chance = random.Random(f"{seed}/whereabouts")
        self._wheels = wheels
        self._streets = _streets(told)
        self._house = _house(told, self._streets)
        self._legs = self._stays() if told.floor else self._goes()
        self._leg: Leg | None = None
        self._leg_s = 0.0
        self._moved_at: datetime | None = None
        self.spot = Spot(told.longitude, told.latitude)

    def move(self, now: datetime, going: bool = True) -> Spot:
        """On to where it is now; without `going` it has stood since it was last asked."""
        before = self._moved_at or now
        self._moved_at = max(before, now)
        if self._streets is not None:
            passed_s = (self._moved_at - before).total_seconds() if going else 0.0
            self.spot = self._after(self._streets, passed_s)
        return self.spot

    def _after(self, town: Streets, passed_s: float) -> Spot:
        leg = self._leg or next(self._legs)
        self._leg_s += passed_s
        while self._leg_s >= leg.seconds:
            self._leg_s -= leg.seconds
            leg = next(self._legs)
        self._leg = leg
        point, course_deg = _along(leg, self._leg_s)
        longitude, latitude = (round(degrees, PLACES) for degrees in town.degrees(point))
        speed_kmh = 3.6 * _length(leg.points) / leg.seconds
        return Spot(longitude, latitude, course_deg, round(speed_kmh, 1), leg.floor, leg.altitude_m)

    # --- the legs of a life ---

    def _stays(self) -> Iterator[Leg]:
        """On one floor, from room to room."""
        town, house = self._streets, self._house
        assert town is not None and house is not None
        here = town.metres(self._told.longitude, self._told.latitude)
        while True:
            yield self._rest(here, VISIT_S, house, self._told.floor)
            room = self._room(town, house)
            yield self._walk((here, room), house, self._told.floor)
            here = room

    def _goes(self) -> Iterator[Leg]:
        """From corner to corner and into houses."""
        town, told = self._streets, self._told
        assert town is not None
        home = town.metres(told.longitude, told.latitude)
        edge, start = town.nearest(home, self._wheels)
        goals = town.within(home, told.wander_m, self._wheels)
        if len(goals) < 2:
            while True:
                yield self._rest(start, REST_S)
        here = min(edge.ends, key=lambda end: math.dist(start, town.nodes[end]))
        yield self._walk((start, town.nodes[here]))
        while True:
            goal = self._chance.choice([node for node in goals if node != here])
            yield self._walk(tuple(town.nodes[node] for node in town.way(here, goal, self._wheels)))
            here = goal
            house = None if self._wheels else town.door_of.get(here)
            if house is not None:
                yield from self._visit(town, house)
            else:
                yield self._rest(town.nodes[here], REST_S)

    def _visit(self, town: Streets, house: Building) -> Iterator[Leg]:
        floor = self._chance.choice(sorted(house.floors))
        door, room = town.nodes[house.door], self._room(town, house)
        yield self._walk((door, room), house, floor)
        yield self._rest(room, VISIT_S, house, floor)
        yield self._walk((room, door), house, floor)

    def _room(self, town: Streets, house: Building) -> Point:
        """Some point of the building, off its walls."""
        box = house.zone.box
        middle = town.metres((box.west + box.east) / 2, (box.south + box.north) / 2)
        for _ in range(ROOMS_TRIED_MAX):
            longitude = self._chance.uniform(box.west, box.east)
            latitude = self._chance.uniform(box.south, box.north)
            if house.zone.holds(longitude, latitude):
                point = town.metres(longitude, latitude)
                return on_way(point, middle, OFF_WALL)
        return town.nodes[house.door]

    def _walk(self, points: tuple[Point, ...], house: Building | None = None, floor: str = "") -> Leg:
        speed_m_s = self._told.speed_kmh / 3.6 * (self._chance.uniform(0.85, 1.15) if house is None else INDOORS_SHARE)
        seconds = max(_length(points) / speed_m_s, 0.001)
        return Leg(points, seconds, floor, house.floors[floor] if house else None)

    def _rest(self, point: Point, seconds: tuple[float, float], house: Building | None = None, floor: str = "") -> Leg:
        return Leg((point,), self._chance.uniform(*seconds), floor, house.floors[floor] if house else None)


def _streets(told: Moving) -> Streets | None:
    if not told.streets:
        return None
    try:
        return streets(told.streets)
    except ValueError as error:
        raise ValidationError(f"{error} - at `$.streets`") from error


def _house(told: Moving, town: Streets | None) -> Building | None:
    house = town.building_at(told.longitude, told.latitude) if town else None
    if told.floor and (house is None or told.floor not in house.floors):
        levels = " or ".join(house.floors) if house else "a place in a building of `streets`"
        raise ValidationError(f"no such floor there; expected {levels} - at `$.floor`")
    return house


def _along(leg: Leg, seconds: float) -> tuple[Point, int]:
    """Where on the leg, and which way that is."""
    left_m = _length(leg.points) * seconds / leg.seconds
    for (x1, y1), (x2, y2) in pairwise(leg.points):
        metres = math.dist((x1, y1), (x2, y2))
        if left_m < metres:
            course_deg = round(math.degrees(math.atan2(x2 - x1, y2 - y1))) % 360
            return on_way((x1, y1), (x2, y2), left_m / metres), course_deg
        left_m -= metres
    return leg.points[-1], 0


def _length(points: tuple[Point, ...]) -> float:
    return sum(math.dist(start, end) for start, end in pairwise(points))
