"""Where a drawing lies among the others, the site and a reference: swapped axes, a wrong datum, the same thing twice.

A swap or an offset cannot be seen in the numbers alone; it needs something that the drawing should lie beside.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import isfinite, remainder
from statistics import fmean, median
from typing import Any, TypeAlias

import shapely
from msgspec.structs import replace
from shapely.geometry import MultiPolygon, Point
from shapely.geometry.base import BaseGeometry

from geofences.drawings_model import Drawing, Place, Problems, is_list
from geofences.drawings_shape import Chain, Numbers, Shape
from geofences.projection import Plane, Position, distance, ring_area_m2

Rings: TypeAlias = Sequence[Sequence[Position]]
Datums: TypeAlias = Mapping[str, Callable[[Position], Position]]  # name -> to WGS-84
NEAR_M, FAR_M = 100_000.0, 200_000.0  # beside the site; not beside it
OTHERS_MIN = 3  # fewer drawings say nothing about where the next should be
SAMPLES_MAX = 300
OFFSET_M_MIN = 50.0  # GCJ-02 lies 100–700 m off, BD-09 700–1,300 m
FIT_SHARE_MAX = 0.25  # how much better the other datum has to fit
ALIKE = (0.5, 2.0)  # areas of one thing drawn twice


def middle_of(shape: Shape) -> Position:
    """Of its box, which is laid round its first position."""
    (first, *_), *_ = positions = shape.positions
    turned, latitudes = [remainder(x - first, 360) for x, *_ in positions], [y for _, y, *_ in positions]
    return remainder(first + (min(turned) + max(turned)) / 2, 360), (min(latitudes) + max(latitudes)) / 2


def place_among(middles: Sequence[Position]) -> Position | None:
    """Where the most of them are."""
    if len(middles) < OTHERS_MIN:
        return None
    return median(x for x, _ in middles), median(y for _, y in middles)


def check_swapped(shape: Shape, near: Position, near_is_site: bool, problems: Problems) -> None:
    """Whether it lies beside `near` only with its axes exchanged; of a site also whether it lies far away."""
    longitude, latitude = middle_of(shape)
    away = distance((longitude, latitude), near)
    if away < FAR_M:
        return
    swapped = distance((latitude, longitude), near) if abs(longitude) <= 90 else away
    place = Place(longitude=longitude, latitude=latitude)
    if swapped < NEAR_M:
        words = f"lies {away / 1000:,.0f} km away, and {swapped / 1000:.0f} km with latitude and longitude exchanged"
        problems.add("swapped", words, place)
    elif near_is_site:
        problems.add("far", f"lies {away / 1000:,.0f} km away", place)


class Reference:
    """Areas that are known to be right, such as a site's zones or outline."""

    def __init__(self, polygons: Sequence[Rings]) -> None:
        """Polygons of at least one valid ring each."""
        longitudes = [position[0] for outer, *_ in polygons for position in outer]
        latitudes = [position[1] for outer, *_ in polygons for position in outer]
        middle = ((min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2)
        self.middle: Position = middle
        self._plane = Plane(*middle)
        self._parts = [self._in_metres(rings) for rings in polygons]
        self._whole = shapely.union_all(self._parts)

    def check(self, shape: Shape, datums: Datums, problems: Problems) -> None:
        """Whether an offset of a datum makes it fit better."""
        longitude, latitude = middle_of(shape)
        if not datums or distance((longitude, latitude), self.middle) > FAR_M:
            return
        positions = shape.positions
        sample = [(x, y) for x, y, *_ in positions[:: -(-len(positions) // SAMPLES_MAX)]]
        target = self._like(shape)
        given = self._off(sample, target)
        fits = {name: self._off([to_wgs84(place) for place in sample], target) for name, to_wgs84 in datums.items()}
        best = min(fits, key=lambda name: fits[name])
        if given > OFFSET_M_MIN and fits[best] < given * FIT_SHARE_MAX:
            words = f"lies {given:.0f} m off the reference, and {fits[best]:.0f} m when it is read as {best}"
            problems.add("datum", words, Place(longitude=longitude, latitude=latitude))

    def _like(self, shape: Shape) -> BaseGeometry:
        """The rim of the reference's polygon that may be the same thing; the whole reference where there is none."""
        if shape.kind == "area":
            own = sum(ring_area_m2(outer.positions) for outer, *_ in shape.polygons)
            middle = Point(self._plane.to_metres(*middle_of(shape)))
            alike = [part for part in self._parts if ALIKE[0] < part.area / max(own, 1e-6) < ALIKE[1]]
            nearest = min(alike, key=middle.distance, default=None)
            if nearest is not None:
                return nearest.boundary
        return self._whole

    def _off(self, sample: Sequence[Position], target: BaseGeometry) -> float:
        """Mean metres from the places to the target, 0 inside it."""
        points = shapely.points([self._plane.to_metres(*place) for place in sample])
        return fmean(shapely.distance(points, target))

    def _in_metres(self, rings: Rings) -> BaseGeometry:
        outer, *holes = [[self._plane.to_metres(x, y) for x, y, *_ in ring] for ring in rings]
        return shapely.make_valid(MultiPolygon([(outer, holes)]))


def converted(drawing: Drawing, to_wgs84: Callable[[Position], Position]) -> Drawing:
    """Every position in WGS-84; what is none is left as it is, for the checks to name."""
    return replace(drawing, coordinates=_converted(drawing.coordinates, to_wgs84))


def _converted(value: Any, to_wgs84: Callable[[Position], Position]) -> Any:
    if not is_list(value):
        return value
    if len(value) >= 2 and all(_is_degrees(part) for part in value[:2]):
        longitude, latitude, *rest = value
        return [*to_wgs84((longitude, latitude)), *rest]
    return [_converted(part, to_wgs84) for part in value]


def _is_degrees(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def fingerprint(shape: Shape) -> Hashable:
    """Equal for shapes that differ only in where rings start, which way they run, vertices that stand twice, order."""
    if shape.kind != "area":
        return shape.kind, tuple(_once(chain.positions) for chain in shape.chains)
    return shape.kind, frozenset((_turned(outer), frozenset(map(_turned, holes))) for outer, *holes in shape.polygons)


def _turned(chain: Chain) -> tuple[Numbers, ...]:
    """A ring begun at its smallest corner, towards the smaller neighbour."""
    ring = _once(chain.positions)[:-1]
    start = ring.index(min(ring))
    onwards = (*ring[start:], *ring[:start])
    return min(onwards, (onwards[0], *onwards[:0:-1]))


def _once(positions: Sequence[Numbers]) -> tuple[Numbers, ...]:
    """Without altitudes and without positions that stand twice."""
    found: list[Numbers] = []
    for longitude, latitude, *_ in positions:
        if not found or found[-1] != (longitude, latitude):
            found.append((longitude, latitude))
    return tuple(found)
