"""Compiled zones say what every zone says for itself, for one point and for many, wherever zones lie."""

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import Polygon, box, mapping
from shapely.ops import unary_union

from geofences.batch import Batch
from geofences.cells import Cells, turned
from geofences.cells_build import EDGES_MAX, SIGNATURE_MASK, name_of
from geofences.zones import Zone, ZoneError, zone
from tests.geofences.shapes import places_about, polygon, square, star, stars_of_all_sizes


def truth(zones: Sequence[Zone], place: tuple[float, float]) -> list[int]:
    return [index for index, each in enumerate(zones) if each.holds(*place)]


def said_alone(cells: Cells, places: Sequence[tuple[float, float]]) -> None:
    """Each point by itself, and each step from one to the next."""
    looked = [(cells.place(*place), set(truth(cells.zones, place))) for place in places]
    for (there, held), place in zip(looked, places, strict=True):
        assert cells.holding(there) == sorted(held), place
        assert there.signature == sum(name_of(cells.zones[at].id) for at in held) & SIGNATURE_MASK, place
    for (one, before), (other, after) in pairwise(looked):
        changed = [at + 1 if at in after else -at - 1 for at in sorted(before ^ after)]
        assert cells.between(one, other) == changed


def said_together(cells: Cells, places: Sequence[tuple[float, float]]) -> None:
    """What is said of many points is what is said of each."""
    batch = Batch(cells)
    longitudes, latitudes = np.array(places).T
    points = batch.points(longitudes, latitudes)
    alone = [cells.place(*place) for place in places]
    assert points.signature.tolist() == [place.signature for place in alone]
    steps = np.arange(len(places) - 1)
    changes = batch.between(points.of(steps), points.of(steps + 1))
    assert [tuple(map(int, change)) for change in zip(*changes, strict=True)] == [
        (at, abs(gain) - 1, 1 if gain > 0 else -1)
        for at, (one, other) in enumerate(pairwise(alone))
        for gain in cells.between(one, other)
    ]


@pytest.mark.parametrize("count", [1, 2, 10, 100, 600])
def test_cells_say_what_each_zone_says(count: int) -> None:
    chance = random.Random(count)
    cells = Cells(stars_of_all_sizes(chance, count))
    places = list(places_about(chance, cells.zones, 2_000))
    said_alone(cells, places)
    said_together(cells, places)


@pytest.mark.parametrize("west", [-180.0, 179.9, -0.1, 0.0, -75.3])
@pytest.mark.parametrize("south", [-89.0, -0.1, 59.9, 88.5])
def test_anywhere_on_earth(west: float, south: float) -> None:
    """Zones that would cross the antimeridian are in two parts, as RFC 7946 wants them."""
    chance = random.Random(3)
    zones = [parted(f"z{at}", star(chance, west + 0.1, south + 0.1, 0.1)) for at in range(20)]
    cells = Cells(zones)
    places = [
        (turned(chance.uniform(west - 0.1, west + 0.3)), chance.uniform(south - 0.1, south + 0.3)) for _ in range(1_000)
    ]
    places += [(180.0, y) for _, y in places[:100]] + [(-180.0, y) for _, y in places[:100]]
    places += list(places_about(chance, cells.zones, 500))
    for longitude, latitude in places:
        there = turned(longitude)
        both = (180.0, -180.0) if abs(there) == 180.0 else (there,)
        held = {at for at, each in enumerate(cells.zones) if any(each.holds(x, latitude) for x in both)}
        assert set(cells.holding(cells.place(longitude, latitude))) == held, (longitude, latitude)
    said_together(cells, places)


def parted(name: str, ring: list[tuple[float, float]]) -> Zone:
    """Cut at the antimeridian where the ring crosses it."""
    whole = Polygon(ring)
    east, west = whole.intersection(box(-180, -90, 180, 90)), whole.intersection(box(180, -90, 540, 90))
    shape = unary_union([east, translate(west, -360)])
    return zone(name, mapping(shape))


