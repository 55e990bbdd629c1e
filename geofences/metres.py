"""Metres round a place, from degrees. Pure arithmetic: only sums and products of the latitude, so that one point and
many (geofences.fleet) come to the same digits.

On the WGS-84 ellipsoid a degree of latitude is M(latitude) and one of longitude N(latitude) cos(latitude) long. Both
are written as polynomials round the latitude of the zones: right to 0.001 % within 10 degrees of it, and metres between
points of one zone to 0.1 % within 50 km.
"""

from collections.abc import Iterable, Sequence
from math import cos, inf, pi, radians, sin, sqrt
from typing import NamedTuple, TypeAlias

from geofences.projection import ECCENTRICITY, EQUATOR_M

Edge: TypeAlias = tuple[float, float, float, float]

ECCENTRICITY2 = ECCENTRICITY * ECCENTRICITY
TERMS = 7
STEP_DEGREES = 2.0
LATITUDE_MAX = 89.9  # nearer to a pole a degree of longitude has no length worth the name


class Scale(NamedTuple):
    """Metres per degree near `latitude`; `polynomials` in (latitude - this one), the highest power first."""

    latitude: float
    east: tuple[float, ...]
    north: tuple[float, ...]

    def metres(self, latitude: float) -> tuple[float, float]:
        """(of a degree of longitude, of a degree of latitude) there."""
        off = latitude - self.latitude
        east = north = 0.0
        for one, other in zip(self.east, self.north, strict=True):
            east, north = east * off + one, north * off + other
        return east, north


def scale_at(latitude: float) -> Scale:
    """By Newton's divided differences through TERMS latitudes round it."""
    latitude = min(max(latitude, -LATITUDE_MAX), LATITUDE_MAX)
    places = [(at - TERMS // 2) * STEP_DEGREES for at in range(TERMS)]
    return Scale(
        latitude,
        _polynomial(places, [east_m(latitude + place) for place in places]),
        _polynomial(places, [north_m(latitude + place) for place in places]),
    )


def east_m(latitude: float) -> float:
    """Metres in a degree of longitude."""
    sine = sin(radians(latitude))
    return pi / 180 * EQUATOR_M * cos(radians(latitude)) / sqrt(1 - ECCENTRICITY2 * sine * sine)


def north_m(latitude: float) -> float:
    """Metres in a degree of latitude."""
    sine = sin(radians(latitude))
    curved = 1 - ECCENTRICITY2 * sine * sine
    return pi / 180 * EQUATOR_M * (1 - ECCENTRICITY2) / (curved * sqrt(curved))


def _polynomial(places: list[float], values: list[float]) -> tuple[float, ...]:
    """Through all points, highest power first."""
    table = list(values)
    for order in range(1, len(places)):
        for at in range(len(places) - 1, order - 1, -1):
            table[at] = (table[at] - table[at - 1]) / (places[at] - places[at - order])
    powers = [0.0] * len(places)
    for place, difference in zip(reversed(places), reversed(table), strict=True):
        powers = [low - place * high for low, high in zip([0.0, *powers[:-1]], powers, strict=True)]
        powers[0] += difference
    return tuple(reversed(powers))


def distance_m(scale: Scale, one: tuple[float, float], other: tuple[float, float]) -> float:
    """Between two places (longitude, latitude), along the plane at the latitude between them: to 0.1 % up to 50 km."""
    east, north = scale.metres((one[1] + other[1]) / 2)
    x, y = (other[0] - one[0] + 180.0) % 360.0 - 180.0, other[1] - one[1]
    return sqrt((x * east) * (x * east) + (y * north) * (y * north))


def boundary_m(scale: Scale, edges: Iterable[Edge], longitude: float, latitude: float) -> float:
    """How far the nearest of the edges (ax, ay, bx, by: degrees) is from a place."""
    east, north = scale.metres(latitude)
    nearest = inf
    for ax, ay, bx, by in edges:
        x, y = (ax - longitude) * east, (ay - latitude) * north
        run, rise = (bx - ax) * east, (by - ay) * north
        along = -(x * run + y * rise) / (run * run + rise * rise)
        along = 0.0 if along < 0.0 else min(along, 1.0)
        x, y = x + along * run, y + along * rise
        nearest = min(nearest, x * x + y * y)
    return sqrt(nearest)


def along_m(scale: Scale, line: Sequence[Edge], longitude: float, latitude: float) -> float:
    """How many metres of a line of edges lie before the point of it that is nearest to a place; of equals the first."""
    east, north = scale.metres(latitude)
    nearest, found, before = inf, 0.0, 0.0
    for ax, ay, bx, by in line:
        x, y = (ax - longitude) * east, (ay - latitude) * north
        run, rise = (bx - ax) * east, (by - ay) * north
        square = run * run + rise * rise
        along = -(x * run + y * rise) / square
        along = 0.0 if along < 0.0 else min(along, 1.0)
        x, y = x + along * run, y + along * rise
        off, length = x * x + y * y, length_m(scale, (ax, ay, bx, by))
        if off < nearest:
            nearest, found = off, before + along * length
        before += length
    return found


def length_m(scale: Scale, edge: Edge) -> float:
    ax, ay, bx, by = edge
    return distance_m(scale, (ax, ay), (bx, by))


def met_at(edges: Iterable[Edge], start: tuple[float, float], end: tuple[float, float]) -> list[float]:
    """Where on the line from start (0) to end (1) edges cross it."""
    (x, y), (run, rise) = start, (end[0] - start[0], end[1] - start[1])
    found = []
    for ax, ay, bx, by in edges:
        across, up = bx - ax, by - ay
        turn = run * up - rise * across
        if turn == 0:
            continue
        share = ((ax - x) * up - (ay - y) * across) / turn
        along = ((ax - x) * rise - (ay - y) * run) / turn
        if 0 <= share <= 1 and 0 <= along < 1:
            found.append(share)
    return found
