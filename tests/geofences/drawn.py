"""Shapes and files that the tests of drawings share."""

import json
from collections.abc import Sequence
from typing import Any

from geofences.drawings import Setting, Verdict, check, read

Ring = list[list[float]]
SITE = (120.4838, 30.7436)
SQUARE: Ring = [[120.48, 30.74], [120.49, 30.74], [120.49, 30.75], [120.48, 30.75], [120.48, 30.74]]
SQUARE_M2 = 95_700 * 0.01 * 110_860 * 0.01  # a degree there: 95.7 km east, 110.9 km north


def square(west: float, south: float, side: float) -> Ring:
    east, north = west + side, south + side
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def geojson(*geometries: Any, **properties: Any) -> bytes:
    """Each geometry as a feature named f0, f1 …, all with the properties."""
    features = [
        {"type": "Feature", "properties": {"name": f"f{index}", **properties}, "geometry": geometry}
        for index, geometry in enumerate(geometries)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def judged(*geometries: Any, setting: Setting | None = None, repair: bool = False, **properties: Any) -> list[Verdict]:
    return check(read(geojson(*geometries, **properties)), setting or Setting(), repair)


def codes(verdict: Verdict) -> list[str]:
    return [problem.code for problem in verdict.problems]


def told(verdict: Verdict) -> str:
    return "\n".join(map(str, verdict.problems))


def longitudes(zone: Sequence[Any]) -> list[float]:
    return [position[0] for rings in zone for ring in rings for position in ring]
