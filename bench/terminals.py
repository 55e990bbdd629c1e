"""One agent with thousands of idle vehicle terminals (JT/T 808): its memory, and how long a heartbeat waits.

All terminals are connected and enrolled; each sends a heartbeat every PERIOD_S, spread evenly, to an agent without a
broker. The limit beside the wait is the same exchange with one terminal alone. Memory and waits are the agent's; who
plays the terminals is this process.
"""

import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bench.memory import status_mb
from bench.result import Result
from gridward.rehearsal import percentile
from gridward.toml_text import toml_text
from tests.devices import frames

TERMINALS, TERMINALS_QUICK = 5_000, 500
PERIOD_S = 30.0
PLAYED_S, PLAYED_S_QUICK = 60.0, 10.0
ALONE = 200
GOAL_MB, GOAL_MS = 250, 100
DIALLING_AT_ONCE = 200
ANSWER_S_MAX = 10.0


def run(quick: bool) -> list[Result]:
    wanted = TERMINALS_QUICK if quick else TERMINALS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with tempfile.TemporaryDirectory(prefix="gridward-bench-") as folder:
            return asyncio.run(_measure(Path(folder), wanted, PLAYED_S_QUICK if quick else PLAYED_S))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _measure(folder: Path, wanted: int, played_s: float) -> list[Result]:
    argv = [sys.executable, "-m", "edge", "--config", str(_file(folder, wanted))]
    agent = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE)
    assert agent.stderr is not None
    try:
        async with asyncio.timeout(60):
            port = await _port(agent.stderr)
        draining = asyncio.ensure_future(_drain(agent.stderr))
        alone = Terminal(0, port)
        await alone.dial()
        alone_ms = [await alone.heartbeat() for _ in range(ALONE)]
        terminals = [alone, *(Terminal(number, port) for number in range(1, wanted))]
        for at in range(1, wanted, DIALLING_AT_ONCE):
            await asyncio.gather(*[terminal.dial() for terminal in terminals[at : at + DIALLING_AT_ONCE]])
        waits_ms = await _play(terminals, played_s)
        resident, _ = status_mb(agent.pid)
        for terminal in terminals:
            terminal.hang_up()
    finally:
        agent.terminate()
        await agent.wait()
    with suppress(asyncio.CancelledError):
        draining.cancel()
        await draining
    told = f"{wanted:,} terminals, {len(waits_ms):,} heartbeats in {played_s:.0f} s"
    worst = percentile(waits_ms, 0.99)
    return [
        Result(
            name="resident memory with idle terminals",
            value=resident,
            unit="MB",
            goal=f"≤ {GOAL_MB} MB",
            met=resident <= GOAL_MB,
            note=told,
        ),
        Result(
            name="heartbeat → answer, p99",
            value=worst,
            unit="ms",
            limit=percentile(alone_ms, 0.99),
            limit_name="one terminal alone",
            goal=f"≤ {GOAL_MS} ms",
            met=worst <= GOAL_MS,
            note=f"{told}; median {percentile(waits_ms, 0.5):.1f} ms",
        ),
    ]


async def _play(terminals: list["Terminal"], played_s: float) -> list[float]:
    """Heartbeats of all terminals, evenly spread; the waits in ms."""
    order = random.Random(1).sample(terminals, len(terminals))
    every_s = PERIOD_S / len(terminals)
    began, beating = time.perf_counter(), []
    for number in range(int(played_s / every_s)):
        await asyncio.sleep(max(0.0, began + number * every_s - time.perf_counter()))
        beating.append(asyncio.ensure_future(order[number % len(order)].heartbeat()))
    return list(await asyncio.gather(*beating))


class Terminal:
    def __init__(self, number: int, port: int) -> None:
        self._phone = f"0{13900000000 + number}"
        self._port = port
        self._serial = 0

    async def dial(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def heartbeat(self) -> float:
        """The wait for its answer in ms."""
        self._serial += 1
        began = time.perf_counter()
        self._writer.write(frames.jt808("0002", "", self._phone, self._serial))
        async with asyncio.timeout(ANSWER_S_MAX):
            await self._reader.readuntil(b"\x7e")
            await self._reader.readuntil(b"\x7e")
        return (time.perf_counter() - began) * 1_000

    def hang_up(self) -> None:
        self._writer.transport.abort()


def _file(folder: Path, wanted: int) -> Path:
    path = folder / "edge.toml"
    link = {"name": "jt808", "kind": "tcp_server", "family": "jt808", "port": 0, "connections_max": wanted + 10}
    keys = {
        "site": "bench",
        "gateway": "gw-bench",
        "state_dir": str(folder / "state"),
        "broker": {"port": 1},
        "links": [link],
        "devices": [{"id": f"jt808:{13900000000 + number}"} for number in range(wanted)],
    }
    path.write_text(toml_text(keys, "a benchmark"))
    return path


async def _port(lines: asyncio.StreamReader) -> int:
    while line := await lines.readline():
        told = json.loads(line)
        if told["event"] == "started":
            return int(told["links"]["jt808"])
    raise AssertionError("the agent did not start")


async def _drain(lines: asyncio.StreamReader) -> None:
    while await lines.readline():
        pass
