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

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import floor
from typing import NamedTuple

from geofences.cells_build import (
    EDGE_NUMBERS,
    SHIFTS,
    SIGNATURE_MASK,
    Build,
    Grid,
    OnEdge,
    Rows,
    check_span,
    edges_of,
    name_of,
    summed,
    unwrapped,
)
from geofences.zones import Zone, ZoneError


class Place(NamedTuple):
    """A point as the cells see it: its cell of the widest grid (of its border when the point is outside), its leaf, and
    where it is from the leaf's centre. The signature is equal for points that are held by the same zones."""

    signature: int
    slot: int
    leaf: int
    x: float
    y: float
    longitude: float
    latitude: float


class Cells:
    def __init__(self, zones: Iterable[Zone]) -> None:
        """Raises ZoneError when two zones have one id, or cannot be held together."""
        self.zones: Sequence[Zone] = tuple(sorted(zones, key=lambda zone: zone.id))
        for one, other in pairwise(self.zones):
            if one.id == other.id:
                raise ZoneError(f"zone {one.id}: given twice")
        names = [name_of(zone.id) for zone in self.zones]
        # what a gain adds to a signature, by the gain: 0, 1 … n, and from the end -1 … -n
        self.worth = array("Q", [0, *names, *((-name) & SIGNATURE_MASK for name in reversed(names))])
        self.east_of_seam = check_span(self.zones)
        self.build = self._compiled(names)

    def place(self, longitude: float, latitude: float) -> Place:
        """WGS-84 degrees, finite."""
        longitude = turned(longitude)
        x = unwrapped(longitude, self.east_of_seam)
        build = self.build
        west, south, per_x, per_y, columns, rows, _ = build.grids[0]
        column, row = int((x - west) * per_x), int((latitude - south) * per_y)
        column = 0 if column < 0 else column if column < columns else columns - 1
        row = 0 if row < 0 else row if row < rows else rows - 1
        slot = row * columns + column
        leaf = build.slots[slot]
        while leaf < 0:
            leaf = build.slots[_slot(build.grids[~leaf], x, latitude)]
        leaves, worth = build.leaves, self.worth
        signature, x, y = leaves.signature[leaf], x - leaves.centre_x[leaf], latitude - leaves.centre_y[leaf]
        gains = self._crossed(leaf, x, y)
        for gain in self._exact(leaf, longitude, latitude) if gains is None else gains:
            signature += worth[gain]
        return Place(signature & SIGNATURE_MASK, slot, leaf, x, y, longitude, latitude)

    def gains(self, place: Place) -> list[int]:
        """The zones gained (index + 1) and lost (negative) on the way from its leaf's centre; one may come twice."""
        found = self._crossed(place.leaf, place.x, place.y)
        return self._exact(place.leaf, place.longitude, place.latitude) if found is None else found

    def between(self, start: Place, end: Place) -> list[int]:
        """The zones gained (index + 1) and lost (negative) from one point to another, in order."""
        beyond = self.build.leaves.beyond
        lost = [-gain for gain in (*beyond[start.leaf], *self.gains(start))]
        gained = (*self._way(start.slot, end.slot), *beyond[end.leaf], *self.gains(end))
        return sorted(summed(lost, gained), key=abs)

    def holding(self, place: Place) -> list[int]:
        """The indexes of all zones that hold the point, in order."""
        border = place.slot - place.slot % self.build.grids[0].columns
        way = self._way(border, place.slot)
        found = summed(way, (*self.build.leaves.beyond[place.leaf], *self.gains(place)))
        return sorted(gain - 1 for gain in found)

    def _compiled(self, names: Sequence[int]) -> Build:
        edges = [edge for index, zone in enumerate(self.zones) for edge in edges_of(zone, index, self.east_of_seam)]
        for shift in SHIFTS:
            try:
                return Build(edges, names, shift)
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

    def _crossed(self, leaf: int, x: float, y: float) -> list[int] | None:
        """The gains on the way from a leaf's centre; None when it is too near to an edge to tell so."""
        leaves = self.build.leaves
        first, end = leaves.first[leaf], leaves.first[leaf + 1]
        found: list[int] = []
        numbers = iter(leaves.edges[first * EDGE_NUMBERS : end * EDGE_NUMBERS])
        for at, (ya, yb, xa, slope, reach, yc) in enumerate(zip(*[numbers] * EDGE_NUMBERS, strict=True), first):
            meets = (ya > y) != (yb > y)
            if (yc > 0) != (yc > y):
                found.append(leaves.up[at])
            if not (meets or y in (ya, yb)):
                continue
            to = xa + (y - ya) * slope
            if not (abs(to - x) > reach and abs(to) > reach):
                return None
            if meets and (to > 0) != (to > x):
                found.append(leaves.east[at] if to > 0 else -leaves.east[at])
        return found

    def _exact(self, leaf: int, longitude: float, latitude: float) -> list[int]:
        leaves = self.build.leaves
        centre = turned(leaves.centre_x[leaf]), leaves.centre_y[leaf]
        found = []
        for index in sorted(leaves.zones(leaf)):
            was, now = self._holds(index, *centre), self._holds(index, longitude, latitude)
            if was != now:
                found.append(index + 1 if now else -index - 1)
        return found

    def _holds(self, index: int, longitude: float, latitude: float) -> bool:
        """Exactly. Points on the antimeridian have two longitudes."""
        zone = self.zones[index]
        return zone.holds(longitude, latitude) or (abs(longitude) == 180.0 and zone.holds(-longitude, latitude))


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
