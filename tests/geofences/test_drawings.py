"""Each verdict once, with the vertex that it names; nothing broken becomes a zone; work grows with the vertices."""

import math
import sys
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.drawings import Setting, check, read
from geofences.drawings_model import FILE_POSITIONS_MAX, OF_ONE_CODE_MAX, SEVERITIES, Drawing, Problems
from geofences.drawings_setting import Reference, fingerprint
from geofences.drawings_shape import shape_of
from geofences.validity import drawn_zone
from geofences.zones import POSITIONS_MAX, zone
from tests.geofences.drawn import SITE, SQUARE, codes, geojson, judged, polygon, square, told

NEAR = Setting(near=SITE)
A, B, C, D, _ = SQUARE
HOLE = square(120.482, 30.742, 0.004)

# What is drawn, and the problem's whole text.
ONE_MISTAKE: list[tuple[str, Any, str]] = [
    (
        "self_intersection",
        polygon([A, C, B, D, A]),
        "ring 0, position 0 (120.485, 30.745): the edge from position 0 meets the one from position 2 here",
    ),
    (
        "self_intersection",
        polygon([A, B, C, [120.5, 30.76], C, D, A]),
        "ring 0, position 2 (120.49, 30.75): the edge from position 2 is the one from position 3 too",
    ),
    (
        "self_intersection",
        {
            "type": "MultiPolygon",
            "coordinates": [[square(120.5, 30.7, 0.01)], [SQUARE, [HOLE[at] for at in (0, 2, 1, 3, 0)]]],
        },
        "polygon 1, ring 1, position 0 (120.484, 30.744): the edge from position 0 meets the one from position 2",
    ),
    ("unclosed", polygon([A, B, C, D]), "ring 0, position 3 (120.48, 30.75): the ring is not closed: it ends 1108.6 m"),
    ("duplicate_vertices", polygon([A, B, B, C, D, A]), "ring 0, position 2 (120.49, 30.74): stands twice"),
    ("not_a_number", polygon([A, [math.nan, 30.74], C, D, A]), "ring 0, position 1: (nan, 30.74): not finite"),
    ("not_a_number", polygon([A, B, [120.49, math.inf], D, A]), "ring 0, position 2: (120.49, inf): not finite"),
    ("not_a_number", polygon([A, B, C, [*D, -math.inf], A]), "ring 0, position 3: (120.48, 30.75, -inf): not finite"),
    (
        "not_a_number",
        polygon([A, B, ["120.49", 30.75], D, A]),
        "ring 0, position 2: ('120.49', 30.75): expected numbers",
    ),
    ("not_a_number", polygon([A, B, [120.49, True], D, A]), "ring 0, position 2: (120.49, True): expected numbers"),
    (
        "out_of_range",
        polygon([A, B, [120.49, 95.0], D, A]),
        "ring 0, position 2 (120.49, 95): latitudes are within ±90",
    ),
    (
        "out_of_range",
        polygon(square(179.995, 1.0, 0.01)),
        "ring 0, position 1 (180.005, 1): longitudes are within ±180",
    ),
    ("swapped", polygon([[y, x] for x, y in SQUARE]), "ring 0, position 0 (30.74, 120.48): latitude stands before"),
    (
        "antimeridian",
        polygon([[179.9, 1.0], [-179.9, 1.0], [-179.9, 1.1], [179.9, 1.1], [179.9, 1.0]]),
        "ring 0, position 0 (179.9, 1): the next edge is 359.8° long",
    ),
    (
        "pole",
        polygon([[0.0, 80.0], [120.0, 80.0], [-120.0, 80.0], [0.0, 80.0]]),
        "ring 0, position 1 (120, 80): the ring",
    ),
    ("touches_pole", polygon([[0.0, 89.0], [1.0, 89.0], [1.0, 90.0], [0.0, 89.0]]), "ring 0, position 2 (1, 90): at a"),
    (
        "sliver",
        polygon([A, B, [B[0], B[1] + 2e-6], [A[0], A[1] + 2e-6], A]),
        "ring 0, position 0 (120.48, 30.74): 0.22 m wide",
    ),
    ("zero_area", polygon([A, [120.485, 30.745], C, A]), "ring 0: all its positions stand on one line"),
    ("too_few", polygon([A, B, A]), "ring 0: has 3 positions, expected at least 4"),
    ("too_few", polygon([A, B, A, A]), "ring 0: has too few different positions"),
    (
        "hole_outside",
        polygon(SQUARE, square(120.485, 30.745, 0.01)),
        "ring 1, position 1 (120.495, 30.745): the hole leaves",
    ),
    (
        "holes_overlap",
        polygon(SQUARE, HOLE, square(120.484, 30.744, 0.004)),
        "ring 1: overlaps ring 2 at (120.485, 30.745)",
    ),
    (
        "polygons_overlap",
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [square(120.485, 30.745, 0.01)]]},
        "polygon 0, ring 0: overlaps polygon 1 at (120.4875, 30.7475)",
    ),
    (
        "invalid",
        polygon(SQUARE, [A, [120.485, 30.742], C, [120.485, 30.748], A]),
        "(120.49, 30.75): interior is disconnected",
    ),
    ("nesting", polygon(A, B), "ring 0, position 0: expected [longitude, latitude], got 120.48"),
    ("nesting", {"type": "MultiPolygon", "coordinates": [[SQUARE], 5]}, "polygon 1: expected a list of rings"),
    ("nesting", polygon(SQUARE, "no"), "ring 1: expected a list of positions, got 'no'"),
    ("empty", {"type": "Polygon", "coordinates": []}, "no coordinates"),
    ("empty", None, "has no geometry"),
    ("empty", {"type": "GeometryCollection", "geometries": []}, "a collection without geometries"),
    ("unsupported", {"type": "Circle", "coordinates": A}, "geometry 'Circle': expected one of Point"),
    ("size", {"type": "LineString", "coordinates": [A, B]}, "a line needs its width_m"),
    ("size", {"type": "Point", "coordinates": A}, "a point needs its radius_m"),
    ("altitude", polygon([[*position, 12.5] for position in SQUARE]), "altitudes are kept and not evaluated"),
]


