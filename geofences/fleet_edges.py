"""How far many places are from the boundaries of zones: geofences.metres.boundary_m for pairs, by numpy, digit by digit
the same."""

from array import array

import numpy as np

from geofences.batch import Floats, Ints, spans
from geofences.cells_build import edges_of
from geofences.fleet_columns import Fixes
from geofences.plan import Plan


class Boundaries:
    def __init__(self, plan: Plan) -> None:
        numbers, ends = array("d"), [0]
        for at, zone in enumerate(plan.cells.zones):
            for edge in edges_of(zone, at, plan.cells.east_of_seam):
                numbers.extend(edge[:4])
            ends.append(len(numbers) // 4)
        self._first = np.array(ends)
        flat = np.frombuffer(numbers, np.float64).reshape(-1, 4)
        self._ax, self._ay = flat[:, 0].copy(), flat[:, 1].copy()
        self._run, self._rise = flat[:, 2] - flat[:, 0], flat[:, 3] - flat[:, 1]
        self._scale = plan.scale

    def metres(self, longitude: Floats, latitude: Floats, zone: Ints) -> Floats:
        """Of each place from the boundary of its zone; longitudes as the cells see them."""
        if not len(zone):
            return np.zeros(0)
        first, count = self._first[zone], self._first[zone + 1] - self._first[zone]
        of, edge = spans(first, count)
        east, north = self._per_degree(latitude)
        east, north = east[of], north[of]
        x, y = self._ax[edge], self._ay[edge]
        x -= longitude[of]
        y -= latitude[of]
        x *= east
        y *= north
        run, rise = self._run[edge], self._rise[edge]
        run *= east
        rise *= north
        along = -(x * run + y * rise) / (run * run + rise * rise)
        np.clip(along, 0.0, 1.0, out=along)
        run *= along
        rise *= along
        x += run
        y += rise
        x *= x
        y *= y
        x += y
        return np.sqrt(np.minimum.reduceat(x, np.cumsum(count) - count))

    def steps_m(self, start: Fixes, end: Fixes) -> Floats:
        """As geofences.metres.distance_m, to a millionth."""
        east, north = self._per_degree((start.latitude + end.latitude) / 2)
        x = (end.longitude - start.longitude + 180.0) % 360.0 - 180.0
        return np.hypot(x * east, (end.latitude - start.latitude) * north)

    def _per_degree(self, latitude: Floats) -> tuple[Floats, Floats]:
        off = latitude - self._scale.latitude
        east, north = np.zeros(len(off)), np.zeros(len(off))
        for one, other in zip(self._scale.east, self._scale.north, strict=True):
            east, north = east * off + one, north * off + other
        return east, north
