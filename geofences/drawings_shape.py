"""A drawing's coordinates read position by position: numbers, ranges, closed rings, the antimeridian and the poles.

Everything here is one pass over the positions; what a shape looks like as a whole is asked only when this found no
error (geofences.drawings_topology).
"""

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite, remainder
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from geofences.drawings_model import DEPTH_MAX, Drawing, Place, Problems, is_list, shown
from geofences.projection import distance
from geofences.zones import LATITUDE_MAX, LONGITUDE_MAX, POSITIONS_MAX, RING_POSITIONS_MIN

Kind: TypeAlias = Literal["area", "line", "point"]
Numbers: TypeAlias = tuple[float, ...]  # longitude, latitude, perhaps altitude
KINDS: dict[str, Kind] = {
    "Polygon": "area",
    "MultiPolygon": "area",
    "LineString": "line",
    "MultiLineString": "line",
    "Point": "point",
    "MultiPoint": "point",
}


class Chain(Struct, frozen=True):
    """A ring, a line, or points; `place` says which. Only what could be read stands in `positions`."""

    place: Place
    positions: list[Numbers]

    def at(self, index: int) -> Place:
        longitude, latitude, *_ = self.positions[index]
        return replace(self.place, position=index, longitude=longitude, latitude=latitude)


class Shape(Struct, frozen=True):
    kind: Kind
    chains: list[Chain]

    @property
    def polygons(self) -> list[list[Chain]]:
        """Of an area: each one's rings, outer first."""
        found: dict[int | None, list[Chain]] = {}
        for chain in self.chains:
            found.setdefault(chain.place.polygon, []).append(chain)
        return list(found.values())

    @property
    def positions(self) -> list[Numbers]:
        return [position for chain in self.chains for position in chain.positions]


def shape_of(drawing: Drawing, problems: Problems) -> Shape | None:
    """What can be read; None when nothing can. What cannot is told to `problems`."""
    kind = KINDS.get(drawing.kind)
    if kind is None:
        return None
    count = positions_in(drawing.coordinates)
    if count > POSITIONS_MAX:
        problems.add("too_many", f"more than {POSITIONS_MAX:,} vertices: a zone may not have them")
        return None
    if not is_list(drawing.coordinates) or count == 0:
        problems.add("empty", "no coordinates")
        return None
    chains = [Chain(place, _positions(place, raw, problems)) for place, raw in _raw(drawing, problems)]
    shape = Shape(kind, chains)
    _check_range(shape, problems)
    if any(len(position) > 2 for position in shape.positions):
        problems.add("altitude", "altitudes are kept and not evaluated")
    if not problems.refused:
        for chain in chains:
            _check_chain(kind, chain, problems)
    return shape


def positions_in(coordinates: Any) -> int:
    """How many positions stand in the nesting, without calling itself; more than POSITIONS_MAX are not counted out."""
    count, waiting = 0, [(coordinates, 0)]
    while waiting and count <= POSITIONS_MAX:
        value, depth = waiting.pop()
        if not is_list(value) or not value or depth > DEPTH_MAX:
            continue
        if is_list(value[0]):
            waiting += [(inner, depth + 1) for inner in value[: POSITIONS_MAX + 2]]
        else:
            count += 1
    return count


def same_place(a: Numbers, b: Numbers) -> bool:
    return a[:2] == b[:2]


def runs_round_a_pole(ring: list[Numbers]) -> bool:
    """Each edge the short way: whether they come back to another turn of the globe."""
    return abs(sum(remainder(b[0] - a[0], 360) for a, b in pairwise(ring))) > 180


def _raw(drawing: Drawing, problems: Problems) -> Iterator[tuple[Place, Any]]:
    """(place, list of positions) of each ring, line or set of points."""
    coordinates = drawing.coordinates
    if drawing.kind in ("LineString", "MultiPoint"):
        yield Place(), coordinates
    elif drawing.kind == "Point":
        yield Place(), [coordinates]
    elif drawing.kind == "MultiLineString":
        yield from ((Place(line=index), line) for index, line in enumerate(coordinates))
    elif drawing.kind == "Polygon":
        yield from ((Place(ring=index), ring) for index, ring in enumerate(coordinates))
    else:
        for polygon, rings in enumerate(coordinates):
            if not is_list(rings) or not rings:
                problems.add("nesting", "expected a list of rings", Place(polygon=polygon))
                continue
            yield from ((Place(polygon=polygon, ring=index), ring) for index, ring in enumerate(rings))


