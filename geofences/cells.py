"""Which zones hold a point, in time that grows with the edges near it and not with the zones: compiled zones. Pure.

How
- The plane is cut into cells, small where edges are many. Of each cell the signature of its centre is known: the sum
  of 64-bit names of the zones that hold it. A point's signature is that of its cell's centre and what is gained and
  lost on the way from there: up or down, then sideways, over the few edges in the cell.
- Two points are held by the same zones when their signatures are equal. Which zones were gained and lost between two
  points is summed up along the same way, from centre to centre: the sets themselves are never written down.
- Within REACH of an edge nothing is left to floating point: the zones near are asked one by one (`Zone.holds`, exact,
  the boundary inside). So the answer is `Zone.holds`' in every case; geofences.batch gives it for many points at once.

Longitudes are WGS-84 degrees, -180 to 180; other turns of the globe are brought there. Where zones meet the
antimeridian, they and the points are looked at from 0 to 360.
"""

from collections.abc import Iterable, Sequence
from math import floor
from typing import NamedTuple

from geofences.cells_build import SHIFTS, Build, Grid, OnEdge, Rows, check_span, edges_of, name_of, summed, unwrapped
from geofences.zones import Zone, ZoneError

SIGNATURE_MASK = 0xFFFF_FFFF_FFFF_FFFF
EDGES_KEPT_MAX = 4_096  # leaves whose edges are kept ready for single points


class Place(NamedTuple):
    """A point as the cells see it: its cell of the widest grid, its leaf, and where it is from the leaf's centre.
    Outside of all zones both numbers are those of the border."""

    slot: int
    leaf: int
    x: float
    y: float
    longitude: float
    latitude: float


class _Edge(NamedTuple):
    """As geofences.cells_build.Leaves."""

    ya: float
    yb: float
    xa: float
    slope: float
    reach: float
    yc: float
    zone: int
    east: int
    up: int


