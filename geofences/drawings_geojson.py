"""GeoJSON (RFC 7946) into drawings: a Feature, a FeatureCollection, or a geometry alone.

Rules
- NaN and Infinity are no JSON, but people's tools write them: they are read, so that the check can name the vertex.
- Members of a feature that GeoJSON does not know are kept among its properties; a property of the same name wins.
- A `crs` member (GeoJSON of 2008) must name WGS-84 with longitude first; else every feature has a problem.
- The parts of a GeometryCollection become drawings of their own, named NAME/0, NAME/1 …
"""

import json
from collections.abc import Iterator
from typing import Any

from geofences.drawings_model import DEPTH_MAX, FEATURES_MAX, READ_POSITIONS_MAX, Drawing, DrawingError, Problem, cut

SIMPLE = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")
KNOWN = {"type", "geometry", "properties", "id", "bbox"}
WGS84_NAMES = {
    "urn:ogc:def:crs:OGC:1.3:CRS84",
    "urn:ogc:def:crs:OGC::CRS84",
    "urn:ogc:def:crs:EPSG::4326",  # formally latitude first; the tools that wrote it in GeoJSON wrote longitude first
    "EPSG:4326",
}
WHOLE_DIGITS_MAX = 18


def read_geojson(text: str) -> list[Drawing]:
    """Raises DrawingError."""
    if text.count("[") + text.count("{") > READ_POSITIONS_MAX:
        raise DrawingError(f"more than {READ_POSITIONS_MAX} lists and objects")
    try:
        root = json.loads(text, parse_int=_whole)
    except ValueError as error:
        raise DrawingError(f"not JSON: {error}") from None
    except RecursionError:
        raise DrawingError("not GeoJSON: nested too deep") from None
    if not isinstance(root, dict):
        raise DrawingError("not GeoJSON: expected an object")
    features, crs = root.get("features"), _crs(root)
    if root.get("type") != "FeatureCollection":
        features = [root]
    elif not isinstance(features, list):
        raise DrawingError("features: expected a list")
    elif len(features) > FEATURES_MAX:
        raise DrawingError(f"more than {FEATURES_MAX} features")
    found: list[Drawing] = []
    for index, feature in enumerate(features):
        found += _drawings(feature, index, crs)
        if len(found) > FEATURES_MAX:
            raise DrawingError(f"more than {FEATURES_MAX} features")
    return found


def _drawings(feature: Any, index: int, crs: tuple[Problem, ...]) -> list[Drawing]:
    """Of one feature; several for a collection."""
    if not isinstance(feature, dict):
        problem = Problem("not_a_feature", f"expected an object, got {cut(repr(feature), 60)}")
        return [Drawing(index, "", problems=(*crs, problem))]
    geometry: Any = feature
    properties: dict[str, Any] = {}
    own_id = ""
    if feature.get("type") == "Feature":
        geometry = feature.get("geometry")
        given = feature.get("properties")
        foreign = {key: value for key, value in feature.items() if key not in KNOWN}
        properties = {**foreign, **(given if isinstance(given, dict) else {})}
        own_id = cut(str(feature["id"])) if feature.get("id") is not None else ""
    name = _name(properties) or own_id
    if not isinstance(geometry, dict):
        problem = Problem("empty", "has no geometry")
        return [Drawing(index, name, properties=properties, id=own_id, problems=(*crs, problem))]
    parts = list(_parts(geometry))
    names = [name] if len(parts) == 1 else [f"{name}/{part}" for part in range(len(parts))]
    return [
        Drawing(index, names[at], kind, coordinates, properties, own_id, (*crs, *problems))
        for at, (kind, coordinates, problems) in enumerate(parts)
    ]


def _parts(geometry: dict[str, Any], depth: int = 0) -> Iterator[tuple[str, Any, tuple[Problem, ...]]]:
    """(kind, coordinates, problems) of a geometry, or of each geometry of a collection."""
    kind = geometry.get("type")
    inner = geometry.get("geometries")
    if kind in SIMPLE:
        yield kind, geometry.get("coordinates"), ()
    elif kind == "GeometryCollection" and isinstance(inner, list) and inner and depth < DEPTH_MAX:
        for part in inner:
            yield from _parts(part if isinstance(part, dict) else {}, depth + 1)
    elif kind == "GeometryCollection":
        yield "", None, (Problem("empty", "a collection without geometries"),)
    else:
        yield (
            "",
            None,
            (Problem("unsupported", f"geometry {cut(repr(kind), 60)}: expected one of {', '.join(SIMPLE)}"),),
        )


def _crs(root: dict[str, Any]) -> tuple[Problem, ...]:
    given = root.get("crs")
    if given is None:
        return ()
    properties = given.get("properties") if isinstance(given, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if name in WGS84_NAMES:
        return ()
    return (Problem("crs", f"crs {cut(repr(name), 60)} is not WGS-84: convert the file"),)


def _name(properties: dict[str, Any]) -> str:
    for key in ("name", "title"):
        if isinstance(properties.get(key), str | int) and properties[key] != "":
            return cut(str(properties[key]))
    return ""


def _whole(digits: str) -> int | float:
    """JSON's whole numbers have no limit, Python's conversion to int has."""
    return int(digits) if len(digits) <= WHOLE_DIGITS_MAX else float(digits)