@given(turns=st.integers(-3, 3), longitude=st.integers(-1_800_000, 1_799_999))
def test_other_turns_of_the_globe_are_the_same_place(turns: int, longitude: int) -> None:
    assert turned(longitude / 2**14 + 360.0 * turns) == longitude / 2**14


def test_crowded_places_and_far_ones_keep_cells_small() -> None:
    """A thousand rooms in one house, a county round it, and a yard a thousand kilometres away."""
    rooms = [
        zone(f"{x}-{y}", polygon(square(120 + x * 1e-5, 30 + y * 1e-5, 1e-5))) for x in range(32) for y in range(32)
    ]
    county = zone("county", polygon(square(119.5, 29.5, 1.0)))
    yard = zone("yard", polygon(square(110.0, 25.0, 0.01)))
    cells = Cells([*rooms, county, yard])
    first = cells.build.leaves.first
    assert max(after - before for before, after in pairwise(first)) <= EDGES_MAX
    chance = random.Random(1)
    places = [(120 + chance.uniform(0, 32e-5), 30 + chance.uniform(0, 32e-5)) for _ in range(500)]
    places += [(120 + at * 1e-5, 30 + at * 1e-5) for at in range(33)] + [(110.005, 25.005), (119.5, 30.0), (0.0, 0.0)]
    said_alone(cells, places)
    said_together(cells, places)


def test_many_edges_that_meet_in_one_corner_end() -> None:
    slices = [zone(f"s{at}", polygon([(0, 0), (1, at / 50), (1, (at + 1) / 50), (0, 0)])) for at in range(50)]
    cells = Cells(slices)
    said_alone(cells, [(0.0, 0.0), (1e-9, 1e-10), (0.5, 0.25), (1.0, 1.0), (1e-4, 5e-5)])


@pytest.mark.parametrize("rise", [0.0, 1e-15, 1e-13, 1e-11, 1e-9, 1e-6])
def test_edges_that_hardly_rise(rise: float) -> None:
    flat = zone("flat", polygon([(120, 30), (121, 30 + rise), (121, 30.1), (120, 30.1), (120, 30)]))
    chance = random.Random(2)
    cells = Cells([flat, *stars_of_all_sizes(chance, 20)])
    places = [(120 + share, 30 + share * rise) for share in (0, 1, 0.5, 0.25, 1 / 3, 0.1)]
    places += [(chance.uniform(120, 121), 30 + chance.uniform(-1, 2) * rise) for _ in range(300)]
    said_alone(cells, places)
    said_together(cells, places)


def test_neighbours_share_their_border() -> None:
    """Both hold it; a step along it changes nothing."""
    cells = Cells([zone("a", polygon(square(0, 0, 1))), zone("b", polygon(square(1, 0, 1)))])
    border = [cells.place(1.0, at / 10) for at in range(11)]
    assert {place.signature for place in border} == {(name_of("a") + name_of("b")) & SIGNATURE_MASK}
    assert all(cells.between(one, other) == [] for one, other in pairwise(border))


def test_no_zones_hold_nothing() -> None:
    cells = Cells([])
    said_alone(cells, [(120.0, 30.0), (-180.0, 90.0)])
    said_together(cells, [(120.0, 30.0), (-180.0, 90.0)])


def test_edges_that_cross_do_no_harm() -> None:
    """Nobody draws such a zone (geofences.validity), but whoever obeys one must go on."""
    bow = zone("bow", polygon([(0, 0), (3, 3), (3, 0), (0, 2), (0, 0)]))
    cells = Cells([bow, *stars_of_all_sizes(random.Random(1), 30, 0, 0)])
    places = [cells.place(*place) for place in places_about(random.Random(2), cells.zones, 500)]
    for one, other in pairwise(places):
        cells.between(one, other)
        cells.holding(one)


def test_what_cannot_be_held_together_is_refused() -> None:
    with pytest.raises(ZoneError, match="zone a: given twice"):
        Cells([zone("a", polygon(square(0, 0, 1))), zone("a", polygon(square(0, 0, 2)))])
    with pytest.raises(ZoneError, match="antimeridian"):
        Cells([zone("a", polygon(square(179, 0, 1))), zone("b", polygon(square(-1, 0, 2)))])
