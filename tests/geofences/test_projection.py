"""Metres are right to 0.1 % within 50 km of a site, circles and corridors have their size: held against Vincenty."""

import itertools
import math
import random
from itertools import pairwise
from typing import Any

import pytest
import shapely
from shapely.geometry import Point, Polygon

from geofences.buffers import (
    CIRCLE_SIDES,
    PIECES_MAX,
    BufferError,
    Rings,
    area_m2,
    circle,
    corridor,
    split,
)
from geofences.projection import Plane, Position, distance, ring_area_m2
from geofences.zones import zone

RIGHT = 1e-3
SITES = [(0.0, 0.0), (120.4838, 30.7436), (25.0, 60.0), (-70.0, -45.0), (179.9, 30.0), (-179.99, 60.0), (10.0, 85.0)]


def vincenty(a: Position, b: Position) -> float:
    """T. Vincenty, Survey Review XXIII 176 (1975), the inverse formula: an independent measure, right to 0.5 mm."""
    equator, flat = 6_378_137.0, 1 / 298.257223563
    pole = equator * (1 - flat)
    first, second = (math.atan((1 - flat) * math.tan(math.radians(latitude))) for _, latitude in (a, b))
    s1, c1, s2, c2 = math.sin(first), math.cos(first), math.sin(second), math.cos(second)
    east = turned = math.radians(math.remainder(b[0] - a[0], 360))
    for _ in range(100):
        sine = math.hypot(c2 * math.sin(turned), c1 * s2 - s1 * c2 * math.cos(turned))
        cosine = s1 * s2 + c1 * c2 * math.cos(turned)
        angle = math.atan2(sine, cosine)
        azimuth = c1 * c2 * math.sin(turned) / sine if sine else 0.0
        squared = 1 - azimuth**2
        middle = cosine - 2 * s1 * s2 / squared if squared else 0.0
        c = flat / 16 * squared * (4 + flat * (4 - 3 * squared))
        before, turned = (
            turned,
            east + (1 - c) * flat * azimuth * (angle + c * sine * (middle + c * cosine * (2 * middle**2 - 1))),
        )
        if abs(turned - before) < 1e-14:
            break
    u = squared * (equator**2 - pole**2) / pole**2
    big = 1 + u / 16384 * (4096 + u * (u * (320 - 175 * u) - 768))
    small = u / 1024 * (256 + u * (u * (74 - 47 * u) - 128))
    change = small * sine * (middle + small / 4 * (cosine * (2 * middle**2 - 1)))
    return pole * big * (angle - change)


def places(site: Position, reach_m: float, count: int) -> list[Position]:
    """Round a site, on the globe; by degrees, so that the code under test is not asked."""
    dice = random.Random(f"{site}")
    found: list[Position] = []
    while len(found) < count:
        latitude = site[1] + dice.uniform(-1, 1) * reach_m / 111_700
        wide = reach_m / (111_700 * math.cos(math.radians(site[1])))
        longitude = math.remainder(site[0] + dice.uniform(-1, 1) * wide, 360)
        if vincenty(site, (longitude, latitude)) <= reach_m:
            found.append((longitude, latitude))
    return found


def test_vincenty_is_written_right() -> None:
    """Flinders Peak to Buninyon, the worked example of the GDA technical manual (GRS 80: within 0.1 mm of WGS 84)."""
    flinders, buninyon = (144.4248679, -37.9510334), (143.9264955, -37.6528211)
    assert vincenty(flinders, buninyon) == pytest.approx(54_972.271, abs=0.02)


@pytest.mark.parametrize("site", SITES)
def test_metres_are_right_within_fifty_kilometres(site: Position) -> None:
    plane = Plane(*site)
    assert plane.to_metres(*site) == pytest.approx((0, 0), abs=1e-6)
    for a, b in pairwise(places(site, 50_000, 200)):
        truth = vincenty(a, b)
        assert math.dist(plane.to_metres(*a), plane.to_metres(*b)) == pytest.approx(truth, rel=RIGHT)
        assert distance(a, b) == pytest.approx(truth, rel=RIGHT)


@pytest.mark.parametrize("site", SITES)
def test_back_in_degrees_is_where_it_was(site: Position) -> None:
    plane = Plane(*site)
    for place in places(site, 50_000, 50):
        back = plane.to_degrees(*plane.to_metres(*place))
        assert abs(back[0] - site[0]) < 180
        assert vincenty(back, place) < 0.001


def test_east_is_right_and_north_is_up() -> None:
    east, north = Plane(179.9, 30.0).to_metres(-179.9, 30.1)
    assert 19_000 < east < 20_000
    assert 11_000 < north < 11_200


def test_distances_far_away_and_the_same_place() -> None:
    assert distance((120.0, 30.0), (120.0, 30.0)) == 0
    assert distance((2.35, 48.86), (139.69, 35.69)) == pytest.approx(vincenty((2.35, 48.86), (139.69, 35.69)), rel=1e-5)
    assert distance((0.0, 0.0), (180.0, 0.0)) == pytest.approx(20_003_931, rel=RIGHT * 2)  # the other end of the world
    assert Plane(0.0, 0.0).to_metres(90.0, 0.0)[0] > 1e7  # no plane reaches there, and nothing breaks


@pytest.mark.parametrize("site", SITES)
def test_a_ring_has_its_area(site: Position) -> None:
    """By triangles (L'Huilier would need a sphere): a small square's sides, measured by Vincenty, across and up."""
    x, y = site
    side = 0.01
    ring = [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]
    wide = vincenty((x, y + side / 2), (x + side, y + side / 2))
    assert ring_area_m2(ring) == pytest.approx(wide * vincenty((x, y), (x, y + side)), rel=1e-6)
    assert ring_area_m2(ring[::-1]) == pytest.approx(ring_area_m2(ring), rel=1e-9)


