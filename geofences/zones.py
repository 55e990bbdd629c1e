"""Zones: named areas drawn as GeoJSON Polygon or MultiPolygon, and whether one holds a point. Pure.

Rules
- Coordinates are WGS-84 degrees, longitude first. A zone never crosses the antimeridian.
- A zone with NaN or infinite coordinates, an open ring or no area is refused: such a fence would look drawn and never
  fire. Crossing edges are refused where zones are drawn (geofences.validity), not where they are only obeyed.
- The boundary belongs to the zone: a point on an edge, on a corner or on the rim of a hole is inside.
- The answer does not depend on where a ring starts, which way round it runs, or on vertices that stand twice: sides are
  decided exactly, and areas are sums that do not depend on the order.

Areas are square degrees. They are compared only between zones that hold the same point, where a degree is the same.
An edge evaluates with this module alone: shapely and numpy would cost it 17 MB.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import fsum, isfinite
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

LONGITUDE_MAX = 180.0
LATITUDE_MAX = 90.0
RING_POSITIONS_MIN = 4
POSITIONS_MAX = 100_000  # of one zone
DEPTH_MAX = 4  # polygons, rings, positions, numbers
# Above this share of its two products the sign of their rounded difference is the true one (Shewchuk's ccwerrboundA).
SIDE_ERROR_MAX = 3.3306690738754716e-16
UNDERFLOW = 1e-300  # products this small have lost their digits


class Ring(NamedTuple):
    """Closed: the last position is the first again."""

    longitudes: "array[float]"
    latitudes: "array[float]"


Position: TypeAlias = tuple[float, float]  # longitude, latitude
Polygon: TypeAlias = tuple[Ring, ...]  # outer, then holes


class ZoneError(ValueError):
    """A shape that cannot be a zone; the text says which zone, where in it, and what is wrong."""


class Box(NamedTuple):
    west: float
    south: float
    east: float
    north: float

    def holds(self, longitude: float, latitude: float) -> bool:
        return self.west <= longitude <= self.east and self.south <= latitude <= self.north


class Zone(Struct, frozen=True):
    """`area` in square degrees."""

    id: str
    polygons: tuple[Polygon, ...]
    box: Box
    area: float

    def holds(self, longitude: float, latitude: float) -> bool:
        if not self.box.holds(longitude, latitude):
            return False
        return any(_polygon_holds(polygon, longitude, latitude) for polygon in self.polygons)


def zone(zone_id: str, geometry: Any) -> Zone:
    """The zone drawn by a GeoJSON geometry object; raises ZoneError."""
    try:
        polygons = tuple(_polygon(rings, where) for rings, where in _polygons(geometry))
        area = fsum(_area(polygon) for polygon in polygons)
        if not area > 0:
            raise ZoneError("has no area")
    except ZoneError as error:
        raise ZoneError(f"zone {zone_id}: {error}") from None
    return Zone(zone_id, polygons, _box_round(_box_of(polygon[0]) for polygon in polygons), area)


def _polygon_holds(polygon: Polygon, longitude: float, latitude: float) -> bool:
    """Inside or on the rim of the outer ring, and not inside a hole (its rim belongs to the polygon)."""
    outer, *holes = polygon
    if _place_in(outer, longitude, latitude) < 0:
        return False
    return all(_place_in(hole, longitude, latitude) <= 0 for hole in holes)


def _place_in(ring: Ring, x: float, y: float) -> int:
    """1 inside, 0 on the ring, -1 outside, exactly: by the edges that a ray to the east meets."""
    inside = -1
    ax, ay = ring.longitudes[-1], ring.latitudes[-1]
    for bx, by in zip(*ring, strict=True):
        above = ay > y
        if above != (by > y) and (x <= ax or x <= bx):  # the edge crosses the ray, or meets it in the point
            turn = side((ax, ay), (bx, by), (x, y))
            if turn == 0:
                return 0
            inside = -inside if (turn > 0) != above else inside
        elif (bx == x and by == y) or (ay == y == by and min(ax, bx) <= x <= max(ax, bx)):
            return 0
        ax, ay = bx, by
    return inside


def side(a: Position, b: Position, point: Position) -> float:
    """Above 0 when the point lies left of the line a → b, below 0 when right, 0 on it. Exact."""
    (ax, ay), (bx, by), (x, y) = a, b, point
    left, right = (ax - x) * (by - y), (ay - y) * (bx - x)
    if abs(left - right) > SIDE_ERROR_MAX * (abs(left) + abs(right)) + UNDERFLOW:
        return left - right
    east, north = Fraction(x), Fraction(y)
    exact = (Fraction(ax) - east) * (Fraction(by) - north) - (Fraction(ay) - north) * (Fraction(bx) - east)
    return (exact > 0) - (exact < 0)


def _area(polygon: Polygon) -> float:
    """The outer ring's less the holes'."""
    outer, *holes = map(_ring_area, polygon)
    return outer - fsum(holes)


def _ring_area(ring: Ring) -> float:
    """By the corner of the ring's box, so that small zones far from 0/0 keep their digits; `fsum` knows no order."""
    west, south, _, _ = _box_of(ring)
    xs = [x - west for x in ring.longitudes]
    ys = [y - south for y in ring.latitudes]
    corners = range(len(xs) - 1)
    return abs(fsum(term for at in corners for term in (xs[at] * ys[at + 1], -xs[at + 1] * ys[at]))) / 2


