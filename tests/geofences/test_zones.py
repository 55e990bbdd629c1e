"""Zones: inside is the same however a ring is written, the boundary belongs to it, impossible shapes are named."""

import math
import random
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from geofences.cells import Cells
from geofences.plan import Plan
from geofences.validity import drawn_zone
from geofences.zones import POSITIONS_MAX, Zone, ZoneError, zone

Ring = list[tuple[float, float]]


class Zones:
    """A set of zones, asked as an edge asks (geofences.plan)."""

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self.plan = Plan(Cells(zones), {})
        self.ids = frozenset(self.plan.ids)

    def __len__(self) -> int:
        return len(self.plan.ids)

    def zone_at(self, longitude: float, latitude: float) -> str:
        return self.plan.zone_at(longitude, latitude)

    def zones_at(self, longitude: float, latitude: float) -> tuple[str, ...]:
        """Smallest first."""
        cells = self.plan.cells
        held = [cells.zones[at] for at in cells.holding(cells.place(longitude, latitude))]
        return tuple(zone.id for zone in sorted(held, key=lambda zone: (zone.area, zone.id)))


HALL: Ring = [(120.0, 30.0), (120.004, 30.0), (120.004, 30.003), (120.0, 30.003), (120.0, 30.0)]
ROOM: Ring = [(120.001, 30.001), (120.002, 30.001), (120.002, 30.002), (120.001, 30.002), (120.001, 30.001)]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def square(west: float, south: float, side: float) -> Ring:
    east, north = west + side, south + side
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


# --- the same ring, written otherwise ------------------------------------------------------------


@st.composite
def stars(draw: st.DrawFn, scale: float = 1e-7) -> Ring:
    """A simple ring: corners at rising angles round a middle, on a grid of a centimetre, somewhere on earth."""
    east, north = draw(st.integers(-1_700_000_000, 1_700_000_000)), draw(st.integers(-800_000_000, 800_000_000))
    angles = sorted(draw(st.sets(st.integers(0, 359), min_size=4, max_size=12)))
    gaps = [(after - before) % 360 for before, after in zip(angles, [*angles[1:], angles[0]], strict=True)]
    assume(max(gaps) < 180)  # else the middle is outside and edges may cross
    corners = []
    for angle in angles:
        reach = draw(st.integers(2_000, 50_000))
        corners.append(
            (
                (east + round(reach * math.cos(math.radians(angle)))) * scale,
                (north + round(reach * math.sin(math.radians(angle)))) * scale,
            )
        )
    return [*corners, corners[0]]


@st.composite
def rewritten(draw: st.DrawFn, ring: Ring) -> Ring:
    """Started elsewhere, perhaps the other way round, some corners twice or more."""
    open_ring = ring[:-1]
    start = draw(st.integers(0, len(open_ring) - 1))
    turned = open_ring[start:] + open_ring[:start]
    if draw(st.booleans()):
        turned.reverse()
    times = draw(st.lists(st.integers(1, 3), min_size=len(turned), max_size=len(turned)))
    many = [corner for corner, count in zip(turned, times, strict=True) for _ in range(count)]
    return [*many, many[0]]


def places_near(ring: Ring) -> st.SearchStrategy[tuple[float, float]]:
    """Anywhere near the ring; its corners and the middles of its edges, where rounding decides."""
    longitudes, latitudes = [x for x, _ in ring], [y for _, y in ring]
    middles = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairwise(ring)]
    anywhere = st.tuples(st.floats(min(longitudes), max(longitudes)), st.floats(min(latitudes), max(latitudes)))
    return st.one_of(anywhere, st.sampled_from(ring), st.sampled_from(middles))


