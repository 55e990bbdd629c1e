"""All engines over one world: events compared, then timed in turns on one core, so that a busy moment hits them all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from msgspec import Struct

from bench.fences.engine import Absent, Engine
from bench.fences.events import checksum, names_of
from bench.fences.world import World


class Times(Struct, frozen=True):
    """Medians of the rounds; of single fixes 0 for an engine that is not for them."""

    fixes_per_s: float
    single_p50_us: float
    single_p99_us: float


@contextmanager
def one_core() -> Iterator[None]:
    """This process, and what it starts meanwhile, keep to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def built(makers: dict[str, Callable[[], Engine]]) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that are here, and why each other one is not."""
    engines, absent = {}, {}
    for name, make in makers.items():
        try:
            engines[name] = make()
        except Absent as error:
            absent[name] = str(error)
    return engines, absent


def checksums(world: World, engines: dict[str, Engine]) -> dict[str, str]:
    names = names_of(len(world.fences))
    found = {}
    for name, engine in engines.items():
        engine.batch_s(world.fixes)
        found[name] = checksum(engine.events(), names, len(world.fixes.mover))
    return found


def leave_out(world: World, engines: dict[str, Engine], ours: str) -> dict[str, str]:
    """Takes those with other events than ours out of `engines`; somebody has to have ours."""
    found = checksums(world, engines)
    others = [name for name in found if found[name] != found[ours]]
    assert len(others) < len(found) - 1, f"nobody has the events of {ours}: {found}"
    for name in others:
        engines.pop(name).close()
    return dict.fromkeys(others, "it told other events")


def race(world: World, engines: dict[str, Engine], rounds: int, singles: int) -> dict[str, Times]:
    """`singles`: fixes that are called one by one, after each mover's first."""
    rates: dict[str, list[float]] = {name: [] for name in engines}
    p50s: dict[str, list[float]] = {name: [] for name in engines}
    p99s: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            rates[name].append(len(world.fixes.mover) / engine.batch_s(world.fixes))
            taken = sorted(engine.single_us(world.fixes.first(world.movers + singles))[world.movers :])
            p50s[name].append(taken[len(taken) // 2] if taken else 0.0)
            p99s[name].append(taken[len(taken) * 99 // 100] if taken else 0.0)
    return {name: Times(median(rates[name]), median(p50s[name]), median(p99s[name])) for name in engines}