class Cells:
    def __init__(self, zones: Iterable[Zone]) -> None:
        """Raises ZoneError when two zones have one id, or cannot be held together."""
        self.zones: Sequence[Zone] = tuple(sorted(zones, key=lambda zone: zone.id))
        for one, other in zip(self.zones, self.zones[1:], strict=False):
            if one.id == other.id:
                raise ZoneError(f"zone {one.id}: given twice")
        self.names = [name_of(zone.id) for zone in self.zones]
        self.east_of_seam = check_span(self.zones)
        self.build = self._compiled()
        self._near: dict[int, tuple[_Edge, ...]] = {}

    def place(self, longitude: float, latitude: float) -> Place:
        """WGS-84 degrees, finite."""
        longitude = turned(longitude)
        x = unwrapped(longitude, self.east_of_seam)
        grids, slots = self.build.grids, self.build.slots
        grid = grids[0]
        slot = at = _slot(grid, x, latitude)
        while (leaf := slots[at]) < 0:
            grid = grids[~leaf]
            at = _slot(grid, x, latitude)
        leaves = self.build.leaves
        return Place(slot, leaf, x - leaves.centre_x[leaf], latitude - leaves.centre_y[leaf], longitude, latitude)

    def signature(self, place: Place) -> int:
        """Equal for points that are held by the same zones."""
        names = self.names
        found: int = self.build.leaves.signature[place.leaf]
        for gain in self.gains(place):
            found += names[gain - 1] if gain > 0 else -names[-gain - 1]
        return found & SIGNATURE_MASK

    def between(self, start: Place, end: Place) -> list[int]:
        """The zones gained (index + 1) and lost (negative) from one point to another, in order."""
        beyond = self.build.leaves.beyond
        lost = [-gain for gain in (*beyond[start.leaf], *self.gains(start))]
        gained = (*self._way(start.slot, end.slot), *beyond[end.leaf], *self.gains(end))
        return sorted(summed(lost, gained), key=abs)

    def holding(self, place: Place) -> list[int]:
        """The indexes of all zones that hold the point, in order."""
        border = place.slot - place.slot % self.build.grids[0].columns
        found = summed(self._way(border, place.slot), (*self.build.leaves.beyond[place.leaf], *self.gains(place)))
        return sorted(gain - 1 for gain in found)

    def _compiled(self) -> Build:
        edges = [edge for index, zone in enumerate(self.zones) for edge in edges_of(zone, index, self.east_of_seam)]
        for shift in SHIFTS:
            try:
                return Build(edges, self.names, shift)
            except OnEdge:
                continue
        raise ZoneError("the zones' corners leave no place for a grid between them")  # pragma: no cover

    def _way(self, start: int, end: int) -> list[int]:
        """Gains and losses from the centre of one cell of the widest grid to that of another: sideways, then up or
        down."""
        columns = self.build.grids[0].columns
        (row, column), (last_row, last_column) = divmod(start, columns), divmod(end, columns)
        found: list[int] = []
        _walk(found, self.build.east, row * columns + column, row * columns + last_column, 1)
        _walk(found, self.build.north, row * columns + last_column, last_row * columns + last_column, columns)
        return found

    def gains(self, place: Place) -> list[int]:
        """Gained and lost on the way from the leaf's centre; a zone may be there more than once."""
        _, leaf, x, y, _, _ = place
        found = []
        for ya, yb, xa, slope, reach, yc, zone, east, up in self._near.get(leaf) or self._edges(leaf):
            meets = (ya > y) != (yb > y)
            if (yc > 0) != (yc > y):
                found.append((zone + 1) * up)
            if not (meets or y in (ya, yb)):
                continue
            to = xa + (y - ya) * slope
            if not (abs(to - x) > reach and abs(to) > reach):
                return self._exact(place)
            if meets and (to > 0) != (to > x):
                found.append((zone + 1) * (east if to > 0 else -east))
        return found

    def _exact(self, place: Place) -> list[int]:
        leaves = self.build.leaves
        centre = turned(leaves.centre_x[place.leaf]), leaves.centre_y[place.leaf]
        found = []
        for index in sorted({edge.zone for edge in self._edges(place.leaf)}):
            was, now = self._holds(index, *centre), self._holds(index, place.longitude, place.latitude)
            if was != now:
                found.append(index + 1 if now else -index - 1)
        return found

    def _holds(self, index: int, longitude: float, latitude: float) -> bool:
        """Exactly. Points on the antimeridian have two longitudes."""
        zone = self.zones[index]
        return zone.holds(longitude, latitude) or (abs(longitude) == 180.0 and zone.holds(-longitude, latitude))

    def _edges(self, leaf: int) -> tuple[_Edge, ...]:
        here = self.build.leaves
        if len(self._near) >= EDGES_KEPT_MAX:
            self._near.clear()
        span = slice(here.first[leaf], here.first[leaf + 1])
        columns = (here.ya, here.yb, here.xa, here.slope, here.reach, here.yc, here.zone, here.east, here.up)
        self._near[leaf] = found = tuple(map(_Edge, *(column[span] for column in columns)))
        return found


def turned(longitude: float) -> float:
    """Brought to -180..180 when it is from another turn of the globe."""
    if -180.0 <= longitude <= 180.0:
        return longitude
    return longitude - 360.0 * floor((longitude + 180.0) / 360.0)


def _slot(grid: Grid, x: float, y: float) -> int:
    column, row = int((x - grid.west) * grid.per_x), int((y - grid.south) * grid.per_y)
    column = 0 if column < 0 else min(column, grid.columns - 1)
    row = 0 if row < 0 else min(row, grid.rows - 1)
    return grid.first + row * grid.columns + column


def _walk(found: list[int], steps: Rows, start: int, end: int, stride: int) -> None:
    """The gains of the steps between two cells of a row or column; backwards they are losses."""
    if start <= end:
        for slot in range(start, end, stride):
            found.extend(steps[slot])
    else:
        for slot in range(start - stride, end - stride, -stride):
            found.extend(-gain for gain in steps[slot])