@given(data=st.data())
def test_inside_does_not_depend_on_how_a_ring_is_written(data: st.DataObject) -> None:
    ring = data.draw(stars())
    other = data.draw(rewritten(ring))
    one, two = zone("a", polygon(ring)), zone("a", polygon(other))
    assert one.area == two.area
    assert one.box == two.box
    for longitude, latitude in data.draw(st.lists(places_near(ring), min_size=1, max_size=20)):
        assert Zones([one]).zone_at(longitude, latitude) == Zones([two]).zone_at(longitude, latitude)


@given(data=st.data())
def test_holes_may_be_written_anyhow_too(data: st.DataObject) -> None:
    holes = [square(x, 30.001, 0.0005) for x in (120.0005, 120.0015, 120.0025)]
    other = [data.draw(rewritten(hole)) for hole in data.draw(st.permutations(holes))]
    one, two = zone("a", polygon(HALL, *holes)), zone("a", polygon(data.draw(rewritten(HALL)), *other))
    assert one.area == two.area
    for longitude, latitude in data.draw(st.lists(places_near(HALL), min_size=1, max_size=20)):
        assert Zones([one]).zone_at(longitude, latitude) == Zones([two]).zone_at(longitude, latitude)


# --- against exact arithmetic --------------------------------------------------------------------


def holds(ring: list[tuple[Any, Any]], x: int | Fraction, y: int | Fraction) -> bool:
    """Of whole or broken numbers, without rounding: on an edge, or an odd number of edges to the right."""
    odd = False
    for (ax, ay), (bx, by) in pairwise(ring):
        side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        if side == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
            return True
        if (ay > y) != (by > y) and (side > 0) == (by > ay):
            odd = not odd
    return odd


@given(ring=stars(scale=1), data=st.data())
def test_sides_are_decided_exactly(ring: Ring, data: st.DataObject) -> None:
    """Corners on whole degrees are whole numbers, so the truth can be computed without rounding."""
    west, south = ring[0]
    small = [(round((x - west) / 1_500), round((y - south) / 1_500)) for x, y in ring]
    try:
        zones = Zones([drawn_zone("a", polygon([(float(x), float(y)) for x, y in small]))])
    except ZoneError:
        assume(False)
    for x, y in data.draw(st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60)), min_size=1, max_size=20)):
        assert (zones.zone_at(x, y) == "a") == holds(small, x, y)


@st.composite
def triangles(draw: st.DrawFn) -> Ring:
    """Round 0/0, where even the differences of coordinates are rounded."""
    degrees = st.floats(-1, 1).map(lambda degree: degree + 1e-17)
    corners = draw(st.lists(st.tuples(degrees, degrees), min_size=3, max_size=3, unique=True))
    (ax, ay), (bx, by), (cx, cy) = corners
    assume(abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) > 1e-3)
    return [*corners, corners[0]]


@given(ring=stars() | triangles(), data=st.data())
def test_points_a_rounding_error_from_an_edge_are_on_their_true_side(ring: Ring, data: st.DataObject) -> None:
    zones = Zones([zone("a", polygon(ring))])
    exact = [(Fraction(x), Fraction(y)) for x, y in ring]
    for _ in range(20):
        at, share = data.draw(st.integers(0, len(ring) - 2)), data.draw(st.floats(0, 1))
        (ax, ay), (bx, by) = ring[at : at + 2]
        x, y = ax + share * (bx - ax), ay + share * (by - ay)
        assert (zones.zone_at(x, y) == "a") == holds(exact, Fraction(x), Fraction(y))


@given(data=st.data())
def test_geos_says_the_same(data: st.DataObject) -> None:
    """Holes and several polygons too, at places where rounding decides."""
    ring = data.draw(stars())
    west, south = ring[0]
    yard, hole = square(west + 1, south, 0.01), square(west + 1.002, south + 0.003, 0.004)
    drawn = {
        "type": "MultiPolygon",
        "coordinates": [[ring], [yard, hole]],
    }
    ours, theirs = Zones([zone("a", drawn)]), shapely.geometry.shape(drawn)
    places = st.one_of(
        places_near(ring),
        places_near(yard),
        places_near(hole),
    )
    for place in data.draw(st.lists(places, min_size=1, max_size=20)):
        assert (ours.zone_at(*place) == "a") == theirs.intersects(shapely.Point(*place)), place


