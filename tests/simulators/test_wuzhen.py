"""The demo's place: what is drawn in simulators/scenarios/wuzhen holds together, what is built from it is current."""

import importlib.util
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import shapely
from shapely.geometry import Point, Polygon, shape

from geofences.grid import Cell, check_grid
from simulators import place
from simulators.device import METRES_PER_DEGREE
from simulators.place import Feature

FOLDER = place.SCENARIOS / "wuzhen"
FILES = sorted(path.stem for path in FOLDER.glob("*.geojson"))
DRAWN = [name for name in FILES if name not in ("outline", "tongxiang-gcj02")]
BYTES_MAX = 500_000
NEAR = shapely.box(120.475, 30.73, 120.502, 30.755)
SOURCE_INVALID = {"tongxiang-gcj02"}  # as it came: the ring touches itself; outline.geojson is mended


def shapes(name: str) -> dict[str, Any]:
    return {feature.properties["id"]: shape(feature.geometry) for feature in place.features("wuzhen", name)}


def named() -> list[Feature]:
    return [
        feature
        for name in DRAWN
        for feature in place.features("wuzhen", name)
        if "name_en" in feature.properties or "name_zh" in feature.properties
    ]


def test_the_files_are_small_and_lie_near_the_town() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= BYTES_MAX
    for name in DRAWN:
        for feature in place.features("wuzhen", name):
            assert NEAR.contains(shape(feature.geometry)), (name, feature.properties)


@pytest.mark.parametrize("name", [name for name in FILES if name not in SOURCE_INVALID])
def test_every_shape_is_valid_and_no_position_stands_twice(name: str) -> None:
    for feature in place.features("wuzhen", name):
        found = shape(feature.geometry)
        assert found.is_valid and not found.is_empty, (name, feature.properties, shapely.is_valid_reason(found))
        positions = list(shapely.get_coordinates(found).tolist())
        assert all(here != there for here, there in pairwise(positions)), (name, feature.properties)


def test_every_name_is_there_in_both_languages_and_once() -> None:
    assert all(feature.properties["name_zh"] and feature.properties["name_en"] for feature in named())
    drawn = [name for name in DRAWN if name not in ("grid", "grid-lines", "corridors")]
    for names in (drawn, ["grid"]):
        told = [feature.properties for name in names for feature in place.features("wuzhen", name)]
        for key in ("name_zh", "name_en", "id"):
            found = [properties[key] for properties in told if key in properties]
            assert len(found) == len(set(found)), key


def test_the_rings_nest_in_the_county() -> None:
    rings = [shape(ring.geometry) for ring in place.features("wuzhen", "rings")]
    assert [ring.properties["ring"] for ring in place.features("wuzhen", "rings")] == [1, 2, 3]
    assert all(ring.properties["rule_zh"] and ring.properties["rule_en"] for ring in place.features("wuzhen", "rings"))
    county = shapes("outline")["tongxiang"]
    for inner, outer in pairwise([*rings, county]):
        assert outer.contains_properly(inner)


def test_streets_lie_in_the_county_and_meet_only_where_they_share_a_position() -> None:
    county, streets = shapes("outline")["tongxiang"], shapes("streets")
    assert all(county.contains(street) for street in streets.values())
    for (one, line), (other, second) in combinations(streets.items(), 2):
        both = line.intersection(second)
        shared = set(line.coords) & set(second.coords)
        crossings = {tuple(position) for position in shapely.get_coordinates(both)}
        assert both.length == 0 and crossings <= shared, (one, other)


@pytest.mark.parametrize("wheels", [False, True])
def test_every_corner_can_be_reached(wheels: bool) -> None:
    town = place.streets("wuzhen")
    open_to = {end for edge in town.edges if edge.wheels or not wheels for end in edge.ends}
    start = min(open_to)
    assert all(town.way(start, node, wheels) for node in open_to)


