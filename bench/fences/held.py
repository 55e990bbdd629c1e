"""Memory of a process that holds fences with their rules and a fleet with a track of each mover, over that of the bare
interpreter."""

import subprocess
import sys
from pathlib import Path

import msgspec

from bench.fences.world import World, geometry
from bench.memory import status_mb

ROOT = Path(__file__).parents[2]
BARE = "import sys; print(flush=True); sys.stdin.read()"
HOLDING = (
    """
import sys, msgspec
import numpy as np
from bench.fences.full import rules_of
from bench.fences.world import fence_id
from geofences.cells import Cells
from geofences.fleet import Fleet
from geofences.fleet_columns import fixes_of
from geofences.plan import Plan
from geofences.track import Fix
from geofences.zones import zone
with open(sys.argv[1], "rb") as lines:
    cells = Cells(zone(fence_id(number), msgspec.json.decode(line)) for number, line in enumerate(lines))
fleet = Fleet(Plan(cells, {zone.id: rules_of(number) for number, zone in enumerate(cells.zones)}))
with open(sys.argv[2], "rb") as lines:
    places = [msgspec.json.decode(line) for line in lines]
rows = np.array([fleet.add() for _ in places])
for at in (0.0, 20.0):
    for first in range(0, len(places), 500):
        here = slice(first, first + 500)
        fleet.take(rows[here], fixes_of([Fix(at, x, y) for x, y in places[here]]))
"""
    + BARE
)


def over_bare_mb(world: World, folder: Path) -> float:
    """The first fix of each mover makes its track."""
    fences, fixes = folder / "geometries.jsonl", folder / "fixes.jsonl"
    with fences.open("wb") as file:
        file.writelines(msgspec.json.encode(geometry(rings)) + b"\n" for rings in world.fences)
    first = world.fixes.first(world.movers)
    places = zip(first.longitude.tolist(), first.latitude.tolist(), strict=True)
    fixes.write_bytes(b"\n".join(map(msgspec.json.encode, places)))
    return _resident_mb(HOLDING, str(fences), str(fixes)) - _resident_mb(BARE)


def _resident_mb(program: str, *arguments: str) -> float:
    argv = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline(), "it ended before it was measured"
            return status_mb(process.pid)[0]
        finally:
            process.kill()
