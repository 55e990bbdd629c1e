"""Mend a drawing, and tell all that was done to it: counts, areas before and after, a picture of the difference.

Only for who asks for it. Steps, each told when it did something
- positions that are no numbers are left out; exchanged axes are put right; positions that stand twice are left out
- rings are closed, and left out when fewer than three corners remain; rings across the antimeridian are cut there
- edges that cross are mended by GEOS (`make_valid`, by structure): what an outer ring goes round is inside, what holes
  go round is outside, polygons that overlap become one, parts without area are left out
Not mended: places that are not on the globe, rings round a pole, wrong nesting, lines without width.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import remainder
from typing import Any, TypeAlias

import shapely
from msgspec import Struct
from msgspec.structs import replace
from shapely.geometry import MultiLineString, Polygon, mapping
from shapely.geometry.base import BaseGeometry

from geofences.buffers import area_m2, split
from geofences.drawings_model import Drawing
from geofences.drawings_shape import Numbers, Shape, positions_in, runs_round_a_pole, same_place
from geofences.drawings_topology import FLAT_M, mean_width_m
from geofences.projection import distance
from geofences.zones import LATITUDE_MAX, LONGITUDE_MAX, RING_POSITIONS_MIN

Ring: TypeAlias = list[Numbers]
Polygons: TypeAlias = list[list[Ring]]


class Repair(Struct, frozen=True, kw_only=True):
    """`picture`: a GeoJSON FeatureCollection with the parts "before" (lines), "after", "added" and "removed" (areas).

    `area_m2_before` is what the outer rings go round, by turns inside and outside where they cross, less the holes;
    None where that is not on the globe, or the drawing is no area.
    """

    done: tuple[str, ...]
    vertices_added: int
    vertices_removed: int
    vertices_moved: int
    moved_m_max: float
    area_m2_before: float | None
    area_m2_after: float | None
    picture: dict[str, Any]


def repaired(drawing: Drawing, shape: Shape, swapped: bool) -> tuple[Drawing, Repair]:
    """The drawing mended, to be checked again. `shape` is what could be read of it."""
    done: list[str] = []
    if left_out := positions_in(drawing.coordinates) - len(shape.positions):
        done.append(f"{left_out} positions that are no numbers left out")
    given: Polygons = [[list(chain.positions) for chain in rings] for rings in shape.polygons]
    straight = given
    moved: list[float] = []
    if swapped:
        done.append("latitude and longitude exchanged")
        straight = [[[(y, x, *z) for x, y, *z in ring] for ring in rings] for rings in given]
        moved = [distance(position, (position[1], position[0])) for position in shape.positions]
    mended = [[_once(ring) for ring in rings] for rings in straight]
    if twice := sum(map(len, _rings(straight))) - sum(map(len, _rings(mended))):
        done.append(f"{twice} positions that stand twice left out")
    if shape.kind == "area":
        mended = _mended_area(mended, done)
    before, after = _corners(straight, shape), _corners(mended, shape)
    old, new = _area_of(given) if shape.kind == "area" else None, _area_of(mended) if shape.kind == "area" else None
    return _drawing(drawing, shape, mended), Repair(
        done=tuple(done),
        vertices_added=sum((after - before).values()),
        vertices_removed=sum((before - after).values()) + left_out,
        vertices_moved=len(moved),
        moved_m_max=max(moved, default=0.0),
        area_m2_before=None if old is None else _size(old),
        area_m2_after=None if new is None else _size(new),
        picture=_picture(given, old, new),
    )


def _mended_area(polygons: Polygons, done: list[str]) -> Polygons:
    closed = [[_closed(ring) for ring in rings] for rings in polygons]
    if open_rings := sum(a != b for a, b in zip(_rings(polygons), _rings(closed), strict=True)):
        done.append(f"{open_rings} rings closed")
    full = [[ring for ring in rings if len(ring) >= RING_POSITIONS_MIN] for rings in closed if rings]
    full = [rings for rings, had in zip(full, closed, strict=True) if rings and len(had[0]) >= RING_POSITIONS_MIN]
    if few := sum(map(len, closed)) - sum(map(len, full)):
        done.append(f"{few} rings with fewer than three corners left out")
    if not _on_globe(full) or any(map(runs_round_a_pole, _rings(full))):
        return full
    unrolled = [_unrolled(rings) for rings in full]
    across = any(abs(x) > LONGITUDE_MAX for ring in _rings(unrolled) for x, *_ in ring)
    whole = shapely.multipolygons([Polygon(outer, holes) for outer, *holes in unrolled])
    if whole.is_valid and not across:
        return full
    if not whole.is_valid:
        done.append("rings that crossed, overlapped or left their polygon put right")
        whole = shapely.make_valid(whole, method="structure", keep_collapsed=False)
    if across:
        done.append("cut at the antimeridian")
    parts = [[[tuple(position) for position in ring] for ring in rings] for rings in split(whole)]
    return [rings for rings in parts if mean_width_m(rings[0]) >= FLAT_M]


def _unrolled(rings: Sequence[Ring]) -> list[Ring]:
    """Each edge the short way round, holes beside their outer ring; longitudes may run on past ±180."""
    found: list[Ring] = []
    for ring in rings:
        first = ring[0][0]
        if found:
            first = found[0][0][0] + remainder(first - found[0][0][0], 360)
        longitudes = [first]
        for longitude, *_ in ring[1:]:
            longitudes.append(longitudes[-1] + remainder(longitude - longitudes[-1], 360))
        found.append([(x, *rest) for x, (_, *rest) in zip(longitudes, ring, strict=True)])
    return found


def _once(ring: Ring) -> Ring:
    return [position for at, position in enumerate(ring) if at == 0 or not same_place(position, ring[at - 1])]


def _closed(ring: Ring) -> Ring:
    return ring if not ring or same_place(ring[0], ring[-1]) else [*ring, ring[0]]


def _rings(polygons: Iterable[Sequence[Ring]]) -> list[Ring]:
    return [ring for rings in polygons for ring in rings]


def _on_globe(polygons: Polygons) -> bool:
    return all(abs(y) <= LATITUDE_MAX and abs(x) <= 2 * LONGITUDE_MAX for ring in _rings(polygons) for x, y, *_ in ring)


def _corners(polygons: Polygons, shape: Shape) -> Counter[tuple[float, float]]:
    """How often each place is a vertex; the last of a closed ring is its first."""
    closed = shape.kind == "area"
    rings = (ring[:-1] if closed and ring and same_place(ring[0], ring[-1]) else ring for ring in _rings(polygons))
    return Counter((x, y) for ring in rings for x, y, *_ in ring)


def _area_of(polygons: Polygons) -> BaseGeometry | None:
    """What the outer rings go round less the holes; None when that is not on the globe."""
    if not _on_globe(polygons):
        return None
    full = [[ring for ring in map(_closed, rings) if len(ring) >= RING_POSITIONS_MIN] for rings in polygons]
    whole = shapely.union_all([_inside(rings[0]) for rings in full if rings])
    return whole.difference(shapely.union_all([_inside(hole) for _, *holes in full if _ for hole in holes]))


def _inside(ring: Ring) -> BaseGeometry:
    parts = shapely.get_parts(shapely.make_valid(Polygon([position[:2] for position in ring])))
    return shapely.union_all([part for part in parts if isinstance(part, Polygon)])


def _size(shape: BaseGeometry) -> float:
    return area_m2([[list(ring.coords) for ring in (part.exterior, *part.interiors)] for part in _polygons(shape)])


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(shape) if isinstance(part, Polygon)]


def _picture(given: Polygons, old: BaseGeometry | None, new: BaseGeometry | None) -> dict[str, Any]:
    lines = MultiLineString([[position[:2] for position in ring] for ring in _rings(given) if len(ring) > 1])
    parts: dict[str, BaseGeometry] = {"before": lines}
    if new is not None:
        parts["after"] = new
    if old is not None and new is not None:
        parts |= {"added": new.difference(old), "removed": old.difference(new)}
    features = [
        {"type": "Feature", "properties": {"part": name}, "geometry": mapping(shape)} for name, shape in parts.items()
    ]
    return {"type": "FeatureCollection", "features": features}


def _drawing(drawing: Drawing, shape: Shape, mended: Polygons) -> Drawing:
    if shape.kind == "area":
        kind = "Polygon" if len(mended) == 1 else "MultiPolygon"
        return replace(drawing, kind=kind, coordinates=mended[0] if len(mended) == 1 else mended)
    chains = _rings(mended)
    coordinates: Any = chains if drawing.kind == "MultiLineString" else chains[0]
    return replace(drawing, coordinates=coordinates[:1][0] if drawing.kind == "Point" and chains[0] else coordinates)
