"""The engine tells what an independent, slow evaluation tells: a thousand random worlds, and what must not matter."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from geofences.calendar import Schedule, Window
from geofences.cells import Cells
from geofences.late import taken
from geofences.plan import Plan
from geofences.rules import Rules
from geofences.track import Crossing, Fix, Track
from geofences.zones import zone
from tests.geofences.oracle import Ambiguous, Event, Oracle, by_fractions, by_shapely
from tests.geofences.shapes import star

NOON = 1_783_310_400.0  # 12:00 in Shanghai
WORLDS = 500  # of each kind
GROUP = 25  # worlds of one test
STEP = 1 / 1024  # of a lattice: exact in binary

Drawn = dict[str, tuple[dict[str, Any], Rules]]


def engine(zones: Drawn, fixes: Sequence[Fix], posture: str = "") -> list[list[Event]]:
    """What each fix tells, in order of time, kind and zone."""
    plan = Plan(
        Cells([zone(name, geometry) for name, (geometry, _) in zones.items()]),
        {name: rules for name, (_, rules) in zones.items()},
        1,
        posture,
    )
    track, told = Track(), []
    for fix in fixes:
        track, crossings = taken(track, fix, plan)
        told.append(sorted(_event(each) for each in crossings))
    return told


def _event(crossing: Crossing) -> Event:
    return crossing.at, crossing.kind, crossing.zone


def same(one: Sequence[Sequence[Event]], other: Sequence[Sequence[Event]]) -> bool:
    """Times of crossings come from where lines meet, and may differ in the last digits."""
    told = [[[event[1:] for event in each] for each in events] for events in (one, other)]
    times = [[event[0] for each in events for event in each] for events in (one, other)]
    return told[0] == told[1] and times[0] == pytest.approx(times[1], abs=1e-3)


# --- small worlds, exactly -----------------------------------------------------------------------


def lattice_ring(chance: random.Random, corners: int, size: int) -> list[tuple[float, float]]:
    """A simple ring on a lattice: points sorted round their middle, so that many fixes are on corners and edges."""
    points = list({(chance.randrange(size), chance.randrange(size)) for _ in range(corners)})
    cx, cy = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
    points.sort(key=lambda at: (math.atan2(at[1] - cy, at[0] - cx), math.hypot(at[0] - cx, at[1] - cy)))
    return [(120 + x * STEP, 30 + y * STEP) for x, y in (*points, points[0])]


def lattice_world(seed: int) -> tuple[Drawn, list[Fix]]:
    chance = random.Random(seed)
    zones: Drawn = {}
    while len(zones) < 4:
        west, south, side = chance.randrange(8), chance.randrange(8), chance.randrange(2, 8)
        if chance.random() < 0.5:
            ring = lattice_ring(chance, chance.randint(4, 9), 16)
            rings = [ring]
        else:
            rings = [_box(west, south, west + side, south + side)]
            if side > 3 and chance.random() < 0.6:
                rings.append(_box(west + 1, south + 1, west + side - 1, south + 2))
        geometry = {"type": "Polygon", "coordinates": rings}
        try:
            zone("z", geometry)
        except ValueError:
            continue
        rules = Rules(
            exit_buffer_m=0.0,
            crossed_from_m=None,
            dwell_in_s=chance.choice([0, 0, 20]),
            dwell_out_s=chance.choice([0, 0, 20]),
            fixes_min=chance.choice([1, 1, 2]),
            dwelt_s=chance.choice([None, 30]),
            overstayed_s=chance.choice([None, 50]),
            inside_every_s=chance.choice([None, 15]),
            lost_s=chance.choice([None, 60]),
            one_of=chance.choice(["", "", "ring"]),
            rank=chance.randrange(2),
            postures=chance.choice([(), (), ("calm",), ("emergency",)]),
            levels=chance.choice([(), (), (1, 2)]),
        )
        zones[f"z{len(zones)}"] = geometry, rules
    names = list(zones)
    for child, parent in ((names[0], names[1]), (names[1], names[2])):
        if chance.random() < 0.3:
            geometry, rules = zones[child]
            zones[child] = geometry, replace(rules, parent=parent)
    return zones, list(_lattice_walk(chance))


def _box(west: int, south: int, east: int, north: int) -> list[tuple[float, float]]:
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return [(120 + x * STEP, 30 + y * STEP) for x, y in corners]


def _lattice_walk(chance: random.Random) -> Iterator[Fix]:
    x, y, at = 8.0, 8.0, NOON
    for _ in range(60):
        x = min(max(x + chance.choice([-1, -0.5, 0, 0.5, 1]), -2), 18)
        y = min(max(y + chance.choice([-1, -0.5, 0, 0.5, 1]), -2), 18)
        at += chance.choice([5, 5, 5, 10, 90])
        yield Fix(at, 120 + x * STEP, 30 + y * STEP, level=chance.choice([None, 1, 3]))


@pytest.mark.parametrize("group", range(WORLDS // GROUP))
def test_small_worlds_are_told_exactly(group: int) -> None:
    for seed in range(group * GROUP, (group + 1) * GROUP):
        zones, fixes = lattice_world(seed)
        inside = by_fractions(
            {name: geometry["coordinates"] and [geometry["coordinates"]] for name, (geometry, _) in zones.items()}
        )
        oracle = Oracle(zones, inside, "calm")
        wanted = [oracle.take(fix) for fix in fixes]
        assert engine(zones, fixes, "calm") == wanted, seed


# --- larger ones, with all rules -----------------------------------------------------------------


def star_world(seed: int) -> tuple[Drawn, list[Fix]]:
    chance = random.Random(seed)
    west, south = chance.choice([(120.0, 30.0), (0.001, 0.001), (-70.0, -33.0), (25.0, 60.0), (179.0, 10.0)])
    zones: Drawn = {}
    for number in range(12):
        middle = west + chance.uniform(0, 0.02), south + chance.uniform(0, 0.02)
        reach = 10 ** chance.uniform(-4, -2)
        rings = [star(chance, *middle, reach)]
        if chance.random() < 0.3:
            rings.append(star(chance, *middle, reach * 0.2))
        zones[f"z{number:02}"] = {"type": "Polygon", "coordinates": rings}, _rules(chance)
    return zones, list(_walk(chance, west, south))


def _rules(chance: random.Random) -> Rules:
    windows = (Window("12:03", "12:09"), Window("12:15", "12:20"))
    return Rules(
        enter_certainty=chance.choice([0.5, 0.8]),
        leave_certainty=chance.choice([0.5, 0.84]),
        exit_buffer_m=chance.choice([0, 5, 50]),
        dwell_in_s=chance.choice([0, 0, 30]),
        dwell_out_s=chance.choice([0, 0, 20]),
        fixes_min=chance.choice([1, 1, 3]),
        dwelt_s=chance.choice([None, None, 60]),
        inside_every_s=chance.choice([None, None, 100]),
        overstayed_s=chance.choice([None, None, 90]),
        lost_s=chance.choice([None, 200]),
        speed_max_kmh=chance.choice([None, None, 30]),
        stopped_s=chance.choice([None, None, 40]),
        crossed_from_m=chance.choice([None, 20, 100]),
        levels=chance.choice([(), (), (), (1, 2)]),
        postures=chance.choice([(), (), ("calm",)]),
        schedule=chance.choice([None, None, Schedule("Asia/Shanghai", windows)]),
        one_of=chance.choice(["", "", "rings"]),
        rank=chance.randrange(3),
    )


def _walk(chance: random.Random, west: float, south: float) -> Iterator[Fix]:
    x, y, at = west + 0.01, south + 0.01, NOON
    far, level = chance.choice([1e-4, 1e-3]), chance.choice([None, 1, 5])
    for _ in range(80):
        x, y = x + chance.gauss(0, far), y + chance.gauss(0, far)
        at += chance.choice([5, 15, 15, 60, 300])
        level = chance.choice([1, 2, 5]) if level and chance.random() < 0.1 else level
        leap = 1.0 if chance.random() < 0.02 else 0.0
        yield Fix(at, x, y + leap, chance.choice([0.0, 5.0, 30.0]), level, None, chance.choice([None, None, 9.0]))


@pytest.mark.parametrize("group", range(WORLDS // GROUP))
def test_larger_worlds_with_every_rule(group: int) -> None:
    thrown = 0
    for seed in range(group * GROUP, (group + 1) * GROUP):
        zones, fixes = star_world(seed)
        oracle = Oracle(zones, by_shapely({name: geometry for name, (geometry, _) in zones.items()}), "calm")
        try:
            wanted = [oracle.take(fix) for fix in fixes]
        except Ambiguous:
            thrown += 1
            continue
        found = engine(zones, fixes, "calm")
        assert same(found, wanted), (seed, _first_difference(found, wanted))
    assert thrown <= GROUP // 4


def _first_difference(found: Sequence[Sequence[Event]], wanted: Sequence[Sequence[Event]]) -> Any:
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if not same([one], [other]):
            return number, "only told", set(one) - set(other), "only wanted", set(other) - set(one)
    return None


def test_the_worlds_show_every_kind() -> None:
    kinds = set()
    for seed in range(60):
        for world in (lattice_world, star_world):
            zones, fixes = world(seed)
            kinds |= {event[1] for each in engine(zones, fixes, "calm") for event in each}
    assert kinds == {"entered", "exited", "dwelt", "inside", "overstayed", "too_fast", "stopped", "lost", "crossed"}


# --- what must not matter ------------------------------------------------------------------------

Ring = list[tuple[float, float]]


def rotated(ring: Ring, chance: random.Random) -> Ring:
    at = chance.randrange(len(ring) - 1)
    return [*ring[at:-1], *ring[:at], ring[at]]


def turned_round(ring: Ring, _: random.Random) -> Ring:
    return ring[::-1]


def doubled(ring: Ring, chance: random.Random) -> Ring:
    return [corner for each in ring for corner in [each] * chance.choice([1, 2, 3])]


def with_corners_on_edges(ring: Ring, _: random.Random) -> Ring:
    """Halves of a lattice's edges are exact."""
    middles = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairwise(ring)]
    return [*(corner for both in zip(ring, middles, strict=False) for corner in both), ring[-1]]


