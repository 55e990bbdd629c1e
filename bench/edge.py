"""Device frame → spool → upstream, with the whole agent process: many band and terminal frames over real TCP, a real
broker, and a hub's end that commits what it gets.

Counted are observations that the hub's end has, from the first byte written to the last receipt. Beside it runs a bare
relay over the same bytes, broker and disk: read, append durable in groups, publish packed, and nothing else.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import msgspec

from bench import bare_relay, load
from bench.result import Result
from devices.envelope import Committed, Lane, encode, topic
from devices.observation import GatewayId
from gridward.broker import Broker
from gridward.toml_text import toml_text

GATEWAY = GatewayId("gw-bench")
LINKS = [{"name": name, "kind": "tcp_server", "family": name, "port": 0} for name in ("gbt26875", "jt808", "watch")]
FRAMES, FRAMES_QUICK = 120_000, 24_000
GOAL_RATE, GOAL_RATIO = 15_000, 0.25
ROUNDS, ROUNDS_QUICK = 3, 1
TICKS = os.sysconf("SC_CLK_TCK")


class Rows(msgspec.Struct):
    """A Batch of which only the numbers are looked at: the hub's own work is not measured here."""

    epoch: str
    lane: Lane
    rows: list[tuple[int, msgspec.Raw]]


class Peer:
    """The hub's end: counts what arrives, and commits it."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._decoder = msgspec.json.Decoder(Rows)
        self.observations = 0
        self.last_at = 0.0

    async def run(self) -> None:
        await self._client.subscribe(topic(GATEWAY, "up", "+"), qos=1)
        await self._client.subscribe(bare_relay.TOPIC, qos=1)
        async for message in self._client.messages:
            payload = bytes(message.payload)  # type: ignore[arg-type]
            if message.topic.value == bare_relay.TOPIC:
                self.observations += int(payload[: payload.index(b" ")])
            else:
                await self._commit(self._decoder.decode(payload))
            self.last_at = time.perf_counter()

    async def _commit(self, batch: Rows) -> None:
        self.observations += len(batch.rows)
        receipt = Committed(epoch=batch.epoch, seq=batch.rows[-1][0], committed_at=datetime.now(UTC))
        await self._client.publish(topic(GATEWAY, "committed", batch.lane), encode(receipt), qos=1, retain=True)


def edge_file(folder: Path, broker_port: int) -> Path:
    devices = [{"id": f"jt808:{load.terminal_id(number)}"} for number in range(load.TERMINALS)]
    devices += [{"id": f"watch:{load.band_id(number)}"} for number in range(load.BANDS)]
    path = folder / "edge.toml"
    keys = {
        "site": "bench",
        "gateway": GATEWAY,
        "state_dir": str(folder / "state"),
        "broker": {"port": broker_port},
        "links": LINKS,
        "devices": devices,
    }
    path.write_text(toml_text(keys, "a benchmark"))
    return path


def run(quick: bool) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        broker = Broker(folder / "broker")
        broker.start()
        try:
            return asyncio.run(_measure(folder, broker, quick))
        finally:
            broker.stop()


async def _measure(folder: Path, broker: Broker, quick: bool) -> list[Result]:
    frames, rounds = (FRAMES_QUICK, ROUNDS_QUICK) if quick else (FRAMES, ROUNDS)
    edge_rates, relay_rates, cpus_us = [], [], []
    for number in range(rounds):  # in turn, so that a machine that slows down slows both
        home = folder / str(number)
        home.mkdir()
        config = edge_file(home, broker.port)
        rate, cpu_s = await _round(broker.port, ["edge", "--config", str(config)], _edge_ports, frames)
        edge_rates.append(rate)
        cpus_us.append(1e6 * cpu_s / (frames * load.OBSERVATIONS_PER_FRAME))
        words = ["bench.bare_relay", str(broker.port), str(home)]
        relay_rates.append((await _round(broker.port, words, json.loads, frames))[0])
    best, limit = max(edge_rates), max(relay_rates)
    told = f"{frames} frames of {load.TERMINALS} terminals and {load.BANDS} bands, best of {rounds}"
    return [
        Result(
            name="device frame → spool → upstream",
            value=best,
            unit="obs/s",
            limit=limit,
            limit_name="bare relay",
            goal=f"≥ {GOAL_RATE:,} obs/s and ≥ {GOAL_RATIO}×",
            met=best >= GOAL_RATE and best / limit >= GOAL_RATIO,
            note=told,
        ),
        Result(name="processor time of the agent for an observation", value=min(cpus_us), unit="µs"),
    ]


def _edge_ports(line: str) -> dict[str, int]:
    told = json.loads(line)
    return told["links"] if told["event"] == "started" else {}


async def _round(
    broker_port: int, words: list[str], ports_in: Callable[[str], dict[str, int]], frames: int
) -> tuple[float, float]:
    """(observations/s, processor seconds of the program) of one program over all the frames."""
    async with AsyncExitStack() as stack:
        client = aiomqtt.Client("127.0.0.1", broker_port, protocol=aiomqtt.ProtocolVersion.V5)
        peer = Peer(await stack.enter_async_context(client))
        listening = asyncio.ensure_future(peer.run())
        stack.callback(listening.cancel)
        program = await _started(stack, words)
        ports: dict[str, int] = {}
        while not ports:
            ports = ports_in((await _line(program)).strip())
        draining = asyncio.ensure_future(_drain(program))
        stack.callback(draining.cancel)
        player = await _started(stack, ["bench.load", str(frames)])
        player.stdin.write(json.dumps(ports).encode() + b"\n")  # type: ignore[union-attr]
        assert await _line(player) == "ready\n"
        return await _timed(program, player, peer, frames * load.OBSERVATIONS_PER_FRAME)


async def _timed(
    program: asyncio.subprocess.Process, player: asyncio.subprocess.Process, peer: Peer, wanted: int
) -> tuple[float, float]:
    own_rows, cpu_before = peer.observations, cpu_s(program.pid)
    began = time.perf_counter()
    player.stdin.write(b"\n")  # type: ignore[union-attr]
    while peer.observations < wanted + own_rows:
        assert program.returncode is None and time.perf_counter() - began < 300, "the program does not get through"
        await asyncio.sleep(0.01)
    rate = wanted / (peer.last_at - began)
    return rate, cpu_s(program.pid) - cpu_before


async def _started(stack: AsyncExitStack, words: list[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    stack.push_async_callback(_stopped, process)
    return process


async def _stopped(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    assert line, "the program ended"
    return line


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.readline():
        pass


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
