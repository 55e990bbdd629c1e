"""The geofence benchmark: all engines tell the same events of a small world, and a checksum sees one that does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.fences import ours
from bench.fences.by_shapely import Shapely
from bench.fences.c_kernel import Kernel, compiled
from bench.fences.contest import checksums, leave_out
from bench.fences.engine import Absent, Engine
from bench.fences.events import Events, Pairs, checksum, naive, names_of
from bench.fences.javascript import JavaScript
from bench.fences.world import World, world

FENCES, MOVERS, FIXES = 300, 40, 1_200
SIDE_M = 4_000.0  # small, so that movers meet many of the fences

ENGINES: dict[str, Callable[[World, Path], Engine]] = {
    "ours": lambda here, folder: ours.Plain(ours.compiled(here), here.movers),
    "kernel.c": lambda here, folder: Kernel(compiled(folder), here),
    "shapely": lambda here, folder: Shapely(here),
    "turf": lambda here, folder: JavaScript(here, "turf", folder / "turf"),
    "which-polygon": lambda here, folder: JavaScript(here, "which", folder / "which"),
}


@pytest.fixture(scope="module")
def here() -> World:
    return world(FENCES, MOVERS, FIXES, SIDE_M)


@pytest.fixture(scope="module")
def expected(here: World) -> Events:
    return naive(here.fences, here.fixes)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_tells_what_the_naive_loop_does(name: str, here: World, expected: Events, tmp_path: Path) -> None:
    assert min(len(pairs[0]) for pairs in expected) > 100
    try:
        engine = ENGINES[name](here, tmp_path)
    except Absent as why:
        pytest.skip(str(why))
    try:
        assert checksums(here, {name: engine})[name] == checksum(expected, names_of(FENCES), FIXES)
        assert engine.single_us(here.fixes.first(100)) == [] or len(engine.single_us(here.fixes.first(100))) == 100
    finally:
        engine.close()


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_checksum_sees_one_event_less_one_fix_later_and_one_fence_beside(expected: Events, kind: int) -> None:
    names = names_of(FENCES)
    right = checksum(expected, names, FIXES)
    fix, fence = expected[kind]
    others = [Pairs(fix[1:], fence[1:]), Pairs(np.roll(fix, 1), fence), Pairs(fix, (fence + 1) % FENCES)]
    for other in others:
        assert (
            checksum(Events(*(other if at == kind else same for at, same in enumerate(expected))), names, FIXES)
            != right
        )


def test_the_checksum_knows_no_order_within_a_fix_and_takes_signatures_for_sets(expected: Events) -> None:
    names = names_of(FENCES)
    turned = Events(*(Pairs(fix[::-1], fence[::-1]) for fix, fence in expected))
    sums = np.array([names[expected.inside.fence[expected.inside.fix == fix]].sum() for fix in range(FIXES)], np.uint64)
    signed = Events(expected.entered, expected.left, sums)
    assert checksum(turned, names, FIXES) == checksum(signed, names, FIXES) == checksum(expected, names, FIXES)


class Forgetful(Shapely):
    """Tells of no fence that is left."""

    def events(self) -> Events:
        entered, left, inside = super().events()
        return Events(entered, Pairs(left.fix[:0], left.fence[:0]), inside)


def test_an_engine_with_other_events_does_not_count(here: World) -> None:
    engines: dict[str, Engine] = {"ours": Shapely(here), "peer": Shapely(here), "forgetful": Forgetful(here)}
    assert leave_out(here, engines, "ours") == {"forgetful": "it told other events"}
    assert list(engines) == ["ours", "peer"]


def test_nothing_counts_when_nobody_agrees_with_us(here: World) -> None:
    with pytest.raises(AssertionError, match="nobody has the events of ours"):
        leave_out(here, {"ours": Forgetful(here), "peer": Shapely(here)}, "ours")


def test_the_same_seed_makes_the_same_world(here: World) -> None:
    again = world(FENCES, MOVERS, FIXES, SIDE_M)
    assert all(np.array_equal(one, other) for one, other in zip(here.fixes, again.fixes, strict=True))
    assert all(
        np.array_equal(one, other)
        for a, b in zip(here.fences, again.fences, strict=True)
        for one, other in zip(a, b, strict=True)
    )
    assert np.all(np.diff(here.fixes.time_s) >= 0)
