"""What an engine says of every fix: the fences entered, left, and those that hold it; and one number for all of it.

The first fix of a mover enters every fence that holds it. An engine counts only when its checksum is the others': the
sets of each fix are summed as 64-bit names (in any order), and these sums are mixed with the number of the fix.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.fences.world import Fixes, Ring, fence_id
from geofences.cells_build import name_of

Names: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int32]


class Pairs(NamedTuple):
    """Fix and fence by their numbers, in any order."""

    fix: Ints
    fence: Ints


class Events(NamedTuple):
    """`inside` may be given as its sum of names for each fix instead, by an engine that never writes the sets down."""

    entered: Pairs
    left: Pairs
    inside: Pairs | Names


def names_of(fences: int) -> Names:
    """Our engine's, so that the signatures which it gives are such sums."""
    return np.array([name_of(fence_id(number)) for number in range(fences)], np.uint64)


def checksum(events: Events, names: Names, fixes: int) -> str:
    """Of all three kinds, as 16 hexadecimal digits."""
    total = np.uint64(0)
    numbers = np.arange(1, fixes + 1, dtype=np.uint64)
    for kind, found in enumerate(events):
        sums = _sums(found, names, fixes) if isinstance(found, Pairs) else found
        total = _mixed(np.array([total])) + _mixed(sums + _mixed(numbers * np.uint64(4) + np.uint64(kind))).sum()
        total = total[0]
    return f"{int(total):016x}"


def _sums(pairs: Pairs, names: Names, fixes: int) -> Names:
    sums = np.zeros(fixes, np.uint64)
    np.add.at(sums, pairs.fix, names[pairs.fence])
    return sums


def _mixed(values: Names) -> Names:
    """The end of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def pairs(found: list[tuple[int, int]]) -> Pairs:
    columns = np.array(found, np.int32).reshape(-1, 2)
    return Pairs(columns[:, 0], columns[:, 1])


def changed(inside: Pairs, fixes: Fixes, fences: int) -> tuple[Pairs, Pairs]:
    """(entered, left) by comparing each fix's set with that of its mover's fix before, all at once."""
    before, after = _neighbours(fixes.mover)
    keys = np.sort(inside.fix.astype(np.int64) * fences + inside.fence)
    fix, fence = np.divmod(keys, fences)
    was = _among(before[fix] * fences + fence, keys) & (before[fix] >= 0)
    stays = _among(after[fix] * fences + fence, keys) | (after[fix] < 0)
    entered = Pairs(fix[~was].astype(np.int32), fence[~was].astype(np.int32))
    return entered, Pairs(after[fix[~stays]].astype(np.int32), fence[~stays].astype(np.int32))


def _neighbours(mover: Ints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each fix the number of its mover's one before and after; -1 for none."""
    order = np.argsort(mover, kind="stable")
    same = mover[order[1:]] == mover[order[:-1]]
    before = np.full(len(mover), -1)
    after = np.full(len(mover), -1)
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def _among(keys: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """`known` is sorted, as `keys` nearly are."""
    if not len(known):
        return np.zeros(len(keys), np.bool_)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def naive(fences: list[list[Ring]], fixes: Fixes) -> Events:
    """Every fence is asked for every fix by the crossings of a ray to the east: independent of all engines."""
    state: dict[int, set[int]] = {}
    entered, left, inside = [], [], []
    for fix, (mover, x, y) in enumerate(zip(fixes.mover, fixes.longitude, fixes.latitude, strict=True)):
        here = {number for number, rings in enumerate(fences) if sum(_crossings(ring, x, y) for ring in rings) % 2}
        was = state.get(mover, set())
        entered += [(fix, fence) for fence in here - was]
        left += [(fix, fence) for fence in was - here]
        inside += [(fix, fence) for fence in here]
        state[mover] = here
    return Events(pairs(entered), pairs(left), pairs(inside))


def _crossings(ring: Ring, x: float, y: float) -> int:
    (ax, ay), (bx, by) = ring[:-1].T, ring[1:].T
    meets = (ay > y) != (by > y)
    ax, ay, bx, by = ax[meets], ay[meets], bx[meets], by[meets]
    return int(np.count_nonzero(ax + (y - ay) / (by - ay) * (bx - ax) > x))
