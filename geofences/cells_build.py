"""Compiling zones into cells (geofences.cells says what they are). Plain Python, done once for each set of zones.

Everything that decides a side is exact: a floating-point answer within REACH of an edge is asked again in fractions.
A centre that lies exactly on an edge has no side, so the lines of a grid are moved a little and it is tried again.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from math import ceil, cos, hypot, nan, radians, sqrt
from typing import NamedTuple

from geofences.zones import Ring, Zone, ZoneError, side

REACH = 1e-9  # degrees, a tenth of a millimetre: nearer to an edge than this, the answer is computed exactly
FLAT = 1e-12  # degrees: an edge that rises less has no slope worth the name
EDGES_WANTED = 6.0  # in a cell, about
EDGES_MAX = 24  # in a cell before it is divided
DIVIDED_MAX = 16  # cells a side in a divided cell
DEPTH_MAX = 5
EDGE_NUMBERS = 6
SIGNATURE_MASK = 0xFFFF_FFFF_FFFF_FFFF
CELLS_MAX = 1 << 20  # of the widest grid
CELL_DEGREES_MIN = 1e-6
SHIFTS = (0.381966, 0.618034, 0.236068, 0.763932, 0.145898, 0.854102, 0.056231, 0.943769)


class OnEdge(Exception):
    """A centre lies exactly on an edge."""


class Edge(NamedTuple):
    """From a to b, the zone on its left."""

    ax: float
    ay: float
    bx: float
    by: float
    zone: int


class Grid(NamedTuple):
    """`columns` x `rows` cells; the first one's slot is `first`."""

    west: float
    south: float
    per_x: float  # cells per degree
    per_y: float
    columns: int
    rows: int
    first: int

    def centre(self, column: int, row: int) -> tuple[float, float]:
        return self.west + (column + 0.5) / self.per_x, self.south + (row + 0.5) / self.per_y


class Origin(NamedTuple):
    """The centre of a cell, the signature there, and the zones gained or lost on the way there from the centre of the
    cell of the widest grid, `depth` grids up."""

    centre: tuple[float, float]
    signature: int
    gained: Sequence[int]
    depth: int


def name_of(zone_id: str) -> int:
    """What a zone adds to the signature of a point that it holds: 64 bits of its id's hash."""
    return int.from_bytes(blake2b(zone_id.encode(), digest_size=8).digest(), "little")


class Rows:
    """Lists of whole numbers, one after the other: list k is `values[first[k] : first[k + 1]]`."""

    def __init__(self, lists: Iterable[Sequence[int]] = ()) -> None:
        self.first = array("q", (0,))
        self.values = array("i")
        for values in lists:
            self.add(values)

    def add(self, values: Sequence[int]) -> None:
        self.values.extend(values)
        self.first.append(len(self.values))

    def __getitem__(self, at: int) -> "array[int]":
        return self.values[self.first[at] : self.first[at + 1]]


class Leaves:
    """The undivided cells, and the edges in each.

    An edge is EDGE_NUMBERS numbers in `edges`, as seen from its cell's centre: heights ya and yb of its ends, xa, slope
    in x per y (NaN when flat), reach: how near counts as on it, in x; yc: where it meets the vertical line through the
    centre (NaN: nowhere). A gain is a zone's index + 1, a loss that below 0: `east` is gained by crossing the edge
    eastward, `up` on the way from the centre along that vertical line; `beyond` on the way from the centre of the cell
    of the widest grid."""

    def __init__(self) -> None:
        self.centre_x, self.centre_y = array("d"), array("d")
        self.signature = array("Q")
        self.first = array("q", (0,))
        self.edges = array("d")
        self.east, self.up = array("i"), array("i")
        self.beyond = Rows()

    def add(self, centre: tuple[float, float], edges: Iterable[Edge], signature: int, beyond: Sequence[int]) -> int:
        self.centre_x.append(centre[0])
        self.centre_y.append(centre[1])
        self.signature.append(signature)
        self.beyond.add(beyond)
        for edge in edges:
            self._add_edge(edge, *centre)
        self.first.append(len(self.east))
        return len(self.signature) - 1

    def zones(self, leaf: int) -> set[int]:
        """With an edge in it."""
        return {abs(gain) - 1 for gain in self.east[self.first[leaf] : self.first[leaf + 1]]}

    def _add_edge(self, edge: Edge, cx: float, cy: float) -> None:
        ax, ay, bx, by, zone = edge
        rise, run = by - ay, bx - ax
        slope = run / rise if abs(rise) > FLAT else nan
        yc, up = nan, 0
        if (ax > cx) != (bx > cx):
            above = is_above(edge, cx, cy)
            low, high = (ay - cy, by - cy) if rise > 0 else (by - cy, ay - cy)
            yc = min(max((ay - cy) + (cx - ax) * (rise / run), low), high)
            yc = max(yc, 1e-300) if above else min(yc, 0.0)
            up = zone + 1 if (run > 0) == above else -zone - 1
        self.edges.extend((ay - cy, by - cy, ax - cx, slope, REACH * (1 + abs(slope)), yc))
        self.east.append(zone + 1 if rise < 0 else -zone - 1)
        self.up.append(up)


