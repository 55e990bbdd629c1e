"""kernel.c, compiled in the run and called through ctypes: the limit."""

import ctypes
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

from bench.fences.engine import Absent, Engine
from bench.fences.events import Events, Pairs
from bench.fences.world import Fixes, Floats, Ints, World

SOURCE = Path(__file__).with_name("kernel.c")
CELLS_A_SIDE = (64, 128, 256, 512, 1_024, 2_048)
LISTED_MAX = 40_000_000  # fences in cells, each four bytes
CELLS_OF_A_FENCE = 400  # at most: more no longer help
LISTS = ("entered", "left", "inside", "inside_first")
ANY, WHOLE, REAL, POINTER = ctypes.c_void_p, ctypes.c_int, ctypes.c_double, ctypes.POINTER
WHOLES, LONGS = POINTER(ctypes.c_int32), POINTER(ctypes.c_int64)


def compiled(folder: Path) -> ctypes.CDLL:
    """Raises Absent."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Absent("no C compiler on the PATH")
    library = folder / "kernel.so"
    argv = [compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Absent(f"{compiler} failed: {done.stderr.strip()[:200]}")
    found = ctypes.CDLL(str(library))
    for name, result, arguments in (
        ("new", ANY, [ANY, ANY, ANY, ANY, WHOLE, WHOLE, WHOLE]),
        ("reset", None, [ANY]),
        ("free", None, [ANY]),
        ("batch", None, [ANY, ANY, ANY, ANY, ctypes.c_int32]),
        ("fix", None, [ANY, ctypes.c_int32, REAL, REAL, WHOLES, WHOLES, WHOLES, WHOLES]),
        ("list", WHOLES, [ANY, WHOLE, LONGS]),
    ):
        function = getattr(found, f"kernel_{name}")
        function.restype, function.argtypes = result, arguments
    return found


class Kernel(Engine):
    def __init__(self, library: ctypes.CDLL, world: World) -> None:
        self._library = library
        self._fences = len(world.fences)
        rings = [ring for fence in world.fences for ring in fence]
        positions = np.concatenate(rings)
        x, y = np.ascontiguousarray(positions[:, 0]), np.ascontiguousarray(positions[:, 1])
        ring_first = np.cumsum([0, *map(len, rings)], dtype=np.int64)
        fence_first = np.cumsum([0, *map(len, world.fences)], dtype=np.int64)
        self._kernel = library.kernel_new(
            *(column.ctypes.data for column in (x, y, ring_first, fence_first)),
            len(world.fences),
            world.movers,
            _cells_a_side(world, np.ptp(positions, axis=0)),
        )

    def batch_s(self, fixes: Fixes) -> float:
        self._library.kernel_reset(self._kernel)
        self._fixes = len(fixes.mover)
        columns = [column.ctypes.data for column in (fixes.mover, fixes.longitude, fixes.latitude)]
        began = time.perf_counter()
        self._library.kernel_batch(self._kernel, *columns, self._fixes)
        return time.perf_counter() - began

    def events(self) -> Events:
        inside = Pairs(np.repeat(np.arange(self._fixes, dtype=np.int32), self._sizes()), self._list("inside"))
        return Events(self._pairs("entered"), self._pairs("left"), inside)

    def single_us(self, fixes: Fixes) -> list[float]:
        self._library.kernel_reset(self._kernel)
        one, kernel, clock, taken = self._library.kernel_fix, self._kernel, time.perf_counter_ns, []
        entered, left, inside = ((ctypes.c_int32 * self._fences)() for _ in range(3))
        counts = (ctypes.c_int32 * 3)()
        for mover, x, y in zip(*(c.tolist() for c in (fixes.mover, fixes.longitude, fixes.latitude)), strict=True):
            began = clock()
            one(kernel, mover, x, y, entered, left, inside, counts)
            taken.append((clock() - began) / 1_000)
        return taken

    def close(self) -> None:
        self._library.kernel_free(self._kernel)

    def _sizes(self) -> Ints:
        return np.diff(self._list("inside_first"), prepend=np.int32(0))

    def _pairs(self, name: str) -> Pairs:
        columns = self._list(name).reshape(-1, 2)
        return Pairs(columns[:, 0], columns[:, 1])

    def _list(self, name: str) -> Ints:
        count = ctypes.c_int64()
        numbers = self._library.kernel_list(self._kernel, LISTS.index(name), ctypes.byref(count))
        if not count.value:
            return np.empty(0, np.int32)
        return np.ctypeslib.as_array(numbers, (count.value,)).copy()


def _cells_a_side(world: World, size: Floats) -> int:
    """The smaller the cells, the fewer fences in one that are elsewhere; as small as the lists' memory allows."""
    boxes = np.array([np.ptp(outer, axis=0) for outer, *_ in world.fences])
    found = CELLS_A_SIDE[0]
    for cells in CELLS_A_SIDE:
        if np.prod(boxes / size * cells + 1, axis=1).sum() <= LISTED_MAX and cells**2 <= CELLS_OF_A_FENCE * len(boxes):
            found = cells
    return found
