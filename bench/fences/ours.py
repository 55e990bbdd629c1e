"""Our engine, asked as the others are: which fences were entered and left, and of each fix the signature of its set."""

import time
from typing import NamedTuple

import numpy as np

from bench.fences.engine import Engine
from bench.fences.events import Events, Ints, Names, Pairs
from bench.fences.world import Fixes, World, fence_id, geometry
from geofences.batch import Batch, Points
from geofences.cells import Cells, Place
from geofences.zones import zone

BATCH = 1_000  # as many as a hub is given at once
NOWHERE = (0.0, 0.0)


def compiled(world: World) -> Cells:
    """The zones' order is the fences'."""
    return Cells(zone(fence_id(number), geometry(rings)) for number, rings in enumerate(world.fences))


class _Told(NamedTuple):
    fix: Ints
    fence: Ints
    gain: Ints


class Plain(Engine):
    def __init__(self, cells: Cells, movers: int) -> None:
        self._cells = cells
        self._batch = Batch(cells)
        self._movers = movers

    def batch_s(self, fixes: Fixes) -> float:
        last = self._batch.points(*(np.full(self._movers, value) for value in NOWHERE))
        told, signatures = [], []
        began = time.perf_counter()
        for at in range(0, len(fixes.mover), BATCH):
            here = slice(at, at + BATCH)
            points = self._batch.points(fixes.longitude[here], fixes.latitude[here])
            told.append(self._changes(fixes.mover[here], points, last, at))
            signatures.append(points.signature)
        self._signatures: Names = np.concatenate(signatures)
        self._told = _Told(*(np.concatenate(column) for column in zip(*told, strict=True)))
        return time.perf_counter() - began

    def events(self) -> Events:
        fix, fence, gain = self._told
        return Events(*(Pairs(fix[gain == kind], fence[gain == kind]) for kind in (1, -1)), self._signatures)

    def single_us(self, fixes: Fixes) -> list[float]:
        place, between = self._cells.place, self._cells.between
        state: list[Place] = [place(*NOWHERE)] * self._movers
        clock, taken = time.perf_counter_ns, []
        columns = (fixes.mover.tolist(), fixes.longitude.tolist(), fixes.latitude.tolist())
        for mover, longitude, latitude in zip(*columns, strict=True):
            began = clock()
            here = place(longitude, latitude)
            there = state[mover]
            if here.signature != there.signature:
                between(there, here)
            state[mover] = here
            taken.append((clock() - began) / 1_000)
        return taken

    def _changes(self, mover: Ints, points: Points, last: Points, first: int) -> _Told:
        """Against each mover's point before: an earlier one of the batch, or `last`, which is brought forward."""
        order = np.argsort(mover, kind="stable")
        again = mover[order[1:]] == mover[order[:-1]]
        before = np.full(len(mover), -1)
        before[order[1:][again]] = order[:-1][again]
        was = np.where(before >= 0, points.signature[before], last.signature[mover])
        changed = np.flatnonzero(points.signature != was)
        start = Points(
            *(
                np.where(before[changed] >= 0, new[before[changed]], old[mover[changed]])
                for new, old in zip(points, last, strict=True)
            )
        )
        found = self._batch.between(start, points.of(changed))
        for new, old in zip(points, last, strict=True):
            old[mover] = new
        return _Told(changed[found.point] + first, found.zone, found.gain)
