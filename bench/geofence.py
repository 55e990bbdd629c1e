"""Fixes → fences entered, left and inside, on one core, beside other engines and a plain C kernel in the same run.

The limit is fences/kernel.c. Peers: shapely (all fixes at once, and one by one), turf + flatbush and which-polygon in
Node, PostGIS and Tile38 where they are. An engine counts only when the checksum of its events is ours. The curve runs
on to 100,000 fences: in the same square, where a fix is in more and more of them, and in one that grows with them.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.fences import contest, curve, held, ours, rows
from bench.fences.by_shapely import Shapely
from bench.fences.c_kernel import Kernel, compiled
from bench.fences.engine import Engine
from bench.fences.events import Pairs
from bench.fences.full import Full
from bench.fences.javascript import JavaScript
from bench.fences.world import World, world
from bench.result import Result

SIZES = (1_000, 10_000)
MOVERS, FIXES, FIXES_QUICK = 5_000, 200_000, 50_000
ROUNDS, ROUNDS_QUICK = 5, 3
SINGLES, SINGLES_QUICK = 20_000, 5_000
TRACKS = 10_000


def run(quick: bool) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as name, contest.one_core():
        for fences in SIZES:
            folder = Path(name) / str(fences)
            folder.mkdir()
            results += rows.of(_contest(world(fences, MOVERS, FIXES_QUICK if quick else FIXES), folder, quick))
        held_mb = held.over_bare_mb(world(SIZES[-1], TRACKS, TRACKS), Path(name))
        results.append(rows.memory(held_mb, SIZES[-1], TRACKS))
        results += curve.run(Path(name), quick)
    return results


def _contest(here: World, folder: Path, quick: bool) -> rows.Contest:
    began = time.perf_counter()
    cells = ours.compiled(here)
    compile_s = time.perf_counter() - began
    makers: dict[str, Callable[[], Engine]] = {
        rows.OURS: lambda: ours.Plain(cells, here.movers),
        rows.C_KERNEL: lambda: Kernel(compiled(folder), here),
        rows.SHAPELY: lambda: Shapely(here),
        rows.TURF: lambda: JavaScript(here, "turf", folder / "turf"),
        rows.WHICH: lambda: JavaScript(here, "which", folder / "which"),
    }
    engines, absent = contest.built(makers)
    try:
        absent |= contest.leave_out(here, engines, rows.OURS)
        inside = engines[rows.SHAPELY].events().inside
        assert isinstance(inside, Pairs)
        full, not_full = contest.built({rows.FULL: lambda: Full(cells, here)})
        rounds, singles = (ROUNDS_QUICK, SINGLES_QUICK) if quick else (ROUNDS, SINGLES)
        return rows.Contest(
            fences=len(here.fences),
            fixes=len(here.fixes.mover),
            rounds=rounds,
            inside=len(inside.fix) / len(here.fixes.mover),
            compile_s=compile_s,
            times=contest.race(here, engines | full, rounds, singles),
            absent=absent | not_full,
        )
    finally:
        for engine in engines.values():
            engine.close()
