"""Many points at once over compiled zones: geofences.cells' answers, by numpy. Pure; for hubs and tools.

The same columns, the same sums, the same order of operations as for one point; where a point is within reach of an
edge, it is asked there. So both say the same, bit for bit. An agent does without: numpy would cost it 14 MB.
"""

from array import array
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geofences.cells import Cells, Place
from geofences.cells_build import EDGE_NUMBERS, Build, Rows

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Names: TypeAlias = NDArray[np.uint64]
Flags: TypeAlias = NDArray[np.bool_]


class Points(NamedTuple):
    """As geofences.cells.Place, n points. `signature` of each; `near`: within reach of an edge, looked at exactly."""

    slot: Ints
    leaf: Ints
    x: Floats
    y: Floats
    longitude: Floats
    latitude: Floats
    signature: Names
    near: Flags

    def of(self, which: Ints | Flags) -> "Points":
        return Points._make(column[which] for column in self)


class Changes(NamedTuple):
    """Zones gained (+1) and lost (-1), in order of the point and then of the zone."""

    point: Ints
    zone: Ints
    gain: Ints


class _Crossed(NamedTuple):
    """Edges crossed on the way from the leaf's centre; `gain` as in geofences.cells_build.Rows."""

    point: Ints
    gain: Ints


class Batch:
    def __init__(self, cells: Cells) -> None:
        """Shares the cells' columns."""
        self._cells = cells
        self._build: Build = cells.build
        leaves = self._build.leaves
        self._slots = np.frombuffer(self._build.slots, np.int32)
        self._centre_x, self._centre_y = _floats(leaves.centre_x), _floats(leaves.centre_y)
        self._signature = np.frombuffer(leaves.signature, np.uint64)
        self._grids = np.array(self._build.grids, np.float64).T
        self._first = np.frombuffer(leaves.first, np.int64)
        self._edges = _floats(leaves.edges).reshape(-1, EDGE_NUMBERS)
        self._east, self._up = _whole(leaves.east), _whole(leaves.up)
        self._worth = np.frombuffer(cells.worth, np.uint64)

    def points(self, longitude: Floats, latitude: Floats) -> Points:
        """WGS-84 degrees, finite; equally long."""
        longitude = _turned(longitude)
        x = longitude
        if self._cells.east_of_seam:
            x = np.where(x < 0, x + 360.0, x)
        slot, leaf = self._located(x, latitude)
        x, y = x - self._centre_x[leaf], latitude - self._centre_y[leaf]
        signature, near = self._signed(leaf, x, y)
        found = Points(slot, leaf, x, y, longitude, latitude, signature, near)
        for at in np.flatnonzero(near):
            signature[at] = self._cells.place(float(longitude[at]), float(latitude[at])).signature
        return found

    def between(self, start: Points, end: Points) -> Changes:
        """What changed from each point of one to its like of the other."""
        parts = [_less(self._gains(start)), self._gains(end)]
        parts.append(_less(_listed(self._build.leaves.beyond, start.leaf)))
        parts.append(_listed(self._build.leaves.beyond, end.leaf))
        parts.extend(self._way(start.slot, end.slot))
        point = np.concatenate([part.point for part in parts])
        gain = np.concatenate([part.gain for part in parts])
        count = len(self._cells.zones)
        key = point * count + np.abs(gain) - 1
        order = np.argsort(key, kind="stable")
        key, gain = key[order], np.sign(gain[order])
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else key
        total = np.add.reduceat(gain, starts) if len(key) else gain
        kept = total != 0
        key, total = key[starts][kept], total[kept]
        return Changes(key // count, key % count, total)

    def _located(self, x: Floats, y: Floats) -> tuple[Ints, Ints]:
        grid = self._build.grids[0]
        column = np.clip(((x - grid.west) * grid.per_x).astype(np.int64), 0, grid.columns - 1)
        row = np.clip(((y - grid.south) * grid.per_y).astype(np.int64), 0, grid.rows - 1)
        slot = row * grid.columns + column
        leaf = self._slots[slot].astype(np.int64)
        divided = np.flatnonzero(leaf < 0)
        while len(divided):
            west, south, per_x, per_y, columns, rows, first = self._grids[:, ~leaf[divided]]
            column = np.clip(((x[divided] - west) * per_x).astype(np.int64), 0, columns.astype(np.int64) - 1)
            row = np.clip(((y[divided] - south) * per_y).astype(np.int64), 0, rows.astype(np.int64) - 1)
            at = first.astype(np.int64) + row * columns.astype(np.int64) + column
            leaf[divided] = self._slots[at]
            divided = divided[leaf[divided] < 0]
        return slot, leaf

    def _signed(self, leaf: Ints, x: Floats, y: Floats) -> tuple[Names, Flags]:
        """The signatures, and which points are too near to an edge for them to be right."""
        first, count = self._first[leaf], self._first[leaf + 1] - self._first[leaf]
        crossed, near = self._crossed(first, count, x, y)
        ends = np.searchsorted(crossed.point, np.arange(len(leaf) + 1))
        sums = np.zeros(len(crossed.gain) + 1, np.uint64)
        np.cumsum(self._worth[crossed.gain], out=sums[1:])
        gained = sums[ends[1:]] - sums[ends[:-1]]
        return self._signature[leaf] + gained, near

    def _crossed(self, first: Ints, count: Ints, x: Floats, y: Floats) -> tuple[_Crossed, Flags]:
        point, edge = spans(first, count)
        y_here, x_here = y[point], x[point]
        numbers = self._edges[edge]
        ya, yb, yc = numbers[:, 0], numbers[:, 1], numbers[:, 5]
        above = ya > y_here
        meets = above != (yb > y_here)
        up = np.flatnonzero((yc > 0) != (yc > y_here))
        looked = np.flatnonzero(meets | (ya == y_here) | (yb == y_here))
        x_there = x_here[looked]
        _, _, xa, slope, reach, _ = numbers[looked].T
        to = xa + (y_here[looked] - ya[looked]) * slope
        near = np.zeros(len(x), np.bool_)
        near[point[looked[~((np.abs(to - x_there) > reach) & (np.abs(to) > reach))]]] = True
        right = to > 0
        over = np.flatnonzero((right != (to > x_there)) & meets[looked])
        east = self._east[edge[looked[over]]]
        at = np.concatenate([up, looked[over]])
        gain = np.concatenate([self._up[edge[up]], np.where(right[over], east, -east)])
        order = np.argsort(at, kind="stable")
        return _Crossed(point[at[order]], gain[order]), near

    def _gains(self, points: Points) -> _Crossed:
        first, count = self._first[points.leaf], self._first[points.leaf + 1] - self._first[points.leaf]
        crossed, _ = self._crossed(first, np.where(points.near, 0, count), points.x, points.y)
        exact = [(at, gain) for at in np.flatnonzero(points.near) for gain in self._cells.gains(_place(points, at))]
        if not exact:
            return crossed
        more = np.array(exact, np.int64).T
        return _Crossed(np.concatenate([crossed.point, more[0]]), np.concatenate([crossed.gain, more[1]]))

    def _way(self, start: Ints, end: Ints) -> list[_Crossed]:
        """As geofences.cells: sideways, then up or down."""
        moved = np.flatnonzero(start != end)
        columns = self._build.grids[0].columns
        row, column = np.divmod(start[moved], columns)
        last_row, last_column = np.divmod(end[moved], columns)
        corner = row * columns + last_column
        return [
            _steps(self._build.east, moved, start[moved], last_column - column, 1),
            _steps(self._build.north, moved, corner, last_row - row, columns),
        ]


def _steps(steps: Rows, point: Ints, start: Ints, count: Ints, stride: int) -> _Crossed:
    """The gains of `count` steps from each start; of steps backwards (below 0) they are losses."""
    back = count < 0
    at, number = spans(np.zeros(len(start), np.int64), np.abs(count))
    step = start[at] + stride * np.where(back[at], -1 - number, number)
    found = _listed(steps, step)
    of = at[found.point]
    return _Crossed(point[of], np.where(back[of], -found.gain, found.gain))


def _listed(rows: Rows, which: Ints) -> _Crossed:
    """The values of some of the lists, each with the place of its list in `which`."""
    first = np.frombuffer(rows.first, np.int64)
    point, at = spans(first[which], first[which + 1] - first[which])
    values = _whole(rows.values)
    return _Crossed(point, values[at].astype(np.int64))


def _less(crossed: _Crossed) -> _Crossed:
    return _Crossed(crossed.point, -crossed.gain)


def spans(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """The numbers first, first + 1 … of each span, and which span each is of."""
    ends = np.cumsum(count)
    of = np.repeat(np.arange(len(count)), count)
    return of, np.arange(len(of)) + (first - ends + count)[of]


def _turned(longitude: Floats) -> Floats:
    away = (longitude < -180.0) | (longitude > 180.0)
    if not away.any():
        return longitude
    return np.where(away, longitude - 360.0 * np.floor((longitude + 180.0) / 360.0), longitude)


def _place(points: Points, at: np.intp) -> Place:
    return Place(
        int(points.signature[at]),
        int(points.slot[at]),
        int(points.leaf[at]),
        float(points.x[at]),
        float(points.y[at]),
        float(points.longitude[at]),
        float(points.latitude[at]),
    )


def _whole(column: "array[int]") -> NDArray[np.int32]:
    """frombuffer refuses an empty one."""
    return np.frombuffer(column, np.int32) if column else np.zeros(0, np.int32)


def _floats(column: "array[float]") -> Floats:
    return np.frombuffer(column, np.float64) if column else np.zeros(0)