def test_the_globe_has_its_area() -> None:
    ring = [(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0)]
    assert ring_area_m2(ring) == pytest.approx(510_065_621_724_000, rel=1e-9)


def unrolled(polygons: list[Rings], near: float) -> Any:
    """In one piece again, for measuring."""
    turned = [[[(near + math.remainder(x - near, 360), y) for x, y in ring] for ring in rings] for rings in polygons]
    return shapely.union_all([Polygon(outer, holes) for outer, *holes in turned])


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("radius_m", [5.0, 300.0, 20_000.0])
def test_a_circle_has_its_area_and_its_radius(site: Position, radius_m: float) -> None:
    found = circle(site, radius_m)
    assert area_m2(found) == pytest.approx(math.pi * radius_m**2, rel=RIGHT)
    corners = [corner for rings in found for corner in rings[0] if abs(corner[0]) != 180]
    assert len(corners) >= CIRCLE_SIDES
    assert all(vincenty(site, corner) == pytest.approx(radius_m, rel=RIGHT) for corner in corners)
    drawn = zone("c", {"type": "MultiPolygon", "coordinates": found})
    assert drawn.holds(*site)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("width_m", [4.0, 100.0, 2_000.0])
def test_a_corridor_has_its_width(site: Position, width_m: float) -> None:
    """A rectangle and two half circles; ten kilometres east, where a straight line in degrees bends in metres."""
    length_m = 10_000
    end = site[0] + length_m / (vincenty(site, (site[0] + 0.01, site[1])) / 0.01)
    line = [site, (math.remainder(end, 360), site[1])]
    found = corridor(line, width_m)
    assert area_m2(found) == pytest.approx(width_m * length_m + math.pi * (width_m / 2) ** 2, rel=RIGHT)
    shape = unrolled(found, site[0])
    middle = (site[0] + end) / 2
    cut = shapely.intersection(shape, shapely.LineString([(middle, site[1] - 1), (middle, site[1] + 1)]))
    assert vincenty((middle, cut.bounds[1]), (middle, cut.bounds[3])) == pytest.approx(width_m, rel=RIGHT)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("width_m", [4.0, 100.0])
def test_the_rim_of_a_corridor_keeps_its_distance(site: Position, width_m: float) -> None:
    """Long edges, which bend in metres, and small bends (GEOS' buffer of a whole line leaves some out), everywhere."""
    x, y = site
    wide, small = 0.05 / math.cos(math.radians(y)), width_m / 2 * 0.008 / 111_000
    zigzag = [(x + wide + step * small * 20, y + 0.01 + (small if step % 2 else 0.0)) for step in range(12)]
    back = (zigzag[-1][0], y - 0.02), (x + wide / 2, y - 0.02), (x + wide / 2, y + 0.02)  # across the long edge
    line = [site, (x + wide, y + 0.01), *zigzag[1:], *back]
    plane = Plane(*site)
    shares = [step / 500 for step in range(501)]
    fine = [(a + (c - a) * share, b + (d - b) * share) for (a, b), (c, d) in pairwise(line) for share in shares]
    middle_line = shapely.LineString([plane.to_metres(*place) for place in fine])
    whole = unrolled(corridor(line, width_m), x)
    assert len(whole.interiors) == 1
    rims = [list(ring.coords) for ring in (whole.exterior, *whole.interiors)]
    middles = [((a + c) / 2, (b + d) / 2) for rim in rims for (a, b), (c, d) in pairwise(rim)]
    for place in [*itertools.chain(*rims), *middles]:
        assert middle_line.distance(Point(plane.to_metres(*place))) == pytest.approx(width_m / 2, rel=RIGHT, abs=1e-3)


def test_a_corridor_that_closes_has_a_hole() -> None:
    x, y = SITES[1]
    loop = [(x, y), (x + 0.01, y), (x + 0.01, y + 0.01), (x, y + 0.01), (x, y)]
    ((_, hole),) = corridor(loop, 50.0)
    assert ring_area_m2(hole) == pytest.approx((0.01 * 95_700 - 50) * (0.01 * 110_860 - 50), rel=0.01)


def test_a_corridor_of_one_place_is_a_circle() -> None:
    found = corridor([SITES[1], SITES[1]], 100.0)
    assert area_m2(found) == pytest.approx(math.pi * 50**2, rel=2 * RIGHT)


def test_split_at_the_antimeridian_loses_nothing() -> None:
    whole = Polygon(
        [(179.0, 10.0), (181.0, 10.0), (181.0, 11.0), (179.0, 11.0)], [[(179.9, 10.4), (180.1, 10.4), (180, 10.6)]]
    )
    east, west = split(whole)
    assert area_m2([east, west]) == pytest.approx(
        area_m2([[list(ring.coords) for ring in (whole.exterior, *whole.interiors)]])
    )
    assert max(x for x, _ in east[0]) == 180 and min(x for x, _ in west[0]) == -180
    assert split(Polygon([(181.0, 1.0), (182.0, 1.0), (182.0, 2.0)]))[0][0][0][0] < -177


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_impossible_sizes_are_refused(size: float) -> None:
    with pytest.raises(BufferError, match="radius: expected more than 0"):
        circle(SITES[0], size)
    with pytest.raises(BufferError, match="width: expected more than 0"):
        corridor([SITES[0], SITES[1]], size)


def test_a_corridor_has_an_end() -> None:
    with pytest.raises(BufferError, match="draw it in parts"):
        corridor([(0.0, 30.0), (8.0, 30.0)], 1_000.0)
    with pytest.raises(BufferError, match="draw it in parts"):
        corridor([(0.0, 30.0), (0.001, 30.0)] * PIECES_MAX, 1.0)
