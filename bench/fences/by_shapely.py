"""Peer: shapely's STRtree, then prepared polygons: all fixes at once by numpy, and one by one."""

import time

import numpy as np
import shapely

from bench.fences.engine import Engine
from bench.fences.events import Events, Pairs, changed
from bench.fences.world import Fixes, World


class Shapely(Engine):
    def __init__(self, world: World) -> None:
        self._polygons = np.array([shapely.Polygon(outer, holes) for outer, *holes in world.fences])
        shapely.prepare(self._polygons)
        self._tree = shapely.STRtree(self._polygons)

    def batch_s(self, fixes: Fixes) -> float:
        began = time.perf_counter()
        fix, fence = self._tree.query(shapely.points(fixes.longitude, fixes.latitude))
        held = shapely.intersects_xy(self._polygons[fence], fixes.longitude[fix], fixes.latitude[fix])
        inside = Pairs(fix[held].astype(np.int32), fence[held].astype(np.int32))
        self._events = Events(*changed(inside, fixes, len(self._polygons)), inside)
        return time.perf_counter() - began

    def events(self) -> Events:
        return self._events

    def single_us(self, fixes: Fixes) -> list[float]:
        query, polygons, nothing = self._tree.query, self._polygons, frozenset[int]()
        state: dict[int, frozenset[int]] = {}
        taken = []
        for mover, x, y in zip(*(c.tolist() for c in (fixes.mover, fixes.longitude, fixes.latitude)), strict=True):
            began = time.perf_counter_ns()
            found = query(shapely.points(x, y))
            here = frozenset(found[shapely.intersects_xy(polygons[found], x, y)].tolist())
            was = state.get(mover, nothing)
            if here != was:
                _ = here - was, was - here
            state[mover] = here
            taken.append((time.perf_counter_ns() - began) / 1_000)
        return taken