def test_buildings_and_grounds_stand_free() -> None:
    built = {**shapes("buildings"), **{name: area for name, area in shapes("grounds").items() if "gate" not in name}}
    for (one, area), (other, second) in combinations(built.items(), 2):
        assert not area.intersects(second), (one, other)
    widths = {
        f.properties["id"]: f.properties.get("width_m", 0) / 2 / METRES_PER_DEGREE
        for f in place.features("wuzhen", "canals")
    }
    water = {name: found.buffer(widths[name]) for name, found in shapes("canals").items()}
    lanes = {
        feature.properties["id"]: shape(feature.geometry)
        for feature in place.features("wuzhen", "streets")
        if feature.properties["kind"] in ("lane", "road", "bridge")
    }
    for name, area in built.items():
        assert not [other for other, second in {**water, **lanes}.items() if area.intersects(second)], name


def test_each_building_has_floors_and_a_door_that_a_path_leads_to() -> None:
    paths = {line.coords[-1]: name for name, line in shapes("streets").items() if name.startswith("path-")}
    for house in place.features("wuzhen", "buildings"):
        area = shape(house.geometry)
        assert paths[tuple(house.properties["door"])] == f"path-{house.properties['id']}"
        assert area.contains(Point(house.properties["door"])) and area.convex_hull.equals(area)
        heights = [floor["altitude_m"] for floor in house.properties["floors"]]
        assert heights == sorted(set(heights)) and house.properties["floors"][0]["level"] == "1F"


def test_the_truck_corridor_follows_roads_past_its_checkpoints() -> None:
    (corridor,) = place.features("wuzhen", "corridors")
    line = shape(corridor.geometry)
    open_to_wheels = shapely.union_all(
        [shape(s.geometry) for s in place.features("wuzhen", "streets") if s.properties["kind"] in place.WHEELS]
    )
    assert open_to_wheels.covers(line)
    places = [tuple(point["place"]) for point in corridor.properties["checkpoints"]]
    assert places[0] == line.coords[0] and places[-1] == line.coords[-1] and set(places) <= set(line.coords)


# --- the grid ------------------------------------------------------------------------------------


def test_the_grid_is_a_tree_without_gaps_and_overlaps() -> None:
    cells, areas = place.features("wuzhen", "grid"), shapes("grid")
    parent = {cell.properties["id"]: cell.properties["parent"] for cell in cells}
    assert [sum(cell.properties["level"] == level for cell in cells) for level in (1, 2, 3)] == [1, 6, 27]
    assert areas["1"].hausdorff_distance(shapes("rings")["outer"]) <= 1e-6  # a tenth of a metre
    tree = [
        Cell(one.properties["id"], one.properties["level"], one.properties["parent"], shape(one.geometry))
        for one in cells
    ]
    assert check_grid(tree) == []
    assert {above for name, above in parent.items()} - {""} == {cell.id for cell in tree if cell.level < 3}


# --- what is built -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_outline_is_the_source_within_a_metre(build: ModuleType) -> None:
    """Each position, sent to GCJ-02, lies on the source's ring; and nothing of the county is missing."""
    (source,) = place.features("wuzhen", "tongxiang-gcj02")
    ring = shape(source.geometry).exterior
    sent = [build.prcoords.wgs_gcj((y, x)) for x, y in shapes("outline")["tongxiang"].exterior.coords]
    assert max(ring.distance(Point(found.lon, found.lat)) for found in sent) * METRES_PER_DEGREE < 1
    missing = Polygon(ring).buffer(0).symmetric_difference(Polygon([(found.lon, found.lat) for found in sent]))
    assert missing.area < 1e-4 * Polygon(ring).area


def test_what_is_built_is_current(build: ModuleType, tmp_path: Path) -> None:
    kept = {name: (FOLDER / f"{name}.geojson").read_text() for name in ("outline", "grid")}
    for name in (*kept, "rings", "grid-lines", "tongxiang-gcj02"):
        (tmp_path / f"{name}.geojson").write_text((FOLDER / f"{name}.geojson").read_text())
    build.HERE = tmp_path
    build.main()
    assert {name: (tmp_path / f"{name}.geojson").read_text() for name in kept} == kept