def is_east(edge: Edge, x: float, y: float) -> bool:
    """Of an edge that meets the height y: whether it does so east of x. Raises OnEdge."""
    found = side((edge.ax, edge.ay), (edge.bx, edge.by), (x, y))
    if found == 0:
        raise OnEdge
    return (found > 0) == (edge.by > edge.ay)


def is_above(edge: Edge, x: float, y: float) -> bool:
    """Of an edge that meets the vertical line at x: whether it does so above y. Raises OnEdge."""
    found = side((edge.ax, edge.ay), (edge.bx, edge.by), (x, y))
    if found == 0:
        raise OnEdge
    return (found < 0) == (edge.bx > edge.ax)


def edges_of(zone: Zone, index: int, east_of_seam: bool) -> Iterator[Edge]:
    """The zone on the left of each. A corner that stands twice makes none, and a seam between two parts of the zone is
    none."""
    found: dict[tuple[float, float, float, float], None] = {}
    for ring, is_hole in ((ring, at > 0) for polygon in zone.polygons for at, ring in enumerate(polygon)):
        positions = [(unwrapped(x, east_of_seam), y) for x, y in zip(*ring, strict=True)]
        if is_counterclockwise(ring) == is_hole:
            positions.reverse()
        for (ax, ay), (bx, by) in pairwise(positions):
            if (ax, ay) != (bx, by) and found.pop((bx, by, ax, ay), 0) is not None:
                found[(ax, ay, bx, by)] = None
    return (Edge(*edge, index) for edge in found)


def unwrapped(longitude: float, east_of_seam: bool) -> float:
    """Where zones meet the antimeridian, longitudes run from 0 to 360."""
    return longitude + 360.0 if east_of_seam and longitude < 0 else longitude


def is_counterclockwise(ring: Ring) -> bool:
    """By the turn at its lowest corner, exactly."""
    points = [point for point, after in pairwise(zip(*ring, strict=True)) if point != after]
    at = min(range(len(points)), key=lambda index: (points[index][1], points[index][0]))
    return side(points[at - 1], points[at], points[(at + 1) % len(points)]) > 0


