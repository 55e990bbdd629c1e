"""Grids: outlines of any shape become trees without gaps and overlaps; what is wrong in one is named."""

import math
import random

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from geofences.grid import Cell, GridError, area_m2, build, check_grid

SITE = box(120.48, 30.74, 120.52, 30.76)
RING = Polygon(SITE.exterior.coords, [box(120.495, 30.745, 120.505, 30.755).exterior.coords])


def star(seed: int, corners: int) -> Polygon:
    chance = random.Random(seed)
    angles = sorted(chance.uniform(0, 2 * math.pi) for _ in range(corners))
    radii = [chance.uniform(0.004, 0.02) for _ in angles]
    made = Polygon([(120.5 + r * math.cos(a), 30.75 + r * math.sin(a)) for a, r in zip(angles, radii, strict=True)])
    return shapely.set_precision(made, 1e-7) if made.is_valid else Polygon()


def levels(cells: list[Cell]) -> list[int]:
    return [sum(cell.level == level for cell in cells) for level in range(1, 1 + max(cell.level for cell in cells))]


@pytest.mark.parametrize("outline", [SITE, RING, MultiPolygon([SITE, box(120.53, 30.74, 120.54, 30.76)])])
def test_parts_are_as_many_as_asked_for_and_nearly_equal(outline: Polygon) -> None:
    cells = build(outline, (6, 5), {})
    assert levels(cells) == [1, 6, 30]
    assert check_grid(cells) == []
    leaves = [area_m2(cell.area) for cell in cells if cell.level == 3]
    assert sum(leaves) == pytest.approx(area_m2(outline), rel=1e-6)
    assert max(leaves) < 1.02 * min(leaves)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 30), st.integers(2, 7), st.integers(1, 5))
def test_any_outline_is_cut_without_gap_and_overlap(seed: int, corners: int, second: int, third: int) -> None:
    outline = star(seed, corners)
    if not isinstance(outline, Polygon) or area_m2(outline) < 1_000_000:
        return
    cells = build(outline, (second, third), {})
    assert levels(cells) == [1, second, second * third]
    assert check_grid(cells) == []
    for level in (1, 2, 3):
        areas = [area_m2(cell.area) for cell in cells if cell.level == level]
        assert sum(areas) == pytest.approx(area_m2(outline), rel=1e-4)


def test_given_lines_cut_and_lines_that_do_not_cross_cut_nothing() -> None:
    street = LineString([(120.47, 30.75), (120.53, 30.75)])
    blind = LineString([(120.49, 30.741), (120.49, 30.745)])
    cells = build(SITE, (), {2: [street, blind]})
    assert levels(cells) == [1, 2]
    assert [cell.id for cell in cells] == ["1", "1-1", "1-2"]
    assert cells[1].area.centroid.y > cells[2].area.centroid.y  # from the north
    assert check_grid(cells) == []


def test_given_lines_of_a_level_and_made_ones_below() -> None:
    canal = LineString([(120.5, 30.73), (120.49, 30.77)])
    cells = build(SITE, (1, 4), {2: [canal]})
    assert levels(cells) == [1, 2, 8]
    assert check_grid(cells) == []


@pytest.mark.parametrize(
    ("outline", "parts", "text"),
    [
        (Polygon(), (2,), "no valid polygon"),
        (Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), (2,), "no valid polygon"),
        (box(-179, 0, 179, 1), (2,), "antimeridian"),
        (SITE, (), "levels"),
        (SITE, (2, 2, 2, 2, 2), "levels"),
        (SITE, (0,), "parts"),
        (SITE, (1_000, 1_000), "more than"),
    ],
)
def test_what_cannot_be_cut_is_refused(outline: Polygon, parts: tuple[int, ...], text: str) -> None:
    with pytest.raises(GridError, match=text):
        build(outline, parts, {})


def cells_of(*areas: Polygon) -> list[Cell]:
    return [Cell("1", 1, "", SITE), *(Cell(f"1-{number}", 2, "1", area) for number, area in enumerate(areas, 1))]


WEST, EAST = box(120.48, 30.74, 120.5, 30.76), box(120.5, 30.74, 120.52, 30.76)


def test_a_gap_an_overlap_and_a_stray_corner_are_named() -> None:
    assert check_grid(cells_of(WEST, EAST)) == []
    (gap,) = check_grid(cells_of(WEST, box(120.501, 30.74, 120.52, 30.76)))
    assert (gap.one, gap.other, gap.text) == ("1", "", "a gap between its cells")
    assert 120.5 < gap.longitude < 120.501 and gap.area_m2 == pytest.approx(212_000, rel=0.01)
    found = check_grid(cells_of(WEST, box(120.499, 30.74, 120.52, 30.76)))
    assert [(one.one, one.other, one.text) for one in found] == [("1-1", "1-2", "overlap")]
    (south_east, north_east, north_west, south_west), middle = list(EAST.exterior.coords)[:4], (120.5, 30.75)
    finer = Polygon([south_east, north_east, north_west, middle, south_west])
    (stray,) = check_grid(cells_of(WEST, finer))
    assert (stray.one, stray.other) == ("1-1", "1-2") and (stray.longitude, stray.latitude) == (120.5, 30.75)
    (beyond,) = check_grid(cells_of(WEST, box(120.5, 30.74, 120.53, 30.76)))
    assert (beyond.one, beyond.text) == ("1-2", "reaches beyond its parent")


def test_a_tree_that_is_none_is_refused() -> None:
    cells = cells_of(WEST, EAST)
    with pytest.raises(GridError, match="one id"):
        check_grid([*cells, cells[1]])
    with pytest.raises(GridError, match="no cell of level 1"):
        check_grid([*cells[:2], replace(cells[2], parent="9")])
