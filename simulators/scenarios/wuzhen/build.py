"""What is made here, not drawn: outline.geojson and grid.geojson. Run it after changing what they are made of:

    python simulators/scenarios/wuzhen/build.py          (needs shapely and prcoords)

outline.geojson  tongxiang-gcj02.geojson in WGS-84, without positions that stand twice or in the middle of a straight
                 line, and without the three slivers that the ring cuts off where it crosses itself
grid.geojson     the outer ring cut by grid-lines.geojson: one cell of level 1, its parts of level 2, theirs of level 3.
                 All cells are faces of one net of lines, so that neighbours share their positions: no gap, no overlap
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import prcoords
import shapely
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, shape

HERE = Path(__file__).parent
PLACES = 6  # decimals of a degree: a tenth of a metre
STEP = 10.0**-PLACES
LEVELS = 3
ROW = 6  # positions a line

Feature = tuple[dict[str, Any], Any]  # properties, shape


def outline() -> list[Feature]:
    given = features("tongxiang-gcj02")
    whole = shapely.make_valid(given[0][1], method="structure", keep_collapsed=False)
    county = shapely.simplify(max(shapely.get_parts(whole), key=shapely.area), 0)
    ring = [to_wgs84(*position) for position in county.exterior.coords]
    names = {"id": "tongxiang", "name_zh": "桐乡市", "name_en": "Tongxiang", "purpose": "region"}
    return [(names, shapely.set_precision(Polygon(ring), STEP))]


def to_wgs84(longitude: float, latitude: float) -> tuple[float, float]:
    found = prcoords.gcj_wgs_bored((latitude, longitude))
    return found.lon, found.lat


def grid() -> list[Feature]:
    """Parents before their children, in the order of the names' ids."""
    outer = next(found for names, found in features("rings") if names["id"] == "outer")
    given = features("grid-lines")
    lines = [(properties["level"], found) for properties, found in given if isinstance(found, LineString)]
    names = [(properties, found) for properties, found in given if isinstance(found, Point)]
    faces = _faces([outer.boundary, *(line for _, line in lines)])
    regions = _faces([outer.boundary, *(line for level, line in lines if level == 2)])
    cells = []
    for properties, point in names:
        level = properties["id"].count("-") + 1
        within = {1: [outer], 2: regions, 3: faces}[level]
        area = next(region for region in within if region.contains(point))
        mine = [face for face in faces if area.contains(face.representative_point())]
        parent = properties["id"].rpartition("-")[0]
        kept = {**properties, "purpose": "grid", "level": level, "parent": parent}
        cells.append((kept, shapely.union_all(mine)))
    leaves = [area for kept, area in cells if kept["level"] == LEVELS]
    if len(leaves) != len(faces):
        raise SystemExit(f"{len(faces)} cells are cut, {len(leaves)} have a name")
    return cells


def _faces(lines: Sequence[Any]) -> list[Polygon]:
    """What the lines enclose; lines that lead on beyond a crossing enclose nothing there."""
    net = shapely.set_precision(shapely.union_all(lines), STEP)
    return list(shapely.get_parts(shapely.polygonize([net])))


def features(name: str) -> list[Feature]:
    read = json.loads((HERE / f"{name}.geojson").read_text())
    return [(feature["properties"], shape(feature["geometry"])) for feature in read["features"]]


def write(name: str, note: str, found: Iterable[Feature]) -> None:
    texts = [
        f'{{"type": "Feature", "properties": {json.dumps(properties, ensure_ascii=False)},\n'
        f' "geometry": {{"type": "{area.geom_type}", "coordinates": [\n{_rings(area)}\n ]}}}}'
        for properties, area in found
    ]
    head = f'{{"type": "FeatureCollection", "note": {json.dumps(note)}, "features": [\n'
    (HERE / f"{name}.geojson").write_text(head + ",\n".join(texts) + "\n]}\n")


def _rings(area: Polygon | MultiPolygon) -> str:
    if not isinstance(area, Polygon) or area.interiors:
        raise SystemExit(f"expected one polygon without holes, not {area.geom_type}")
    return f"  [{_positions(area.exterior.coords)}]"


def _positions(ring: Sequence[Sequence[float]]) -> str:
    texts = [f"[{x:.{PLACES}f}, {y:.{PLACES}f}]" for x, y in ring]
    return ",\n   ".join(", ".join(texts[at : at + ROW]) for at in range(0, len(texts), ROW))


def main() -> None:
    write("outline", "Made by build.py from tongxiang-gcj02.geojson. WGS-84.", outline())
    write("grid", "Made by build.py from rings.geojson and grid-lines.geojson. WGS-84.", grid())


if __name__ == "__main__":
    main()