def test_many_zones_are_found_through_their_cells() -> None:
    """A thousand of all sizes: each point by the index, and by asking every zone."""
    chance = random.Random(7)
    many = [
        zone(
            f"z{number}",
            polygon(square(chance.uniform(120, 121), chance.uniform(30, 31), 10 ** chance.uniform(-4, -0.2))),
        )
        for number in range(1_000)
    ]
    zones = Zones(many)
    for _ in range(500):
        place = chance.uniform(119.9, 121.7), chance.uniform(29.9, 31.7)
        holding = sorted((each.area, each.id) for each in many if each.holds(*place))
        assert zones.zones_at(*place) == tuple(name for _, name in holding)
        assert zones.zone_at(*place) == (holding[0][1] if holding else "")


# --- the boundary, and which of several ----------------------------------------------------------


def test_a_zone_far_away_does_not_throw_all_others_into_one_cell() -> None:
    rooms = [
        zone(f"{x}-{y}", polygon(square(120 + x * 1e-4, 30 + y * 1e-4, 1e-4))) for x in range(30) for y in range(30)
    ]
    for other in (polygon(square(100, 20, 1e-4)), polygon(square(100, 20, 25))):
        zones = Zones([*rooms, zone("other", other)])
        leaves = zones.plan.cells.build.leaves
        assert max(len(leaves.zones(leaf)) for leaf in range(len(leaves.signature))) <= 9
        assert all(zones.zone_at(120 + (x + 0.5) * 1e-4, 30.00005) == f"{x}-0" for x in range(30))


@given(ring=stars())
def test_corners_are_inside(ring: Ring) -> None:
    zones = Zones([zone("a", polygon(ring))])
    assert {zones.zone_at(*corner) for corner in ring} == {"a"}


@pytest.mark.parametrize("place", [(120.002, 30.0), (120.0, 30.0015), (120.004, 30.003), (120.001, 30.0015)])
def test_edges_corners_and_the_rim_of_a_hole_are_inside(place: tuple[float, float]) -> None:
    assert Zones([zone("a", polygon(HALL, ROOM))]).zone_at(*place) == "a"


def test_a_hole_and_the_world_outside_are_not() -> None:
    zones = Zones([zone("a", polygon(HALL, ROOM))])
    assert zones.zone_at(120.0015, 30.0015) == ""
    assert zones.zone_at(120.0041, 30.0015) == ""
    assert Zones().zone_at(120.0, 30.0) == ""
    for nowhere in ((math.nan, 30.0), (math.inf, 30.0), (120.0, math.nan)):
        assert zones.zone_at(*nowhere) == ""


@given(order=st.permutations(["ring", "hall", "room"]))
def test_the_smallest_wins_in_any_order(order: list[str]) -> None:
    drawn = {"ring": square(119.99, 29.99, 0.03), "hall": HALL, "room": ROOM}
    zones = Zones([zone(name, polygon(drawn[name])) for name in order])
    assert zones.zone_at(120.0015, 30.0015) == "room"
    assert zones.zones_at(120.0015, 30.0015) == ("room", "hall", "ring")
    assert zones.zone_at(120.0035, 30.0015) == "hall"
    assert zones.zone_at(120.01, 30.01) == "ring"


@given(data=st.data())
def test_of_equal_areas_the_first_id_wins(data: st.DataObject) -> None:
    names = data.draw(st.permutations(["a", "b", "c"]))
    zones = Zones([zone(name, polygon(data.draw(rewritten(HALL)))) for name in names])
    assert zones.zones_at(120.0015, 30.0015) == ("a", "b", "c")