class Build:
    """One try at the grids of a set of zones, their lines moved by `shift` of a cell. Raises OnEdge."""

    def __init__(self, edges: Sequence[Edge], names: Sequence[int], shift: float) -> None:
        self._names = names
        self._shift = shift
        self.leaves = Leaves()
        self.grids: list[Grid] = []
        self.slots = array("i")
        grid = self._widest(edges)
        steps = grid.columns * grid.rows
        east: list[list[int]] = [[] for _ in range(steps)]
        north: list[list[int]] = [[] for _ in range(steps)]
        for edge in edges:
            for at, gain in _steps_east(edge, grid):
                east[at].append(gain)
            for at, gain in _steps_north(edge, grid):
                north[at].append(gain)
        self.east, self.north = Rows(east), Rows(north)
        for slot, (cell, signature) in enumerate(zip(self._spread(edges, grid), self._bases(grid), strict=True)):
            row, column = divmod(slot, grid.columns)
            origin = Origin(grid.centre(column, row), signature, (), 0)
            self.slots[slot] = self._leaf(grid, column, row, cell, origin)

    def _widest(self, edges: Sequence[Edge]) -> Grid:
        if not edges:
            return self._new_grid(Grid(0.0, 0.0, 1.0, 1.0, 1, 1, 0))
        west, east = min(min(e.ax, e.bx) for e in edges), max(max(e.ax, e.bx) for e in edges)
        south, north = min(min(e.ay, e.by) for e in edges), max(max(e.ay, e.by) for e in edges)
        squeeze = max(cos(radians((south + north) / 2)), 0.01)  # a degree of longitude in degrees of latitude
        width, height = (east - west) * squeeze, north - south
        length = 1.27 * sum(hypot((e.bx - e.ax) * squeeze, e.by - e.ay) for e in edges)
        wanted = EDGES_WANTED * max(width * height, CELL_DEGREES_MIN**2)
        size = (sqrt(length**2 + 4 * len(edges) * wanted) - length) / (2 * len(edges))
        size = max(size, sqrt(width * height / CELLS_MAX), max(width, height) / CELLS_MAX, CELL_DEGREES_MIN)
        # One row of cells all round that no edge reaches: points outside are as good as in it.
        columns, rows = ceil(width / size) + 3, ceil(height / size) + 3
        per_x, per_y = squeeze / size, 1 / size
        grid = Grid(west - (1 + self._shift) / per_x, south - (1 + self._shift) / per_y, per_x, per_y, columns, rows, 0)
        return self._new_grid(grid)

    def _new_grid(self, grid: Grid) -> Grid:
        self.grids.append(grid)
        self.slots.extend([0] * (grid.columns * grid.rows))
        return grid

    def _bases(self, grid: Grid) -> Iterator[int]:
        """The signature of each centre: nothing in the west, then what is gained and lost on the way east."""
        for row in range(grid.rows):
            signature = 0
            for column in range(grid.columns):
                yield signature
                signature = self._changed(signature, self.east[row * grid.columns + column])

    def _changed(self, signature: int, gains: Iterable[int]) -> int:
        for gain in gains:
            signature += self._names[gain - 1] if gain > 0 else -self._names[-gain - 1]
        return signature & SIGNATURE_MASK

    def _leaf(self, grid: Grid, column: int, row: int, edges: Sequence[Edge], origin: "Origin") -> int:
        """A slot's content: the number of a leaf, or ~ that of the grid which divides the cell."""
        if len(edges) <= EDGES_MAX or origin.depth == DEPTH_MAX:
            return self.leaves.add(origin.centre, edges, origin.signature, origin.gained)
        parts = min(ceil(sqrt(len(edges) / EDGES_WANTED)), DIVIDED_MAX)
        west, south = grid.west + column / grid.per_x, grid.south + row / grid.per_y
        inner = self._new_grid(Grid(west, south, grid.per_x * parts, grid.per_y * parts, parts, parts, len(self.slots)))
        number = len(self.grids) - 1
        for at, cell in enumerate(self._spread(edges, inner)):
            inner_row, inner_column = divmod(at, parts)
            centre = inner.centre(inner_column, inner_row)
            gained = gains(edges, origin.centre, centre)
            here = Origin(
                centre, self._changed(origin.signature, gained), summed(origin.gained, gained), origin.depth + 1
            )
            self.slots[inner.first + at] = self._leaf(inner, inner_column, inner_row, cell, here)
        return ~number

    def _spread(self, edges: Sequence[Edge], grid: Grid) -> list[list[Edge]]:
        """The edges in each cell, by slot."""
        cells: list[list[Edge]] = [[] for _ in range(grid.columns * grid.rows)]
        for edge in edges:
            for row, first, last in columns_of(edge, grid):
                for at in range(row * grid.columns + first, row * grid.columns + last + 1):
                    cells[at].append(edge)
        return cells


