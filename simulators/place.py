"""A place that devices move in: its streets as a graph, and its buildings with their floors, from the GeoJSON files of
a folder below simulators/scenarios.

- streets.geojson: lines that meet where they share a position. `kind` says who may go there: feet everywhere, wheels on
  "road" and "drive". A line of kind "path" leads from a street through the door of a building.
- buildings.geojson: convex polygons with `door` (the inner end of the path) and `floors` (level and altitude).
- What else is in the folder (rings, canals, gates, corridors, grid) is read as it is: `features`.
"""

import heapq
import math
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from geofences.projection import Plane
from geofences.zones import Zone, zone

SCENARIOS = Path(__file__).parent / "scenarios"
WHEELS = frozenset({"road", "drive"})

Point = tuple[float, float]  # metres east and north of the place's origin


class Feature(Struct, frozen=True):
    properties: dict[str, Any]
    geometry: dict[str, Any]


class Collection(Struct, frozen=True):
    features: tuple[Feature, ...]


class Building(Struct, frozen=True):
    """`floors`: level -> altitude in metres. `door`: a node of the streets, just inside."""

    id: str
    zone: Zone
    floors: dict[str, float]
    door: int


class Edge(Struct, frozen=True):
    ends: tuple[int, int]
    metres: float
    wheels: bool


class Streets:
    def __init__(self, lines: tuple[Feature, ...], houses: tuple[Feature, ...]) -> None:
        self._plane = Plane(*lines[0].geometry["coordinates"][0])
        self.nodes: list[Point] = []
        self.edges: list[Edge] = []
        self._ways: dict[int, list[tuple[int, Edge]]] = {}
        known: dict[Point, int] = {}
        for line in lines:
            found = [self._node((east, north), known) for east, north in line.geometry["coordinates"]]
            for ends in pairwise(found):
                self._join(ends, line.properties["kind"] in WHEELS)
        self.buildings = tuple(_building(house, known) for house in houses)
        self.door_of = {building.door: building for building in self.buildings}

    def metres(self, longitude: float, latitude: float) -> Point:
        return self._plane.to_metres(longitude, latitude)

    def degrees(self, point: Point) -> Point:
        return self._plane.to_degrees(*point)

    def nearest(self, point: Point, wheels: bool) -> tuple[Edge, Point]:
        """The edge that is nearest, and the point on it."""
        open_to = [edge for edge in self.edges if edge.wheels or not wheels]
        placed = [(edge, on_line(point, *(self.nodes[end] for end in edge.ends))) for edge in open_to]
        return min(placed, key=lambda pair: math.dist(point, pair[1]))

    def within(self, middle: Point, reach_m: float, wheels: bool) -> list[int]:
        """The nodes so near that are open to wheels, or to feet."""
        open_to = {end for edge in self.edges if edge.wheels or not wheels for end in edge.ends}
        return [node for node in sorted(open_to) if math.dist(middle, self.nodes[node]) <= reach_m]

    def way(self, start: int, goal: int, wheels: bool) -> list[int]:
        """The nodes of the shortest way, both ends among them; empty when there is none."""
        best, before = {start: 0.0}, {start: start}
        waiting = [(0.0, start)]
        while waiting:
            metres, node = heapq.heappop(waiting)
            if node == goal:
                return _back(before, goal)
            for other, edge in self._ways[node]:
                further = metres + edge.metres
                if (edge.wheels or not wheels) and further < best.get(other, math.inf):
                    best[other], before[other] = further, node
                    heapq.heappush(waiting, (further, other))
        return []

    def building_at(self, longitude: float, latitude: float) -> Building | None:
        return next((found for found in self.buildings if found.zone.holds(longitude, latitude)), None)

    def _node(self, position: Point, known: dict[Point, int]) -> int:
        if position not in known:
            known[position] = len(self.nodes)
            self.nodes.append(self.metres(*position))
        return known[position]

    def _join(self, ends: tuple[int, int], wheels: bool) -> None:
        edge = Edge(ends, math.dist(*(self.nodes[end] for end in ends)), wheels)
        self.edges.append(edge)
        for here, there in (ends, ends[::-1]):
            self._ways.setdefault(here, []).append((there, edge))


@cache
def streets(place: str) -> Streets:
    """Raises ValueError when there is no such place."""
    there = sorted(found.parent.name for found in SCENARIOS.glob("*/streets.geojson"))
    if place not in there:
        raise ValueError(f"there is no place {place!r}; expected {' or '.join(there)}")
    return Streets(features(place, "streets"), features(place, "buildings"))


def features(place: str, name: str) -> tuple[Feature, ...]:
    return msgspec.json.decode((SCENARIOS / place / f"{name}.geojson").read_bytes(), type=Collection).features


def on_line(point: Point, start: Point, end: Point) -> Point:
    """The point between `start` and `end` that is nearest."""
    (x, y), (x1, y1), (x2, y2) = point, start, end
    length = (x2 - x1) ** 2 + (y2 - y1) ** 2
    share = 0.0 if not length else ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length
    return on_way(start, end, min(1.0, max(0.0, share)))


def on_way(start: Point, end: Point, share: float) -> Point:
    """`share` of the straight way."""
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _building(house: Feature, known: Mapping[Point, int]) -> Building:
    told = house.properties
    floors = {floor["level"]: float(floor["altitude_m"]) for floor in told["floors"]}
    return Building(told["id"], zone(told["id"], house.geometry), floors, known[tuple(told["door"])])


def _back(before: Mapping[int, int], goal: int) -> list[int]:
    found = [goal]
    while before[found[-1]] != found[-1]:
        found.append(before[found[-1]])
    return found[::-1]
