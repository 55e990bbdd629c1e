"""Our engine with everything on: dwell, hysteresis, accuracy, rings and a schedule, as a hub runs it."""

import time

import numpy as np

from bench.fences.engine import Engine
from bench.fences.events import Events, pairs
from bench.fences.world import Fixes, World, fence_id
from geofences.calendar import Schedule, Window
from geofences.cells import Cells
from geofences.fleet import Fleet
from geofences.fleet_columns import Fixes as Columns
from geofences.late import taken
from geofences.plan import Plan
from geofences.rules import Rules
from geofences.track import Fix, Track

BATCH = 1_000
ENTER_CERTAINTY, LEAVE_CERTAINTY, EXIT_BUFFER_M = 0.7, 0.84, 10.0
DWELL_S = 10.0
NIGHT = Schedule("Asia/Shanghai", (Window("20:00", "06:00"),))
RINGS = 3


def plan(cells: Cells, world: World) -> Plan:
    """Certainty and buffer everywhere; a third have a dwell, a tenth a schedule, a tenth are in sets of rings."""
    return Plan(cells, {fence_id(number): rules_of(number) for number in range(len(world.fences))})


def rules_of(number: int) -> Rules:
    return Rules(
        enter_certainty=ENTER_CERTAINTY,
        leave_certainty=LEAVE_CERTAINTY,
        exit_buffer_m=EXIT_BUFFER_M,
        dwell_in_s=DWELL_S if number % 3 == 0 else 0.0,
        dwell_out_s=DWELL_S if number % 3 == 0 else 0.0,
        dwelt_s=60.0 if number % 3 == 1 else None,
        schedule=NIGHT if number % 10 == 1 else None,
        one_of=f"rings {number // (10 * RINGS)}" if number % 10 == 2 else "",
        rank=number // 10 % RINGS,
    )


class Full(Engine):
    def __init__(self, cells: Cells, world: World) -> None:
        self._plan = plan(cells, world)
        self._movers = world.movers

    def batch_s(self, fixes: Fixes) -> float:
        fleet = Fleet(self._plan)
        for _ in range(self._movers):
            fleet.add()
        nothing = np.full(len(fixes.mover), np.nan)
        columns = Columns(fixes.time_s, fixes.longitude, fixes.latitude, fixes.accuracy_m, nothing, nothing, nothing)
        self.told = []
        began = time.perf_counter()
        for at in range(0, len(fixes.mover), BATCH):
            here = np.arange(at, min(at + BATCH, len(fixes.mover)))
            self.told += fleet.take(fixes.mover[here], columns.of(here))
        return time.perf_counter() - began

    def events(self) -> Events:
        """Not those of the plain engines: nobody's to compare."""
        return Events(pairs([]), pairs([]), pairs([]))

    def single_us(self, fixes: Fixes) -> list[float]:
        tracks, clock, spent = [Track()] * self._movers, time.perf_counter_ns, []
        for mover, *numbers in zip(*(column.tolist() for column in fixes), strict=True):
            fix = Fix(*numbers)
            began = clock()
            tracks[mover], _ = taken(tracks[mover], fix, self._plan)
            spent.append((clock() - began) / 1_000)
        return spent
