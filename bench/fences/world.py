"""The fences and tracks that every engine is given: made from a seed, the same on every machine.

A square of SIDE_M round Wuzhen. Fences: areas and areas with a hole (star-shaped), corridors (a line with a width) and
a tenth of large zones that overlap each other. Movers: walkers and vehicles, each heard every PERIOD_S; fixes come in
the order of their times.
"""

from math import cos, pi, radians
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int32]
Ring: TypeAlias = Floats  # n × 2, longitude and latitude in degrees; closed
Random: TypeAlias = np.random.Generator

SEED = 20261125
SIDE_M = 20_000.0
CENTRE = (120.49, 30.74)
DEGREES_PER_M = np.array([1 / (111_320.0 * cos(radians(CENTRE[1]))), 1 / 110_870.0])
SHARES = {"area": 0.55, "holed": 0.15, "corridor": 0.20, "large": 0.10}
VERTICES = (8, 64)
RADIUS_M = {"area": (40.0, 250.0), "holed": (60.0, 300.0), "large": (1_000.0, 2_200.0)}
HOLE = 0.5  # of the outer ring
CORRIDOR_LEGS, CORRIDOR_LEG_M, CORRIDOR_WIDTH_M = (3, 8), (100.0, 400.0), (20.0, 80.0)
VEHICLES = 0.15
PERIOD_S = 5.0
WALKER_M_PER_S, VEHICLE_M_PER_S = (0.5, 1.8), (4.0, 16.0)
ACCURACY_M = (3.0, 15.0)


class Fixes(NamedTuple):
    """One column each, in the order of `time_s`; `mover` counts from 0."""

    mover: Ints
    time_s: Floats
    longitude: Floats
    latitude: Floats
    accuracy_m: Floats

    def first(self, count: int) -> "Fixes":
        return Fixes(*(column[:count] for column in self))


class World(NamedTuple):
    """A fence is its rings, the outer one first."""

    fences: list[list[Ring]]
    fixes: Fixes
    movers: int


def world(fences: int, movers: int, fixes: int, side_m: float = SIDE_M, seed: int = SEED) -> World:
    """`fixes` must be a multiple of `movers`."""
    return World(_fences(fences, side_m, seed), _fixes(movers, fixes // movers, side_m, seed), movers)


def fence_id(number: int) -> str:
    """Sorted as the numbers are."""
    return f"{number:06d}"


def geometry(rings: list[Ring]) -> dict[str, Any]:
    """As GeoJSON."""
    return {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]}


def _fences(count: int, side_m: float, seed: int) -> list[list[Ring]]:
    random = np.random.default_rng([seed, count])
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(share * count))]
    return [_degrees(_drawn(kinds[at], random, side_m)) for at in random.permutation(len(kinds))]


def _degrees(rings: list[Floats]) -> list[Ring]:
    return [np.array(CENTRE) + ring * DEGREES_PER_M for ring in rings]


def _drawn(kind: str, random: Random, side_m: float) -> list[Floats]:
    """Rings in metres from the centre."""
    centre = random.uniform(-side_m / 2, side_m / 2, 2)
    if kind == "corridor":
        return _corridor(centre, random)
    star = _star(np.exp(random.uniform(*np.log(RADIUS_M[kind]))), random)
    return [centre + star, centre + star[::-1] * HOLE] if kind == "holed" else [centre + star]


def _star(radius_m: float, random: Random) -> Floats:
    """Each corner somewhere on its own ray from the middle, so that edges never cross."""
    corners = random.integers(VERTICES[0], VERTICES[1], endpoint=True)
    angles = 2 * pi * (np.arange(corners) + random.uniform(0.1, 0.9, corners)) / corners
    rays_m = radius_m * random.uniform(0.55, 1.0, corners)
    return _closed(np.column_stack([rays_m * np.cos(angles), rays_m * np.sin(angles)]))


def _closed(ring: Floats) -> Floats:
    return np.concatenate([ring, ring[:1]])


def _corridor(start: Floats, random: Random) -> list[Floats]:
    """A line that bends a little at each of its points, as wide as a street."""
    legs = random.integers(*CORRIDOR_LEGS, endpoint=True)
    course = random.uniform(0, 2 * pi) + np.cumsum(random.uniform(-0.6, 0.6, legs))
    steps_m = random.uniform(*CORRIDOR_LEG_M, legs)[:, None] * np.column_stack([np.cos(course), np.sin(course)])
    line = shapely.LineString(np.concatenate([start[None], start + np.cumsum(steps_m, axis=0)]))
    shape = line.buffer(random.uniform(*CORRIDOR_WIDTH_M) / 2, quad_segs=4, cap_style="flat")
    return [np.array(ring.coords) for ring in (shape.exterior, *shape.interiors)]


def _fixes(movers: int, each: int, side_m: float, seed: int) -> Fixes:
    random = np.random.default_rng([seed, movers, each])
    vehicles = random.permutation(movers) < round(VEHICLES * movers)
    speeds = np.where(vehicles, random.uniform(*VEHICLE_M_PER_S, movers), random.uniform(*WALKER_M_PER_S, movers))
    course = random.uniform(0, 2 * pi, movers)
    at = random.uniform(-side_m / 2, side_m / 2, (movers, 2))
    phase_s = random.uniform(0, PERIOD_S, movers)
    places, times = [], []
    for number in range(each):
        places.append(at)
        times.append(number * PERIOD_S + phase_s + random.uniform(0, 0.2, movers))
        course = course + random.normal(0, 0.25, movers)
        step = PERIOD_S * speeds[:, None] * np.column_stack([np.cos(course), np.sin(course)])
        at = np.clip(at + step, -side_m / 2, side_m / 2)
    order = np.argsort(np.concatenate(times), kind="stable")
    degrees = np.array(CENTRE) + np.concatenate(places)[order] * DEGREES_PER_M
    return Fixes(
        mover=np.tile(np.arange(movers, dtype=np.int32), each)[order],
        time_s=np.concatenate(times)[order],
        longitude=np.ascontiguousarray(degrees[:, 0]),
        latitude=np.ascontiguousarray(degrees[:, 1]),
        accuracy_m=random.uniform(*ACCURACY_M, movers * each)[order],
    )
