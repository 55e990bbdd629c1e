"""The demo's zones: what is drawn in simulators/scenarios/wuzhen, as the site file wants it.

A street or canal is drawn as a line with its width; its zone is the strip round that. Streets without a name, ways to
doors and drives are no zones. Neither are the grid's cells and the truck corridor: a zone is where something happened,
and the smallest one wins, so they would take every street's and ring's place.
"""

from typing import Any

from shapely.geometry import LineString, Polygon, mapping, shape

from geofences.projection import Plane
from simulators.place import Feature, features

PLACE = "wuzhen"
FILES = ("outline", "rings", "canals", "streets", "buildings", "grounds")
PLACES = 6  # decimals of a degree: a tenth of a metre


def zones() -> list[dict[str, Any]]:
    return [_zone(found) for name in FILES for found in features(PLACE, name) if "name_en" in found.properties]


def _zone(found: Feature) -> dict[str, Any]:
    told = found.properties
    drawn = shape(found.geometry)
    area = _strip(drawn, told["width_m"]) if isinstance(drawn, LineString) else drawn
    return {
        "id": told["id"],
        "name_zh": told["name_zh"],
        "name_en": told["name_en"],
        "purpose": told.get("purpose", "street"),
        "ring": told.get("ring", 0),
        "shape": _plain(mapping(area)),
    }


def _strip(line: LineString, width_m: float) -> Polygon:
    """With square ends, which fill the corners between streets."""
    plane = Plane(*line.coords[0])
    flat = LineString([plane.to_metres(*position) for position in line.coords])
    strip = flat.buffer(width_m / 2, cap_style="square", join_style="mitre")
    return Polygon(
        [[round(degrees, PLACES) for degrees in plane.to_degrees(*corner)] for corner in strip.exterior.coords]
    )


def _plain(geometry: Any) -> dict[str, Any]:
    """shapely's tuples as the lists of GeoJSON."""
    rings = [[list(position) for position in ring] for ring in geometry["coordinates"]]
    return {"type": geometry["type"], "coordinates": rings}