@pytest.mark.parametrize(
    ("code", "geometry", "words"), ONE_MISTAKE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_mistake_is_named_with_its_vertex(code: str, geometry: Any, words: str) -> None:
    good, verdict = judged(polygon(square(120.5, 30.7, 0.01)), geometry)
    assert good.verdict == "ok" and good.zone is not None
    assert set(codes(verdict)) == {code}
    assert told(verdict).startswith(words)
    assert (verdict.index, verdict.name) == (1, "f1")
    expected = {"error": "refused", "warning": "warned", "note": "ok"}[SEVERITIES[code]]
    assert verdict.verdict == expected
    assert (verdict.zone is None) == (verdict.drawn is None) == (expected == "refused")


def test_every_code_has_a_test() -> None:
    elsewhere = {"not_a_feature", "crs", "too_many", "given_twice", "id_twice", "far", "datum", "crosses_antimeridian"}
    assert {code for code, _, _ in ONE_MISTAKE} == set(SEVERITIES) - elsewhere


def test_a_good_shape_is_handed_on_as_it_was_drawn() -> None:
    (verdict,) = judged(polygon(SQUARE[::-1], HOLE))
    assert verdict.verdict == "ok" and verdict.problems == ()
    assert verdict.zone == polygon(SQUARE[::-1], HOLE)
    assert judged(polygon([[*place, 9.0] for place in SQUARE]))[0].zone == polygon([[*place, 9.0] for place in SQUARE])


def test_many_mistakes_of_a_kind_are_counted() -> None:
    ring = [A, *[[math.nan, 30.0]] * 40, B, C, D, A]
    (verdict,) = judged(polygon(ring))
    assert codes(verdict) == ["not_a_number"] * (OF_ONE_CODE_MAX + 1)
    assert told(verdict).endswith("and 35 more like this")


def test_swapped_axes_that_are_on_the_globe_are_seen_beside_the_site() -> None:
    """Cerknica, 14.4° E 45.8° N: exchanged it lies in Somalia."""
    setting = Setting(near=(14.36, 45.75))
    (verdict,) = judged(polygon(square(45.74, 14.35, 0.01)), setting=setting)
    assert codes(verdict) == ["swapped"]
    assert "km with latitude and longitude exchanged" in told(verdict)
    assert judged(polygon(square(14.35, 45.74, 0.01)), setting=setting)[0].verdict == "ok"


def test_swapped_axes_are_seen_among_the_others() -> None:
    right = [polygon(square(14.3 + step / 100, 45.7, 0.005)) for step in range(4)]
    *others, odd = judged(*right, polygon(square(45.74, 14.35, 0.01)))
    assert [verdict.verdict for verdict in others] == ["ok"] * 4
    assert codes(odd) == ["swapped"]
    assert judged(*right, polygon(square(0.0, 0.0, 0.01)))[-1].verdict == "ok"  # far from others is no mistake


def test_what_lies_far_from_the_site_is_told() -> None:
    (verdict,) = judged(polygon(square(0.0, 0.0, 0.01)), setting=NEAR)
    assert codes(verdict) == ["far"] and verdict.verdict == "warned"
    assert "km away" in told(verdict)


def test_the_same_shape_and_the_same_id_given_twice() -> None:
    turned = [*SQUARE[2:], *SQUARE[1:3]][::-1]
    verdicts = judged(polygon(SQUARE), polygon(turned), polygon(SQUARE, HOLE), id="z")
    assert [codes(verdict) for verdict in verdicts] == [[], ["given_twice"], []]
    assert told(verdicts[1]) == "the same shape as feature 0"
    data = b'{"type":"FeatureCollection","features":[%s,%s]}' % tuple(
        b'{"type":"Feature","id":7,"geometry":{"type":"Point","coordinates":[%d,2]},"properties":{"radius_m":5}}' % x
        for x in (1, 2)
    )
    assert told(check(read(data), Setting())[1]) == "feature 0 has the id '7' too"


# --- a wrong datum -------------------------------------------------------------------------------

EAST, NORTH = 0.0044, -0.0023  # about what GCJ-02 does at Wuzhen: 421 m east, 255 m south
DATUMS = {
    "gcj02": lambda place: (place[0] - EAST, place[1] - NORTH),
    "other": lambda place: (place[0], place[1] + 0.01),
}


def shifted(ring: list[list[float]]) -> list[list[float]]:
    return [[x + EAST, y + NORTH] for x, y in ring]


def test_an_outline_in_another_datum_is_told_with_metres() -> None:
    setting = Setting(reference=Reference([[SQUARE]]), datums=DATUMS)
    right, wrong = judged(polygon(SQUARE), polygon(shifted(SQUARE)), setting=setting)
    assert right.verdict == "ok"
    assert codes(wrong) == ["datum"] and wrong.verdict == "warned"
    assert "m off the reference, and 0 m when it is read as gcj02" in told(wrong)


def test_a_building_in_another_datum_is_told_when_it_stands_outside() -> None:
    """Small beside the outline: only lying outside tells."""
    setting = Setting(reference=Reference([[SQUARE]]), datums=DATUMS)
    inside, outside = polygon(square(120.481, 30.741, 0.001)), polygon(shifted(square(120.4885, 30.741, 0.001)))
    verdicts = judged(inside, outside, setting=setting)
    assert [codes(verdict) for verdict in verdicts] == [[], ["datum"]]


# --- lines and points ----------------------------------------------------------------------------

LINE = {"type": "LineString", "coordinates": [A, B, C]}
POINT = {"type": "Point", "coordinates": A}


@pytest.mark.parametrize(
    ("geometry", "properties", "width_m", "radius_m"),
    [
        (LINE, {"width_m": 12}, 12, None),
        (LINE, {"width_m": " 12.5 "}, 12.5, None),
        (LINE, {"polylineDistance": 6}, 12, None),
        (POINT, {"radius_m": 30}, None, 30),
        (POINT, {"radius": 30, "subType": "Circle"}, None, 30),
    ],
)
def test_lines_and_points_come_with_their_size(geometry: Any, properties: Any, width_m: Any, radius_m: Any) -> None:
    (verdict,) = judged(geometry, **properties)
    assert (verdict.verdict, verdict.width_m, verdict.radius_m) == ("ok", width_m, radius_m)
    assert verdict.drawn == geometry
    assert drawn_zone("z", verdict.zone).holds(*A)


@pytest.mark.parametrize("size", ["wide", 0, -3, math.nan, 1e9, True, [5]])
def test_an_impossible_size_is_refused(size: Any) -> None:
    assert [codes(verdict) for verdict in judged(LINE, width_m=size)] == [["size"]]
    assert [codes(verdict) for verdict in judged(POINT, radius_m=size)] == [["size"]]


def test_a_size_may_be_given_beside_the_file_and_a_radius_alone_is_not_metres() -> None:
    line, point = judged(LINE, POINT, setting=Setting(width_m=8, radius_m=9), radius=5)
    assert (line.width_m, point.radius_m) == (8, 9)
    assert codes(judged(POINT, radius=5)[0]) == ["size"]


def test_several_points_and_lines_are_one_zone() -> None:
    points = {"type": "MultiPoint", "coordinates": [A, [A[0] + 1e-4, A[1]], C]}
    lines = {"type": "MultiLineString", "coordinates": [[A, C], [B, D]]}
    circles, cross = judged(points, lines, radius_m=50, width_m=10)
    assert drawn_zone("c", circles.zone).holds(*C)
    assert drawn_zone("x", cross.zone).holds(120.485, 30.745)


def test_a_line_across_the_antimeridian_goes_the_short_way() -> None:
    (verdict,) = judged({"type": "LineString", "coordinates": [[179.99, 1.0], [-179.99, 1.0]]}, width_m=100)
    assert codes(verdict) == ["crosses_antimeridian"]
    found = drawn_zone("z", verdict.zone)
    assert found.holds(179.999, 1.0) and found.holds(-179.999, 1.0) and not found.holds(0.0, 1.0)


def test_a_circle_round_a_pole_is_refused() -> None:
    assert "would reach a pole" in told(judged({"type": "Point", "coordinates": [0.0, 89.9999]}, radius_m=50)[0])


# --- the same zone however it is written ---------------------------------------------------------


@given(st.data())
def test_rotation_direction_and_duplicates_change_nothing(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, 3))
    times = data.draw(st.lists(st.integers(1, 3), min_size=4, max_size=4))
    corners = [*SQUARE[:-1][start:], *SQUARE[:-1][:start]]
    corners = corners[::-1] if data.draw(st.booleans()) else corners
    ring = [corner for corner, count in zip(corners, times, strict=True) for _ in range(count)]
    (verdict,) = judged(polygon([*ring, ring[0]], HOLE))
    assert set(codes(verdict)) <= {"duplicate_vertices"}
    found, plain = zone("z", verdict.zone), zone("z", polygon(SQUARE, HOLE))
    assert (found.area, found.box) == (plain.area, plain.box)
    drawings = [Drawing(0, "", "Polygon", rings) for rings in ([[*ring, ring[0]], HOLE], [SQUARE, HOLE])]
    one, two = (shape_of(drawing, Problems()) for drawing in drawings)
    assert one and two and fingerprint(one) == fingerprint(two)