def summed(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Gains and losses after one another."""
    total: dict[int, int] = {}
    for gain in (*one, *other):
        total[abs(gain)] = total.get(abs(gain), 0) + (1 if gain > 0 else -1)
    return _listed(total)


def _listed(total: dict[int, int]) -> list[int]:
    """A zone whose edges cross (geofences.validity would have refused it) may be gained twice."""
    return [zone if gain > 0 else -zone for zone, gain in total.items() for _ in range(abs(gain))]


def gains(edges: Iterable[Edge], start: tuple[float, float], end: tuple[float, float]) -> list[int]:
    """The zones gained (index + 1) and lost (negative) on the way from start up or down, then sideways to the end.
    Exact; raises OnEdge."""
    (cx, cy), (px, py) = start, end
    total: dict[int, int] = {}
    for edge in edges:
        gain = 0
        if (edge.ax > cx) != (edge.bx > cx):
            above = is_above(edge, cx, cy)
            if above != is_above(edge, cx, py):
                gain += 1 if (edge.bx > edge.ax) == above else -1
        if (edge.ay > py) != (edge.by > py):
            east = is_east(edge, cx, py)
            if east != is_east(edge, px, py):
                gain += 1 if (edge.by < edge.ay) == east else -1
        if gain:
            total[edge.zone] = total.get(edge.zone, 0) + gain
    return _listed({zone + 1: gain for zone, gain in total.items()})


def columns_of(edge: Edge, grid: Grid) -> Iterator[tuple[int, int, int]]:
    """(row, first column, last column) of the cells that the edge touches, or nearly does."""
    low, high = min(edge.ay, edge.by) - REACH, max(edge.ay, edge.by) + REACH
    west, east = min(edge.ax, edge.bx), max(edge.ax, edge.bx)
    rise = edge.by - edge.ay
    slope = (edge.bx - edge.ax) / rise if abs(rise) > FLAT else 0.0
    first_row = _index(low, grid.south, grid.per_y, grid.rows)
    last_row = _index(high, grid.south, grid.per_y, grid.rows)
    for row in range(first_row, last_row + 1):
        one, other = west, east
        if slope and last_row > first_row:
            floor, ceiling = grid.south + row / grid.per_y - REACH, grid.south + (row + 1) / grid.per_y + REACH
            xs = (edge.ax + (floor - edge.ay) * slope, edge.ax + (ceiling - edge.ay) * slope)
            one, other = max(west, min(xs)), min(east, max(xs))
        first = _index(one - REACH, grid.west, grid.per_x, grid.columns)
        yield row, first, _index(other + REACH, grid.west, grid.per_x, grid.columns)


def _index(value: float, start: float, per: float, count: int) -> int:
    return min(max(int((value - start) * per), 0), count - 1)


def _steps_east(edge: Edge, grid: Grid) -> Iterator[tuple[int, int]]:
    """(slot, gain): where a step from a cell's centre to that of its eastern neighbour crosses the edge."""
    gain = edge.zone + 1 if edge.by < edge.ay else -edge.zone - 1
    low, high = min(edge.ay, edge.by), max(edge.ay, edge.by)
    for row in range(*_lines(low, high, grid.south, grid.per_y, grid.rows)):
        _, y = grid.centre(0, row)
        if (edge.ay > y) == (edge.by > y):
            continue
        x = edge.ax + (y - edge.ay) / (edge.by - edge.ay) * (edge.bx - edge.ax)
        column = min(max(int((x - grid.west) * grid.per_x - 0.5), 0), grid.columns - 2)
        # The float may be off by one; the centres on either side have the last word.
        while column > 0 and not is_east(edge, grid.centre(column, row)[0], y):
            column -= 1
        while column < grid.columns - 2 and is_east(edge, grid.centre(column + 1, row)[0], y):
            column += 1
        yield row * grid.columns + column, gain


def _steps_north(edge: Edge, grid: Grid) -> Iterator[tuple[int, int]]:
    gain = edge.zone + 1 if edge.bx > edge.ax else -edge.zone - 1
    west, east = min(edge.ax, edge.bx), max(edge.ax, edge.bx)
    for column in range(*_lines(west, east, grid.west, grid.per_x, grid.columns)):
        x, _ = grid.centre(column, 0)
        if (edge.ax > x) == (edge.bx > x):
            continue
        y = edge.ay + (x - edge.ax) / (edge.bx - edge.ax) * (edge.by - edge.ay)
        row = min(max(int((y - grid.south) * grid.per_y - 0.5), 0), grid.rows - 2)
        while row > 0 and not is_above(edge, x, grid.centre(column, row)[1]):
            row -= 1
        while row < grid.rows - 2 and is_above(edge, x, grid.centre(column, row + 1)[1]):
            row += 1
        yield row * grid.columns + column, gain


def _lines(low: float, high: float, start: float, per: float, count: int) -> tuple[int, int]:
    """The centre lines that may lie between: first, and the one after the last."""
    return max(int((low - start) * per - 0.5), 0), min(int((high - start) * per - 0.5) + 2, count)


def check_span(zones: Sequence[Zone]) -> bool:
    """Whether zones meet the antimeridian, so that longitudes must run on over it. Raises ZoneError where they meet
    Greenwich, too."""
    meets = any(zone.box.east == 180.0 or zone.box.west == -180.0 for zone in zones)
    if meets and any(zone.box.west < 0 < zone.box.east and not _is_split(zone) for zone in zones):
        raise ZoneError("zones at the antimeridian and across Greenwich cannot be held together")
    return meets


def _is_split(zone: Zone) -> bool:
    """Drawn in two parts, one on each side of the antimeridian."""
    return all(not (min(outer.longitudes) < 0 < max(outer.longitudes)) for outer, *_ in zone.polygons)