def _positions(place: Place, raw: Any, problems: Problems) -> list[Numbers]:
    if not is_list(raw):
        problems.add("nesting", f"expected a list of positions, got {shown(raw)}", place)
        return []
    found = []
    for index, given in enumerate(raw):
        position = _position(given, replace(place, position=index), problems)
        if position is not None:
            found.append(position)
    return found


def _position(given: Any, place: Place, problems: Problems) -> Numbers | None:
    if not is_list(given) or len(given) < 2 or is_list(given[0]) or is_list(given[1]):
        problems.add("nesting", f"expected [longitude, latitude], got {shown(given)}", place)
        return None
    numbers = given[:3]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        problems.add("not_a_number", f"{_written(numbers)}: expected numbers", place)
        return None
    if not all(map(isfinite, numbers)):
        problems.add("not_a_number", f"{_written(numbers)}: not finite", place)
        return None
    return tuple(map(float, numbers))


def _written(numbers: Any) -> str:
    return f"({', '.join(map(shown, numbers))})"


def _check_range(shape: Shape, problems: Problems) -> None:
    positions = shape.positions
    beyond = [abs(position[1]) > LATITUDE_MAX for position in positions]
    if all(abs(x) <= LATITUDE_MAX and abs(y) <= LONGITUDE_MAX for x, y, *_ in positions) and any(beyond):
        chain = next(chain for chain in shape.chains if any(abs(y) > LATITUDE_MAX for _, y, *_ in chain.positions))
        first = next(index for index, (_, y, *_) in enumerate(chain.positions) if abs(y) > LATITUDE_MAX)
        problems.add("swapped", "latitude stands before longitude: GeoJSON, KML and WKT have it after", chain.at(first))
        return
    for chain in shape.chains:
        for index, (longitude, latitude, *_) in enumerate(chain.positions):
            if abs(latitude) > LATITUDE_MAX:
                problems.add("out_of_range", "latitudes are within ±90", chain.at(index))
            elif abs(longitude) > LONGITUDE_MAX:
                advice = "longitudes are within ±180: a shape across the antimeridian is cut there"
                problems.add("out_of_range", advice, chain.at(index))


def _check_chain(kind: Kind, chain: Chain, problems: Problems) -> None:
    """What can be wrong between positions; the first error is enough."""
    positions = chain.positions
    least = {"area": RING_POSITIONS_MIN, "line": 2, "point": 1}[kind]
    if len(positions) < least:
        problems.add("too_few", f"has {len(positions)} positions, expected at least {least}", chain.place)
        return
    if kind == "point":
        return
    if kind == "area" and not same_place(positions[0], positions[-1]):
        gap = distance(positions[0], positions[-1])
        words = f"the ring is not closed: it ends {gap:.1f} m from position 0"
        problems.add("unclosed", words, chain.at(len(positions) - 1))
        return
    if len({position[:2] for position in positions}) < least - (kind == "area"):
        problems.add("too_few", "has too few different positions", chain.place)
        return
    _check_globe(kind, chain, problems)
    for index, (a, b) in enumerate(pairwise(positions)):
        if same_place(a, b):
            problems.add("duplicate_vertices", "stands twice", chain.at(index + 1))


def _check_globe(kind: Kind, chain: Chain, problems: Problems) -> None:
    positions = chain.positions
    long = [index for index, (a, b) in enumerate(pairwise(positions)) if abs(b[0] - a[0]) > 180]
    if kind == "area" and long and runs_round_a_pole(positions):
        problems.add("pole", "the ring runs round a pole, which a zone cannot hold", chain.at(long[0]))
    elif kind == "area":
        for index in long:
            span = abs(positions[index + 1][0] - positions[index][0])
            words = f"the next edge is {span:.6g}° long: cut the shape at the antimeridian (a repair does)"
            problems.add("antimeridian", words, chain.at(index))
    elif long:
        problems.add("crosses_antimeridian", "the next edge is read the short way round", chain.at(long[0]))
    for index, position in enumerate(positions):
        if abs(position[1]) == LATITUDE_MAX:
            problems.add("touches_pole", "at a pole all longitudes are one place", chain.at(index))