NUMBERS = st.one_of(
    st.sampled_from([120.48, 120.485, 120.49, 30.74, 30.745, 30.75, 0.0, 179.99, -179.99, 90.0, -90.0]),
    st.floats(),
    st.integers(-400, 400),
)
ODD = st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=3))
POSITIONS = st.one_of(st.lists(NUMBERS, min_size=2, max_size=3), st.lists(ODD, max_size=4))
RINGS = st.lists(POSITIONS, max_size=7).flatmap(lambda ring: st.sampled_from([ring, [*ring, *ring[:1]]]))
KINDS = ("Polygon", "MultiPolygon", "LineString", "MultiLineString", "Point", "MultiPoint")


@given(
    kind=st.sampled_from(KINDS),
    coordinates=st.one_of(
        POSITIONS, RINGS, st.lists(RINGS, max_size=3), st.lists(st.lists(RINGS, max_size=2), max_size=2)
    ),
    repair=st.booleans(),
    size=st.sampled_from([None, 5.0, 300.0]),
)
def test_nothing_broken_becomes_a_zone(kind: str, coordinates: Any, repair: bool, size: float | None) -> None:
    """Whatever is not refused can be loaded, is valid to GEOS, and holds no number that is none."""
    setting = Setting(near=SITE, width_m=size, radius_m=size, reference=Reference([[SQUARE]]), datums=DATUMS)
    (verdict,) = check([Drawing(0, "odd", kind, coordinates)], setting, repair)
    if verdict.zone is None:
        assert any(problem.severity == "error" for problem in verdict.problems)
    else:
        assert drawn_zone("odd", verdict.zone).area > 0


