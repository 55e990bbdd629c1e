"""Metres round a site: transverse Mercator on the WGS-84 ellipsoid, its middle meridian through the site; distances.

Rules
- A plane is right to 0.01 % within 90 km of its middle, at any latitude and across the antimeridian: distances are
  stretched by x²/2R², 0.003 % at 50 km east or west and not at all along the meridian.
- `to_degrees` answers with the longitude nearest to the plane's middle, which may lie beyond ±180: so a ring drawn
  round a point at the antimeridian stays in one piece. `geofences.buffers` cuts such rings.
- Plain Python without shapely and numpy: an edge measures with this module.

Formulas: L. Krüger (1912) to the third power of the third flattening, error below a millimetre; distances W. D. Lambert
(1942), error below 10 m in 10,000 km.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import (
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    degrees,
    fsum,
    hypot,
    radians,
    remainder,
    sin,
    sinh,
    sqrt,
    tan,
)
from typing import TypeAlias

Position: TypeAlias = tuple[float, float]  # longitude, latitude
Metres: TypeAlias = tuple[float, float]  # east, north

EQUATOR_M = 6_378_137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY = sqrt(FLATTENING * (2 - FLATTENING))
TINY = 1e-12  # a quarter of the globe beside the middle the plane has no end
THIRD = FLATTENING / (2 - FLATTENING)  # the third flattening, n
RECTIFYING_M = EQUATOR_M / (1 + THIRD) * (1 + THIRD**2 / 4 + THIRD**4 / 64)
TO_METRES = (
    THIRD / 2 - 2 * THIRD**2 / 3 + 5 * THIRD**3 / 16,
    13 * THIRD**2 / 48 - 3 * THIRD**3 / 5,
    61 * THIRD**3 / 240,
)
TO_DEGREES = (
    THIRD / 2 - 2 * THIRD**2 / 3 + 37 * THIRD**3 / 96,
    THIRD**2 / 48 + THIRD**3 / 15,
    17 * THIRD**3 / 480,
)
TO_LATITUDE = (
    2 * THIRD - 2 * THIRD**2 / 3 - 2 * THIRD**3,
    7 * THIRD**2 / 3 - 8 * THIRD**3 / 5,
    56 * THIRD**3 / 15,
)


class Plane:
    """Metres east and north of a middle, which is (0, 0)."""

    __slots__ = ("_north", "longitude")

    def __init__(self, longitude: float, latitude: float) -> None:
        self.longitude = longitude
        self._north = 0.0
        self._north = self.to_metres(longitude, latitude)[1]

    def to_metres(self, longitude: float, latitude: float) -> Metres:
        east = radians(remainder(longitude - self.longitude, 360))
        steep = tan(radians(latitude))
        bulge = sinh(ECCENTRICITY * atanh(ECCENTRICITY * steep / hypot(1, steep)))
        conformal = steep * hypot(1, bulge) - bulge * hypot(1, steep)
        up, across = atan2(conformal, cos(east)), asinh(sin(east) / max(hypot(conformal, cos(east)), TINY))
        x, y = across, up
        for times, factor in enumerate(TO_METRES, 1):
            x += factor * cos(2 * times * up) * sinh(2 * times * across)
            y += factor * sin(2 * times * up) * cosh(2 * times * across)
        return x * RECTIFYING_M, y * RECTIFYING_M - self._north

    def to_degrees(self, east_m: float, north_m: float) -> Position:
        x, y = east_m / RECTIFYING_M, (north_m + self._north) / RECTIFYING_M
        across, up = x, y
        for times, factor in enumerate(TO_DEGREES, 1):
            across -= factor * cos(2 * times * y) * sinh(2 * times * x)
            up -= factor * sin(2 * times * y) * cosh(2 * times * x)
        conformal = atan(sin(up) / hypot(sinh(across), cos(up)))
        latitude = conformal + sum(factor * sin(2 * times * conformal) for times, factor in enumerate(TO_LATITUDE, 1))
        return self.longitude + degrees(atan2(sinh(across), cos(up))), degrees(latitude)


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Metres between two positions on the ellipsoid, however far apart."""
    first, second = (atan((1 - FLATTENING) * tan(radians(latitude))) for latitude in (a[1], b[1]))
    east, north = radians(remainder(b[0] - a[0], 360)), second - first
    half = sqrt(sin(north / 2) ** 2 + cos(first) * cos(second) * sin(east / 2) ** 2)
    angle = 2 * asin(min(half, 1.0))
    if angle == 0:
        return 0.0
    middle = (first + second) / 2
    flat = (angle - sin(angle)) * (sin(middle) * cos(north / 2) / max(cos(angle / 2), 1e-9)) ** 2
    steep = (angle + sin(angle)) * (cos(middle) * sin(north / 2) / sin(angle / 2)) ** 2
    return EQUATOR_M * (angle - FLATTENING / 2 * (flat + steep))


def ring_area_m2(ring: Sequence[Sequence[float]]) -> float:
    """Square metres inside a closed ring, in the cylinder that keeps areas; 0 for a ring that crosses itself evenly."""
    (west, south, *_), *_ = ring
    floor = _equal_area(south)
    corners = [(radians(x - west), _equal_area(y) - floor) for x, y, *_ in ring]
    return abs(fsum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(corners))) / 2 * EQUATOR_M**2


def _equal_area(latitude: float) -> float:
    """Height on the cylinder: area from the equator up, per radian of longitude and a² (Snyder 3-12)."""
    up = ECCENTRICITY * sin(radians(latitude))
    return (1 - ECCENTRICITY**2) / 2 * (up / (1 - up**2) + atanh(up)) / ECCENTRICITY