def test_a_multipolygon_is_one_zone() -> None:
    islands = {"type": "MultiPolygon", "coordinates": [[square(120, 30, 0.001)], [square(120.01, 30, 0.001)]]}
    zones = Zones([zone("islands", islands)])
    assert [zones.zone_at(x, 30.0005) for x in (120.0005, 120.005, 120.0105)] == ["islands", "", "islands"]
    assert (len(zones), zones.ids) == (1, frozenset({"islands"}))


# --- what is refused -----------------------------------------------------------------------------


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


BOW_TIE = [(0, 0), (3, 3), (3, 0), (0, 3), (1, 1), (0, 0)]


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (None, "shape: expected a GeoJSON object"),
        ({"type": "Point", "coordinates": [1, 2]}, "shape.type: expected Polygon or MultiPolygon, got 'Point'"),
        ({"type": "Polygon"}, "shape.coordinates: expected a list of rings"),
        ({"type": "Polygon", "coordinates": "120 30"}, "shape.coordinates: expected a list of rings"),
        ({"type": "MultiPolygon", "coordinates": [[HALL], 7]}, "polygon 1: expected a list of rings"),
        (polygon(HALL, 7), "ring 1: expected at least 4 positions"),
        (polygon(HALL[:3]), "ring 0: expected at least 4 positions"),
        (polygon(HALL[:-1]), "ring 0 is not closed: first position (120.0, 30.0), last (120.0, 30.003)"),
        (polygon([*HALL[:2], (math.nan, 30), *HALL[3:]]), "ring 0, position 2: not a number"),
        (polygon([*HALL[:2], (120, math.nan), *HALL[3:]]), "ring 0, position 2: not a number"),
        (polygon([*HALL[:2], (math.inf, 30), *HALL[3:]]), "ring 0, position 2: (1e+09, 30) is not on the globe"),
        (polygon([*HALL[:2], (10**400, 30), *HALL[3:]]), "ring 0, position 2: (1e+09, 30) is not on the globe"),
        (polygon([*HALL[:2], (30.003, 120.004), *HALL[3:]]), "position 2: (30.003, 120.004) is not on the globe"),
        (polygon([*HALL[:2], (True, 30), *HALL[3:]]), "ring 0, position 2: expected [longitude, latitude]"),
        (polygon([*HALL[:2], ("120", "30"), *HALL[3:]]), "ring 0, position 2: expected [longitude, latitude]"),
        (polygon([*HALL[:2], (120,), *HALL[3:]]), "ring 0, position 2: expected [longitude, latitude]"),
        (polygon(BOW_TIE), "edges cross at 1.5 1.5"),
        (polygon([(0, 0), (1, 1), (2, 2), (0, 0)]), "zone hall: "),
        (polygon([(0, 0)] * 5), "zone hall: "),
        (polygon(ROOM, HALL), "zone hall: "),
        (polygon(nested(5_000)), "zone hall: shape.coordinates: nested too deep"),
        (polygon([(0, 0)] * (POSITIONS_MAX + 1)), f"shape: more than {POSITIONS_MAX} positions"),
    ],
)
def test_a_shape_that_cannot_be_a_zone_is_named(geometry: Any, said: str) -> None:
    with pytest.raises(ZoneError) as refused:
        drawn_zone("hall", geometry)
    assert str(refused.value).startswith("zone hall: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=30,
)


@given(kind=st.sampled_from(["Polygon", "MultiPolygon", "", None, 7]), coordinates=junk)
def test_anything_at_all_is_a_zone_or_a_zone_error(kind: Any, coordinates: Any) -> None:
    try:
        found = drawn_zone("a", {"type": kind, "coordinates": coordinates})
    except ZoneError:
        return
    assert isinstance(found, Zone)
    assert found.area > 0


def test_two_zones_of_one_name_are_refused() -> None:
    with pytest.raises(ZoneError, match="zone a: given twice"):
        Zones([zone("a", polygon(HALL)), zone("a", polygon(ROOM))])
