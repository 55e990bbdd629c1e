"""Circles and corridors as polygons, areas in square metres, and the cut at the antimeridian: shapely in a local plane.

Rules
- What comes out is a list of polygons (rings of closed positions, outer first): two for a shape that lies across the
  antimeridian, since a zone never does.
- A circle has CIRCLE_SIDES corners and exactly the circle's area; its rim is within 0.1 % of the radius.
- A corridor has round ends and corners and is `width_m` wide within 0.1 %. It is put together from its single pieces:
  GEOS' buffer of a whole line leaves out bends of up to 1 % of the width.
- An edge of a drawing runs straight in degrees, not in metres: at 30° latitude the two are a metre apart in the middle
  of 10 km. So long edges are measured in short pieces.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil, cos, hypot, isfinite, pi, radians, remainder, sin, sqrt, tan
from typing import TypeAlias

import shapely
from shapely.geometry import LineString, Polygon, box
from shapely.geometry.base import BaseGeometry

from geofences.projection import EQUATOR_M, Plane, Position, ring_area_m2
from geofences.zones import LATITUDE_MAX

Rings: TypeAlias = Sequence[Sequence[Sequence[float]]]  # outer, then holes
CIRCLE_SIDES = 64
QUARTER_SIDES = 24  # of round ends and corners: the middle of a chord is within 0.06 % of the radius
BEND_SHARE_MAX = 2e-4  # how far a piece of an edge may run beside the edge, as a share of the width
PIECES_MAX = 20_000
RADIUS_M_MAX = WIDTH_M_MAX = 50_000.0
DEGREE_M_MIN = 110_574.0  # of latitude, at the equator
REACH_M_MAX = 250_000.0  # from the middle of the plane: there it stretches by 0.08 %


class BufferError(ValueError):
    """A circle or corridor that cannot be drawn; the text says why."""


def circle(centre: Position, radius_m: float) -> list[Rings]:
    """Raises BufferError."""
    _check("radius", radius_m, RADIUS_M_MAX)
    _check_poles([centre], radius_m)
    step = 2 * pi / CIRCLE_SIDES
    reach = radius_m * sqrt(step / sin(step))  # so that the polygon has the circle's area
    plane = Plane(*centre)
    ring = [plane.to_degrees(reach * cos(step * side), reach * sin(step * side)) for side in range(CIRCLE_SIDES)]
    return split(Polygon(ring))


def corridor(line: Sequence[Position], width_m: float) -> list[Rings]:
    """All within half of `width_m` of the line. Raises BufferError."""
    _check("width", width_m, WIDTH_M_MAX)
    _check_poles(line, width_m / 2)
    line = _unrolled(line)
    plane = _plane_of(line)
    corners = [plane.to_metres(*position) for position in _in_pieces(line, width_m)]
    if max(hypot(*corner) for corner in corners) > REACH_M_MAX:
        raise BufferError(f"the line reaches more than {2 * REACH_M_MAX / 1000:.0f} km: draw it in parts")
    pieces = [LineString(piece) for piece in pairwise(corners) if piece[0] != piece[1]] or [LineString(corners[:2])]
    shape = shapely.union_all(shapely.buffer(pieces, width_m / 2, quad_segs=QUARTER_SIDES))
    return [rings for part in _in_degrees(shape, plane) for rings in split(part)]


def area_m2(polygons: Iterable[Rings]) -> float:
    """Outer rings less holes, whichever way round they run; 0 for a ring that crosses itself evenly."""
    return sum(ring_area_m2(outer) - sum(map(ring_area_m2, holes)) for outer, *holes in polygons)


def joined(shapes: Iterable[Sequence[Rings]]) -> list[Rings]:
    """Shapes that may overlap as one."""
    whole = shapely.union_all([Polygon(outer, holes) for polygons in shapes for outer, *holes in polygons])
    return split(whole)


def split(shape: BaseGeometry) -> list[Rings]:
    """A polygon or multipolygon whose longitudes run on past ±180, cut there and brought back."""
    found: list[Rings] = []
    west, _, east, _ = shape.bounds
    for turn in range(round(west / 360), round(east / 360) + 1):
        strip = box(360 * turn - 180, -90, 360 * turn + 180, 90)
        inside = shape if strip.contains(shape) else shape.intersection(strip)
        polygons = [part for part in shapely.get_parts(inside) if isinstance(part, Polygon) and not part.is_empty]
        found += [[_turned(ring, -360 * turn) for ring in (part.exterior, *part.interiors)] for part in polygons]
    return found


def _turned(ring: BaseGeometry, by: int) -> list[Position]:
    """Brought back to the globe; what rounding left beyond its edge stands on it."""
    return [(min(max(x + by, -180.0), 180.0), y) for x, y, *_ in ring.coords]


def _check(what: str, metres: float, most: float) -> None:
    if not (isfinite(metres) and 0 < metres <= most):
        raise BufferError(f"{what}: expected more than 0 and at most {most:.0f} m, got {metres:g}")


def _check_poles(line: Sequence[Position], metres: float) -> None:
    if max(abs(latitude) for _, latitude in line) + metres / DEGREE_M_MIN >= LATITUDE_MAX:
        raise BufferError("it would reach a pole, which a zone cannot hold")


def _plane_of(line: Sequence[Position]) -> Plane:
    """Round the middle of its box."""
    longitudes, latitudes = [position[0] for position in line], [position[1] for position in line]
    return Plane((min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2)


def _unrolled(line: Sequence[Position]) -> list[Position]:
    """Without altitudes; each edge the short way round the globe."""
    found: list[Position] = [line[0][:2]]
    for longitude, latitude, *_ in line[1:]:
        before = found[-1][0]
        found.append((before + remainder(longitude - before, 360), latitude))
    return found


def _in_pieces(line: Sequence[Position], width_m: float) -> list[Position]:
    """The line with positions added on its long edges: a piece of length L runs beside it by up to L² tan φ / 8R."""
    found = [line[0]]
    for (west, south), (east, north) in pairwise(line):
        steepness = max(abs(tan(radians(south))), abs(tan(radians(north))), 1e-3)
        longest = sqrt(8 * EQUATOR_M * BEND_SHARE_MAX * width_m / steepness)
        length = radians(hypot((east - west) * cos(radians(south)), north - south)) * EQUATOR_M
        pieces = ceil(length / longest)
        if len(found) + pieces > PIECES_MAX:
            raise BufferError("the line is too long for its width: draw it in parts")
        found += [
            (west + (east - west) * piece / pieces, south + (north - south) * piece / pieces)
            for piece in range(1, pieces)
        ]
        found.append((east, north))
    return found


def _in_degrees(shape: BaseGeometry, plane: Plane) -> list[Polygon]:
    return [
        Polygon(
            *([plane.to_degrees(x, y) for x, y in part.exterior.coords],),
            [[plane.to_degrees(x, y) for x, y in hole.coords] for hole in part.interiors],
        )
        for part in shapely.get_parts(shape)
    ]
