"""Whether a zone is drawn as its drawer meant it: what GEOS says of the shape. For where zones are made, not obeyed."""

from typing import Any

import shapely
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon

from geofences.zones import Ring, Zone, ZoneError, zone


def drawn_zone(zone_id: str, geometry: Any) -> Zone:
    """As `geofences.zones.zone`, and refused too when edges cross, or holes leave or split their polygon. ZoneError."""
    found = zone(zone_id, geometry)
    try:
        shape = MultiPolygon([Polygon(outer, holes) for outer, *holes in map(_positions, found.polygons)])
        reason = None if shape.is_valid else _reason(shape)
    except GEOSException as error:
        reason = str(error)
    if reason is not None:
        raise ZoneError(f"zone {zone_id}: {reason}")
    return found


def _positions(polygon: tuple[Ring, ...]) -> list[list[tuple[float, float]]]:
    return [list(zip(*ring, strict=True)) for ring in polygon]


def _reason(shape: MultiPolygon) -> str:
    """GEOS' words about an invalid shape in ours: "Self-intersection[1 2]" becomes "edges cross at 1 2"."""
    words, _, place = shapely.is_valid_reason(shape).rstrip("]").partition("[")
    ours = {"Self-intersection": "edges cross", "Ring Self-intersection": "a ring touches itself"}
    return f"{ours.get(words, words.lower())} at {place}"