@pytest.mark.parametrize("change", [rotated, turned_round, doubled, with_corners_on_edges])
def test_how_a_ring_is_written_does_not_matter(change: Callable[[Ring, random.Random], Ring]) -> None:
    for seed in range(100):
        zones, fixes = lattice_world(seed)
        chance = random.Random(seed)
        rewritten: Drawn = {
            name: (
                {"type": "Polygon", "coordinates": [change(ring, chance) for ring in geometry["coordinates"]]},
                rules,
            )
            for name, (geometry, rules) in zones.items()
        }
        assert engine(rewritten, fixes, "calm") == engine(zones, fixes, "calm"), seed


@pytest.mark.parametrize("turns", [-1, 1])
def test_another_turn_of_the_globe_is_the_same_place(turns: int) -> None:
    for seed in range(100):
        zones, fixes = lattice_world(seed)
        beyond = [replace(fix, longitude=fix.longitude + 360 * turns) for fix in fixes]
        assert engine(zones, beyond, "calm") == engine(zones, fixes, "calm"), seed


@pytest.mark.parametrize(("east", "north"), [(-120.0, -30.0), (32.0, 30.0), (-180.0, -64.0), (59.5, 0.0)])
def test_where_on_the_globe_a_world_lies_does_not_matter(east: float, north: float) -> None:
    """Moved by what is exact in binary: to 0/0, far north, into another hemisphere, beside the antimeridian."""
    for seed in range(100):
        zones, fixes = lattice_world(seed)
        moved: Drawn = {name: (_moved(geometry, east, north), rules) for name, (geometry, rules) in zones.items()}
        away = [replace(fix, longitude=fix.longitude + east, latitude=fix.latitude + north) for fix in fixes]
        assert engine(moved, away, "calm") == engine(zones, fixes, "calm"), seed


def _moved(geometry: dict[str, Any], east: float, north: float) -> dict[str, Any]:
    rings = [[(x + east, y + north) for x, y in ring] for ring in geometry["coordinates"]]
    return {"type": "Polygon", "coordinates": rings}


def test_a_polygon_cut_in_two_is_the_same_zone() -> None:
    """Drawn as two parts that share an edge: for fixes that know their place, whose events ask no distance."""
    for seed in range(100):
        chance = random.Random(seed)
        _, fixes = lattice_world(seed)
        west, south, cut, east, north = 2, 2, chance.randrange(3, 12), 12, chance.randrange(4, 12)
        rules = Rules(exit_buffer_m=0.0, crossed_from_m=None)
        whole = {"type": "Polygon", "coordinates": [_box(west, south, east, north)]}
        parts = [[_box(west, south, cut, north)], [_box(cut, south, east, north)]]
        halved = {"type": "MultiPolygon", "coordinates": parts}
        assert engine({"z": (halved, rules)}, fixes) == engine({"z": (whole, rules)}, fixes), seed
