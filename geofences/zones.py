"""Zones: named areas drawn as GeoJSON Polygon or MultiPolygon, and the one that holds a point. Pure.

Rules
- Coordinates are WGS-84 degrees, longitude first. A zone never crosses the antimeridian.
- A zone with NaN or infinite coordinates, an open ring, crossing edges or no area is refused: such a fence would look
  drawn and never fire.
- The boundary belongs to the zone: a point on an edge, on a corner or on the rim of a hole is inside.
- Of several zones that hold a point the one with the smallest area wins (a room before its building before its ring);
  of equal areas the one whose id sorts first.
- The answer does not depend on where a ring starts, which way round it runs, or on vertices that stand twice: every
  shape is brought into normal form first, and GEOS decides sides with exact arithmetic.

Areas are square degrees. They are compared only between zones that hold the same point, where a degree is the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

import shapely
from msgspec import Struct
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon

LONGITUDE_MAX = 180.0
LATITUDE_MAX = 90.0
RING_POSITIONS_MIN = 4
POSITIONS_MAX = 100_000  # of one zone

Shape: TypeAlias = Polygon | MultiPolygon


class ZoneError(ValueError):
    """A shape that cannot be a zone; the text says which zone, where in it, and what is wrong."""


class Zone(Struct, frozen=True):
    """`area` in square degrees of the normal form."""

    id: str
    shape: Shape
    area: float


class Zones:
    """A fixed set of zones, searchable by point."""

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        """Raises ZoneError when two zones have the same id."""
        self._zones = tuple(sorted(zones, key=lambda zone: (zone.area, zone.id)))
        ids = [zone.id for zone in self._zones]
        if twice := sorted({zone_id for zone_id in ids if ids.count(zone_id) > 1}):
            raise ZoneError(f"zone {twice[0]}: given twice")
        shapes = [zone.shape for zone in self._zones]
        if shapes:
            shapely.prepare(shapes)
        self._tree = shapely.STRtree(shapes)

    def __len__(self) -> int:
        return len(self._zones)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(zone.id for zone in self._zones)

    def zone_at(self, longitude: float, latitude: float) -> str:
        """The id of the smallest zone that holds the point, "" when none does."""
        found = self._tree.query(shapely.Point(longitude, latitude), predicate="intersects")
        return self._zones[min(found)].id if len(found) else ""

    def zones_at(self, longitude: float, latitude: float) -> tuple[str, ...]:
        """The ids of all zones that hold the point, smallest first."""
        found = self._tree.query(shapely.Point(longitude, latitude), predicate="intersects")
        return tuple(self._zones[index].id for index in sorted(found))


def zone(zone_id: str, geometry: Any) -> Zone:
    """The zone drawn by a GeoJSON geometry object; raises ZoneError."""
    try:
        polygons = [_polygon(rings, where) for rings, where in _polygons(geometry)]
        shape = polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
        return _checked(zone_id, shape)
    except ZoneError as error:
        raise ZoneError(f"zone {zone_id}: {error}") from None
    except GEOSException as error:
        raise ZoneError(f"zone {zone_id}: {error}") from error


def _checked(zone_id: str, shape: Shape) -> Zone:
    if not shape.is_valid:
        raise ZoneError(_reason(shape))
    if not shape.area > 0:
        raise ZoneError("has no area")
    normal = shapely.normalize(shapely.remove_repeated_points(shape))
    return Zone(zone_id, normal, normal.area)


def _reason(shape: Shape) -> str:
    """GEOS' words about an invalid shape in ours: "Self-intersection[1 2]" becomes "edges cross at 1 2"."""
    words, _, place = shapely.is_valid_reason(shape).rstrip("]").partition("[")
    ours = {"Self-intersection": "edges cross", "Ring Self-intersection": "a ring touches itself"}
    return f"{ours.get(words, words.lower())} at {place}"


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


def _positions(coordinates: Any) -> int:
    """How many numbers' lists stand in the nesting; an upper bound for the positions."""
    if not _is_list(coordinates):
        return 0
    return 1 if not coordinates or not _is_list(coordinates[0]) else sum(map(_positions, coordinates))


def _polygon(rings: Any, where: str) -> Polygon:
    if not _is_list(rings) or not rings:
        raise ZoneError(f"{where}expected a list of rings")
    outer, *holes = (_ring(ring, f"{where}ring {index}") for index, ring in enumerate(rings))
    return Polygon(outer, holes)


def _ring(ring: Any, where: str) -> list[tuple[float, float]]:
    if not _is_list(ring) or len(ring) < RING_POSITIONS_MIN:
        raise ZoneError(f"{where}: expected at least {RING_POSITIONS_MIN} positions")
    positions = [_position(position, f"{where}, position {index}") for index, position in enumerate(ring)]
    if positions[0] != positions[-1]:
        raise ZoneError(f"{where} is not closed: first position {positions[0]}, last {positions[-1]}")
    return positions


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
