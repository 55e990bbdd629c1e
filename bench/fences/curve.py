"""How the cost grows: to 100,000 fences in one square, where a fix is in ever more of them, and in one that grows."""

from collections.abc import Callable
from math import sqrt
from pathlib import Path

from bench.fences import contest, ours
from bench.fences.by_shapely import Shapely
from bench.fences.c_kernel import Kernel, compiled
from bench.fences.engine import Engine
from bench.fences.events import Pairs
from bench.fences.rows import C_KERNEL, OURS, SHAPELY
from bench.fences.world import SIDE_M, World, world
from bench.result import Result

FENCES, FENCES_QUICK = (1_000, 3_000, 10_000, 30_000, 100_000), (1_000, 3_000)
MOVERS, FIXES = 1_000, 40_000
ROUNDS, ROUNDS_QUICK = 5, 3
SAME, GROWING = "same square", "growing square"


def run(folder: Path, quick: bool) -> list[Result]:
    results = []
    for square in (SAME, GROWING):
        for fences in FENCES_QUICK if quick else FENCES:
            side_m = SIDE_M * sqrt(fences / FENCES[0]) if square == GROWING else SIDE_M
            here = world(fences, MOVERS, FIXES, side_m)
            results += _measured(here, folder, ROUNDS_QUICK if quick else ROUNDS, f"{square}, {fences:,} fences")
    return results


def _measured(here: World, folder: Path, rounds: int, named: str) -> list[Result]:
    cells = ours.compiled(here)
    makers: dict[str, Callable[[], Engine]] = {
        OURS: lambda: ours.Plain(cells, here.movers),
        C_KERNEL: lambda: Kernel(compiled(folder), here),
        SHAPELY: lambda: Shapely(here),
    }
    engines, _ = contest.built(makers)
    contest.leave_out(here, engines, OURS)
    inside = engines[SHAPELY].events().inside
    assert isinstance(inside, Pairs)
    matches = len(inside.fix) / FIXES
    times = contest.race(here, engines, rounds, 0)
    for engine in engines.values():
        engine.close()
    limit = times[C_KERNEL].fixes_per_s if C_KERNEL in times else None
    told = f"{FIXES:,} fixes, each in {matches:.1f} fences"
    rates = [
        Result(name=f"{named}: {name}", value=each.fixes_per_s, unit="fixes/s", limit=limit, limit_name=C_KERNEL)
        for name, each in times.items()
    ]
    ours_ns, shapely_ns = (1e9 / times[name].fixes_per_s / matches for name in (OURS, SHAPELY))
    name = f"{named}: cost of a match"
    return [*rates, Result(name=name, value=ours_ns, unit="ns", limit=shapely_ns, limit_name=SHAPELY, note=told)]
