"""What is wrong with closed rings as a whole: edges that cross, holes outside, areas that are none. Names the vertex.

GEOS looks at a ring in about n log n steps, and at rings that overlap in the square of their number: so those are
looked for before, within PAIRS_MAX pairs and OVERLAPS_MAX finds, and GEOS has the last word about what has passed.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cos, hypot, pi, radians

import shapely
from msgspec.structs import replace
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from geofences.drawings_model import Place, Problems, shown
from geofences.drawings_shape import Chain, Numbers, Shape
from geofences.projection import EQUATOR_M, Position, distance

PAIRS_MAX = 10_000
OVERLAPS_MAX = 100
FLAT_M = 0.001  # a ring that is nowhere wider has no area
SLIVER_M = 1.0
SLIVER_ROUNDNESS = 0.02  # 4π area / perimeter², 1 for a circle: an oblong 160 times as long as wide


def check_area(shape: Shape, problems: Problems) -> None:
    """Of an area whose rings are closed and finite."""
    for chain in shape.chains:
        _check_ring(chain, problems)
    if problems.refused:
        return
    polygons = shape.polygons
    _check_parts(polygons, problems)
    whole = MultiPolygon([as_polygon(rings) for rings in polygons])
    if not problems.refused and not whole.is_valid:
        words, longitude, latitude = _reason(whole)
        problems.add("invalid", words, Place(longitude=longitude, latitude=latitude))
    for outer, *_ in polygons:
        _check_sliver(outer, problems)


def as_polygon(rings: Sequence[Chain]) -> Polygon:
    outer, *holes = ([position[:2] for position in chain.positions] for chain in rings)
    return Polygon(outer, holes)


def _check_ring(chain: Chain, problems: Problems) -> None:
    polygon = as_polygon([chain])
    hull = polygon.convex_hull
    if not isinstance(hull, Polygon) or mean_width_m(list(hull.exterior.coords)) < FLAT_M:
        problems.add("zero_area", "all its positions stand on one line: the ring has no area", chain.place)
    elif same := _same_edges(chain.positions):
        first, second = same
        words = f"the edge from position {first} is the one from position {second} too"
        problems.add("self_intersection", words, chain.at(first))
    elif not polygon.is_valid:
        _, longitude, latitude = _reason(polygon)
        first, second = _edges_at((longitude, latitude), chain.positions)
        place = replace(chain.place, position=first, longitude=longitude, latitude=latitude)
        words = f"the edge from position {first} meets the one from position {second} here"
        problems.add("self_intersection", words, place)


def _check_sliver(chain: Chain, problems: Problems) -> None:
    width, length = mean_width_m(chain.positions), _length_m(chain.positions)
    if width < SLIVER_M and 2 * pi * width / length < SLIVER_ROUNDNESS:
        problems.add("sliver", f"{width:.2g} m wide and {length / 2:.4g} m long: fixes jump over it", chain.at(0))


def mean_width_m(ring: Sequence[Sequence[float]]) -> float:
    """Of a thin ring; of the area in degrees, in which edges are straight: in metres three places on a line are not."""
    length = _length_m(ring)
    metres = EQUATOR_M * pi / 180
    area = Polygon([position[:2] for position in ring]).area * metres**2 * cos(radians(ring[0][1]))
    return 2 * area / length if length else 0.0


def _length_m(ring: Sequence[Sequence[float]]) -> float:
    return sum(distance(a, b) for a, b in pairwise(ring))


def _reason(shape: BaseGeometry) -> tuple[str, float, float]:
    """GEOS' words about an invalid shape, and the place that it names."""
    words, _, place = shapely.is_valid_reason(shape).rstrip("]").partition("[")
    longitude, latitude = map(float, place.split()[:2])
    return words.lower(), longitude, latitude


def _same_edges(ring: Sequence[Numbers]) -> tuple[int, int] | None:
    """First positions of two edges between the same places. Many of them would cost GEOS the square of their number."""
    seen: dict[frozenset[Numbers], int] = {}
    for index, (a, b) in enumerate(pairwise(ring)):
        edge = frozenset((a[:2], b[:2]))
        if len(edge) == 2 and (first := seen.setdefault(edge, index)) != index:
            return first, index
    return None


def _edges_at(place: Position, ring: Sequence[Numbers]) -> tuple[int, int]:
    """The first positions of the two edges nearest to a place."""
    near = sorted((_beside(place, a, b), index) for index, (a, b) in enumerate(pairwise(ring)))[:2]
    first, second = sorted(index for _, index in near)
    return first, second


def _beside(place: Position, a: Numbers, b: Numbers) -> float:
    """Degrees from a place to an edge."""
    east, north = b[0] - a[0], b[1] - a[1]
    length = east**2 + north**2
    along = ((place[0] - a[0]) * east + (place[1] - a[1]) * north) / length if length else 0.0
    along = min(max(along, 0.0), 1.0)
    return hypot(a[0] + along * east - place[0], a[1] + along * north - place[1])


def _check_parts(polygons: Sequence[Sequence[Chain]], problems: Problems) -> None:
    """How rings that are valid alone lie to each other."""
    for outer, *holes in polygons:
        shell = as_polygon([outer])
        shapely.prepare(shell)
        for hole in holes:
            if not shell.covers(as_polygon([hole])):
                problems.add("hole_outside", "the hole leaves its polygon", _outside(shell, hole))
        for first, second, place in _overlaps(holes):
            words = f"overlaps ring {second.place.ring} at {place}"
            problems.add("holes_overlap", words, first.place)
    by_outer = {outer.place.polygon: as_polygon([outer, *holes]) for outer, *holes in polygons}
    for first, second, place in _overlaps([outer for outer, *_ in polygons]):
        if by_outer[first.place.polygon].intersection(by_outer[second.place.polygon]).area > 0:  # not in its hole
            problems.add("polygons_overlap", f"overlaps polygon {second.place.polygon} at {place}", first.place)


def _outside(shell: Polygon, hole: Chain) -> Place:
    """Its first position that is outside; where only an edge is, a place there."""
    found = shapely.covers(shell, shapely.points([position[:2] for position in hole.positions]))
    outside = next((index for index, inside in enumerate(found) if not inside), None)
    if outside is not None:
        return hole.at(outside)
    beyond = as_polygon([hole]).difference(shell).representative_point()
    return replace(hole.place, longitude=beyond.x, latitude=beyond.y)


def _overlaps(chains: Sequence[Chain]) -> Iterator[tuple[Chain, Chain, str]]:
    """Pairs of rings whose insides meet, and where; at most PAIRS_MAX pairs are looked at."""
    shapes = [as_polygon([chain]) for chain in chains]
    tree = shapely.STRtree(shapes)
    looked = found = 0
    for index, shape in enumerate(shapes):
        for other in sorted(tree.query(shape)):
            looked += other > index
            if looked > PAIRS_MAX or found == OVERLAPS_MAX:
                return
            if other > index and (meeting := shape.intersection(shapes[other])).area > 0:
                found += 1
                at = meeting.representative_point()
                yield chains[index], chains[other], f"({shown(at.x)}, {shown(at.y)})"
