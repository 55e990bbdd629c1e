"""Grids of responsibility: an outline cut into a tree of cells, so that every place has exactly one cell of each level.
Pure, on shapely.

Rules
- All cells are faces of one net of lines (the outline, lines that are given, lines that are made), snapped to STEP:
  neighbours share their positions, so there is neither a gap nor an overlap between them.
- A level is cut by the lines that are given for it (streets, canals), else each cell of the level above is halved by
  straight lines across its longer side until it has as many parts as asked for, of nearly equal area.
- An outline may have holes and several parts; one that crosses the antimeridian is refused.
- Ids count from the north west: "1", "1-1", "1-1-1".
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import cos, prod, radians
from typing import Any, TypeAlias

import shapely
from msgspec import Struct
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box, shape
from shapely.geometry.base import BaseGeometry

from geofences.projection import ring_area_m2

Area: TypeAlias = Polygon | MultiPolygon

LEVELS_MAX = 5
PARTS_MAX = 1_000
CELLS_MAX = 20_000
STEP = 1e-7  # degrees: a centimetre
BEYOND = 3 * STEP
HALVINGS = 30
FAULT_M2_MIN = 0.1  # below it is how numbers are rounded


class GridError(ValueError):
    """An outline or a grid that cannot be; the text says why."""


class Cell(Struct, frozen=True):
    """`parent`: its id, "" for the one of level 1."""

    id: str
    level: int
    parent: str
    area: Area


def cell_of(cell: str, level: int, parent: str, geometry: Mapping[str, Any]) -> Cell:
    """Drawn by a GeoJSON Polygon or MultiPolygon that is right."""
    return Cell(cell, level, parent, shape(geometry))


class Fault(Struct, frozen=True):
    """What is wrong between two cells, or of one alone (`other` is "" then), where, and how large it is."""

    one: str
    other: str
    text: str
    longitude: float
    latitude: float
    area_m2: float = 0.0

    def __str__(self) -> str:
        cells = " and ".join(filter(None, (self.one, self.other)))
        size = f", {self.area_m2:.1f} m²" if self.area_m2 else ""
        return f"{cells}: {self.text} at {self.longitude:.6f}, {self.latitude:.6f}{size}"


def build(outline: BaseGeometry, parts: Sequence[int], cuts: Mapping[int, Sequence[LineString]]) -> list[Cell]:
    """The cells, parents before their children. `parts`: into how many a cell of level 1, 2, … is cut; `cuts`: level of
    the cells to be made -> the lines that make them. Raises GridError."""
    levels = max([len(parts) + 1, *cuts])
    _check(outline, levels, parts, cuts)
    lines: list[BaseGeometry] = [outline.boundary]
    regions: list[list[BaseGeometry]] = [[outline]]
    for level in range(2, levels + 1):
        if given := cuts.get(level):
            lines += given
            regions.append(_faces(lines, outline))
        else:
            halved = [_parted(region, parts[level - 2]) for region in regions[-1]]
            regions.append([part for found, _ in halved for part in found])
            lines += [line for _, made in halved for line in made]
        if len(regions[-1]) > CELLS_MAX:
            raise GridError(f"level {level} has more than {CELLS_MAX:,} cells")
    return _cells(regions, _faces(lines, outline))


def _check(outline: BaseGeometry, levels: int, parts: Sequence[int], cuts: Mapping[int, Sequence[LineString]]) -> None:
    if not isinstance(outline, Area) or outline.is_empty or not outline.is_valid:
        raise GridError("the outline is no valid polygon")
    west, south, east, north = outline.bounds
    if east - west > 180 or max(abs(south), abs(north)) > 89:
        raise GridError("the outline crosses the antimeridian, or lies at a pole")
    if not 2 <= levels <= LEVELS_MAX:
        raise GridError(f"{levels} levels; a grid has 2 to {LEVELS_MAX}")
    if prod(parts) > CELLS_MAX:
        raise GridError(f"more than {CELLS_MAX:,} cells")
    for level in range(2, levels + 1):
        if level not in cuts and (level > len(parts) + 1 or not 1 <= parts[level - 2] <= PARTS_MAX):
            raise GridError(f"level {level}: lines, or a number of parts from 1 to {PARTS_MAX:,}")


def _faces(lines: Iterable[BaseGeometry], outline: BaseGeometry) -> list[BaseGeometry]:
    """What the lines enclose inside the outline; lines that lead on beyond a crossing enclose nothing there."""
    net = shapely.union_all(list(lines), grid_size=STEP)
    faces = shapely.get_parts(shapely.polygonize([net]))
    return [face for face in faces if outline.contains(face.representative_point())]


def _parted(region: BaseGeometry, count: int) -> tuple[list[BaseGeometry], list[BaseGeometry]]:
    """(parts of nearly equal area, the lines between them)."""
    if count == 1:
        return [region], []
    one, other, line = _halved(region, (count // 2) / count)
    first, lines = _parted(one, count // 2)
    second, more = _parted(other, count - count // 2)
    return [*first, *second], [line, *lines, *more]


def _halved(region: BaseGeometry, share: float) -> tuple[BaseGeometry, BaseGeometry, BaseGeometry]:
    """The part with `share` of the area, the rest, and the line between: across the longer side of its box."""
    west, south, east, north = region.bounds
    upright = (east - west) * cos(radians((south + north) / 2)) >= north - south
    low, high = (west, east) if upright else (south, north)

    def side(at: float) -> BaseGeometry:
        before = box(west - 1, south - 1, at, north + 1) if upright else box(west - 1, south - 1, east + 1, at)
        return shapely.intersection(region, before, grid_size=STEP)

    wanted = region.area * share
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if side(middle).area < wanted else (low, middle)
    ends = [(low, south - 1), (low, north + 1)] if upright else [(west - 1, low), (east + 1, low)]
    one = side(low)
    pieces = shapely.get_parts(region.intersection(LineString(ends)))
    line = shapely.union_all([_longer(piece) for piece in pieces if isinstance(piece, LineString)])
    return one, shapely.difference(region, one, grid_size=STEP), line


def _longer(line: LineString) -> LineString:
    """Beyond both ends by so much that it surely crosses what it was cut at, once both are snapped."""
    (x1, y1), *_, (x2, y2) = line.coords
    east, north = (BEYOND * ((b > a) - (b < a)) for a, b in ((x1, x2), (y1, y2)))
    return LineString([(x1 - east, y1 - north), (x2 + east, y2 + north)])


def _cells(regions: Sequence[Sequence[BaseGeometry]], faces: Sequence[BaseGeometry]) -> list[Cell]:
    """Every face goes to the region of each level that it lies in; a cell is what went to its region."""
    chains: dict[tuple[int, ...], list[BaseGeometry]] = {}
    trees = [shapely.STRtree(list(level)) for level in regions]
    for face in faces:
        place = face.representative_point()
        chain = tuple(int(tree.nearest(place)) for tree in trees)
        chains.setdefault(chain, []).append(face)
    cells: list[Cell] = []
    _name(cells, "1", "", chains, 1)
    return cells


def _name(
    cells: list[Cell], own: str, parent: str, chains: dict[tuple[int, ...], list[BaseGeometry]], level: int
) -> None:
    """This cell and all below it."""
    area = shapely.coverage_union_all([face for found in chains.values() for face in found])
    cells.append(Cell(own, level, parent, area))
    if level == len(next(iter(chains))):
        return
    below: dict[int, dict[tuple[int, ...], list[BaseGeometry]]] = {}
    for chain, found in chains.items():
        below.setdefault(chain[level], {})[chain] = found
    ordered = sorted(below.values(), key=lambda held: _north_west([face for found in held.values() for face in found]))
    for number, held in enumerate(ordered, 1):
        _name(cells, f"{own}-{number}", own, held, level + 1)


def _north_west(faces: Sequence[BaseGeometry]) -> tuple[float, float]:
    middle = shapely.union_all(list(faces)).centroid
    return -middle.y, middle.x


# --- checking ------------------------------------------------------------------------------------


def check_grid(cells: Sequence[Cell]) -> list[Fault]:
    """Gaps and overlaps between the children of one parent, and borders whose positions only one side has. Raises
    GridError for a tree that is none."""
    by_id = {cell.id: cell for cell in cells}
    if len(by_id) < len(cells):
        raise GridError("two cells have one id")
    children: dict[str, list[Cell]] = {}
    for cell in cells:
        above = by_id.get(cell.parent)
        if cell.parent and (above is None or above.level != cell.level - 1):
            raise GridError(f"{cell.id}: its parent {cell.parent!r} is no cell of level {cell.level - 1}")
        if above is not None:
            children.setdefault(above.id, []).append(cell)
    return [fault for parent, below in children.items() for fault in _faults(by_id[parent], below)]


def _faults(parent: Cell, children: Sequence[Cell]) -> list[Fault]:
    together = shapely.union_all([child.area for child in children])
    found = [_fault(parent.id, "", "a gap between its cells", parent.area.difference(together))]
    for child in children:
        found.append(_fault(child.id, parent.id, "reaches beyond its parent", child.area.difference(parent.area)))
    for one, other in combinations(children, 2):
        if one.area.intersects(other.area):
            overlap = _fault(one.id, other.id, "overlap", one.area.intersection(other.area))
            found.append(overlap or _stray(one, other))
    return [fault for fault in found if fault is not None]


def _fault(one: str, other: str, text: str, where: BaseGeometry) -> Fault | None:
    size = area_m2(where)
    if size < FAULT_M2_MIN:
        return None
    largest = max(shapely.get_parts(where), key=shapely.area)
    place = largest.representative_point()
    return Fault(one, other, text, place.x, place.y, size)


def _stray(one: Cell, other: Cell) -> Fault | None:
    """A corner of one side in the middle of the other's border: the two would be moved apart by the next rounding."""
    mine, theirs = _corners(one.area), _corners(other.area)
    for corner in mine ^ theirs:
        point = Point(corner)
        if one.area.boundary.distance(point) <= STEP / 10 and other.area.boundary.distance(point) <= STEP / 10:
            return Fault(one.id, other.id, "only one of the two has this position on their border", *corner)
    return None


def _corners(area: BaseGeometry) -> set[tuple[float, float]]:
    return {(x, y) for x, y in shapely.get_coordinates(area)}


def area_m2(area: BaseGeometry) -> float:
    polygons = [part for part in shapely.get_parts(area) if isinstance(part, Polygon) and not part.is_empty]
    return sum(
        ring_area_m2(list(part.exterior.coords)) - sum(ring_area_m2(list(hole.coords)) for hole in part.interiors)
        for part in polygons
    )
