"""Panel frame → siren, with hub and broker down, and with what else may go on beside it.

The whole agent process, its siren a file. A sample: a smoke frame is written to the panel's socket, and the time until
the file reads "1" is taken (polled, so a sample is up to POLL_S too long). The limit beside it is the same wait for an
echo: a process that writes the file as soon as any byte comes, under the same load.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import load
from bench.result import Result
from gridward.rehearsal import percentile
from gridward.toml_text import toml_text
from tests.edge import site

SAMPLES, SAMPLES_QUICK = 1_000, 100
GOAL_P99_MS, GOAL_MAX_MS = 100.0, 500.0
POLL_S = 0.0001
WAIT_S_MAX = 10.0
FLOOD_FRAMES = 400_000  # new ones for longer than the samples take; after that the same again
SHARE_IN_FLOOD = 3
PAUSE_S = 0.002
ECHO = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
line, _ = server.accept()
while line.recv(65536):
    with open(sys.argv[1], "w") as siren:
        siren.write("1")
"""
BURN = "while True: pass"


def run(quick: bool) -> list[Result]:
    samples = SAMPLES_QUICK if quick else SAMPLES
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as name:
        folder = Path(name)
        loads: list[tuple[str, Callable[[dict[str, int]], contextlib.AbstractContextManager[Any]]]] = [
            ("calm", lambda ports: contextlib.nullcontext()),
            ("processors saturated", lambda ports: _burning()),
            ("80 other devices flooding", _flooding),
        ]
        results = []
        for number, (load_name, beside) in enumerate(loads):
            home = folder / str(number)
            home.mkdir()
            results += _one(home, load_name, beside, samples // (SHARE_IN_FLOOD if beside is _flooding else 1))
        return results


def _one(
    home: Path, load_name: str, beside: Callable[[dict[str, int]], contextlib.AbstractContextManager[Any]], samples: int
) -> list[Result]:
    siren = home / "siren"
    with _agent(home) as ports, beside(ports):
        waits_ms = _sampled(ports["gbt26875"], siren, samples, answered=True)
        with _echo(siren) as port:
            echoes_ms = _sampled(port, siren, samples, answered=False)
    p99, worst = percentile(waits_ms, 0.99), max(waits_ms)
    return [
        Result(name=f"panel frame → siren, {load_name}, p50", value=percentile(waits_ms, 0.5), unit="ms"),
        Result(
            name=f"panel frame → siren, {load_name}, p99",
            value=p99,
            unit="ms",
            limit=percentile(echoes_ms, 0.99),
            limit_name="echo",
            goal=f"≤ {GOAL_P99_MS:.0f} ms",
            met=p99 <= GOAL_P99_MS,
            note=f"{samples} alarms, hub and broker down",
        ),
        Result(
            name=f"panel frame → siren, {load_name}, max",
            value=worst,
            unit="ms",
            limit=max(echoes_ms),
            limit_name="echo",
            goal=f"≤ {GOAL_MAX_MS:.0f} ms",
            met=worst <= GOAL_MAX_MS,
        ),
    ]


def _sampled(port: int, siren: Path, samples: int, answered: bool) -> list[float]:
    """Milliseconds from the last byte of a frame to the siren, one frame at a time."""
    waits = []
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.settimeout(WAIT_S_MAX)
        handle = os.open(siren, os.O_RDWR | os.O_CREAT, 0o644)
        for serial in range(1, samples + 1):
            os.pwrite(handle, b"0", 0)
            began = time.perf_counter()
            line.sendall(site.smoke(serial, serial))
            while os.pread(handle, 1, 0) != b"1":
                assert time.perf_counter() - began < WAIT_S_MAX, "no siren"
                time.sleep(POLL_S)
            waits.append((time.perf_counter() - began) * 1000)
            if answered:
                line.recv(65_536)
            time.sleep(PAUSE_S)
        os.close(handle)
    return waits


@contextlib.contextmanager
def _agent(home: Path) -> Iterator[dict[str, int]]:
    """An agent with a panel, and with the devices of bench.load enrolled; its ports."""
    devices: list[dict[str, Any]] = [{"id": site.PANEL, "zone": "hall"}]
    devices += [{"id": f"jt808:{load.terminal_id(number)}"} for number in range(load.TERMINALS)]
    devices += [{"id": f"watch:{load.band_id(number)}"} for number in range(load.BANDS)]
    keys = site.told(home, devices=devices, broker={"port": 1})
    path = home / "edge.toml"
    path.write_text(toml_text(keys, "a benchmark"))
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "--config", str(path)], stderr=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stderr is not None
        try:
            ports: dict[str, int] = {}
            while not ports:
                told = json.loads(agent.stderr.readline())
                ports = told.get("links", {})
            threading.Thread(target=agent.stderr.read, daemon=True).start()
            yield ports
        finally:
            agent.terminate()
            agent.wait()


@contextlib.contextmanager
def _echo(siren: Path) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", ECHO, str(siren)], stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdout is not None
        try:
            yield int(echo.stdout.readline())
        finally:
            echo.kill()


@contextlib.contextmanager
def _burning() -> Iterator[None]:
    """Twice as many processes as there are processors, doing nothing but that."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextlib.contextmanager
def _flooding(ports: dict[str, int]) -> Iterator[None]:
    """Other devices write as fast as the agent reads."""
    argv = [sys.executable, "-m", "bench.load", str(FLOOD_FRAMES), "again"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:
        assert flood.stdin is not None and flood.stdout is not None
        try:
            flood.stdin.write(json.dumps(ports) + "\n")
            flood.stdin.flush()
            assert flood.stdout.readline() == "ready\n"
            flood.stdin.write("\n")
            flood.stdin.flush()
            yield
        finally:
            flood.kill()