# --- limits --------------------------------------------------------------------------------------


def star(corners: int) -> list[list[float]]:
    ring = []
    for corner in range(corners):
        turn, reach = 2 * math.pi * corner / corners, 0.01 + 0.002 * (corner % 2)
        ring.append([120.48 + reach * math.cos(turn), 30.74 + reach * math.sin(turn)])
    return [*ring, ring[0]]


def calls_of(work: Any) -> int:
    """How many Python functions and built-ins were called: a measure of work that knows no clock."""
    count = 0

    def tick(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_a_million_vertices_are_refused_with_bounded_work() -> None:
    drawing = Drawing(0, "huge", "Polygon", [star(1_000_000)])
    found: list[Any] = []
    assert calls_of(lambda: found.extend(check([drawing], Setting(), repair=True))) < 25 * POSITIONS_MAX
    assert codes(found[0]) == ["too_many"] and found[0].zone is None
    assert told(found[0]).startswith("more than 100,000 vertices")


def test_work_grows_with_the_vertices_and_not_faster() -> None:
    drawings = [Drawing(0, "", "Polygon", [star(corners)]) for corners in (5_000, 20_000)]
    small, large = (calls_of(partial(check, [drawing], Setting())) for drawing in drawings)
    assert large < 5 * small


def test_crossing_rings_are_explained_with_bounded_work() -> None:
    """Five thousand holes one on the other: GEOS alone would look at every pair of them, for a minute."""
    holes = [square(120.481 + step * 1e-7, 30.741, 0.004) for step in range(5_000)]
    found: list[Any] = []
    work = calls_of(lambda: found.extend(check([Drawing(0, "", "Polygon", [SQUARE, *holes])], Setting())))
    assert set(codes(found[0])) == {"holes_overlap"}
    assert work < 5_000_000


def test_a_file_of_more_than_a_million_vertices_names_the_features_that_are_too_many() -> None:
    part = Drawing(0, "", "Polygon", [star(90_000)])
    verdicts = check([part] * 12, Setting())
    over = [verdict.index for verdict in verdicts if "too_many" in codes(verdict)]
    assert len(over) == 12 - FILE_POSITIONS_MAX // 90_000


def features(count: int) -> Iterator[dict[str, Any]]:
    for index in range(count):
        yield polygon(square(120.48 + index * 1e-5, 30.74, 5e-6))


def test_ten_thousand_features_have_ten_thousand_verdicts() -> None:
    verdicts = check(read(geojson(*features(2_000))), NEAR)
    assert len(verdicts) == 2_000 and {verdict.verdict for verdict in verdicts} == {"ok"}