def _box_of(ring: Ring) -> Box:
    return Box(min(ring.longitudes), min(ring.latitudes), max(ring.longitudes), max(ring.latitudes))


def _box_round(boxes: Iterable[Box]) -> Box:
    """The box that holds them all; one that holds nothing when there are none."""
    all_boxes = tuple(boxes)
    if not all_boxes:
        return Box(1.0, 1.0, 0.0, 0.0)
    wests, souths, easts, norths = zip(*all_boxes, strict=True)
    return Box(min(wests), min(souths), max(easts), max(norths))


def _polygons(geometry: Any) -> list[tuple[Any, str]]:
    """(rings, where) of each polygon of the geometry."""
    if not isinstance(geometry, Mapping):
        raise ZoneError("shape: expected a GeoJSON object")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise ZoneError(f"shape.type: expected Polygon or MultiPolygon, got {kind!r}")
    if not _is_list(coordinates) or not coordinates:
        raise ZoneError("shape.coordinates: expected a list of rings")
    if _positions(coordinates) > POSITIONS_MAX:
        raise ZoneError(f"shape: more than {POSITIONS_MAX} positions")
    if kind == "Polygon":
        return [(coordinates, "")]
    return [(rings, f"polygon {index}: ") for index, rings in enumerate(coordinates)]


def _positions(coordinates: Any, depth: int = 0) -> int:
    """How many numbers' lists stand in the nesting; an upper bound for the positions."""
    if depth > DEPTH_MAX:
        raise ZoneError("shape.coordinates: nested too deep")
    if not _is_list(coordinates):
        return 0
    if not coordinates or not _is_list(coordinates[0]):
        return 1
    return sum(_positions(inner, depth + 1) for inner in coordinates)


def _polygon(rings: Any, where: str) -> Polygon:
    if not _is_list(rings) or not rings:
        raise ZoneError(f"{where}expected a list of rings")
    return tuple(_ring(ring, f"{where}ring {index}") for index, ring in enumerate(rings))


def _ring(ring: Any, where: str) -> Ring:
    if not _is_list(ring) or len(ring) < RING_POSITIONS_MIN:
        raise ZoneError(f"{where}: expected at least {RING_POSITIONS_MIN} positions")
    positions = [_position(position, f"{where}, position {index}") for index, position in enumerate(ring)]
    if positions[0] != positions[-1]:
        raise ZoneError(f"{where} is not closed: first position {positions[0]}, last {positions[-1]}")
    longitudes, latitudes = zip(*positions, strict=True)
    return Ring(array("d", longitudes), array("d", latitudes))


def _position(position: Any, where: str) -> tuple[float, float]:
    if not _is_list(position) or len(position) < 2 or not all(map(_is_number, position[:2])):
        raise ZoneError(f"{where}: expected [longitude, latitude]")
    longitude, latitude = position[:2]
    if abs(longitude) > LONGITUDE_MAX or abs(latitude) > LATITUDE_MAX:
        raise ZoneError(f"{where}: ({_shown(longitude)}, {_shown(latitude)}) is not on the globe")
    if not (isfinite(longitude) and isfinite(latitude)):
        raise ZoneError(f"{where}: not a number")
    return float(longitude), float(latitude)


def _shown(value: float) -> str:
    """Whole numbers of JSON may be longer than any float."""
    return f"{max(min(value, 1e9), -1e9):.9g}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
