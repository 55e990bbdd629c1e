"""Resident memory of an agent with three families and 500 enrolled devices that are connected and talk, and how long it
takes from the start of its process until it listens and has the broker.

Every device sends its reports for a while (a panel alarms, a band and a terminal positions) and a hub's end commits.
Measured with a hundred zones drawn by the hub, and without any. Beside it: a bare
Python that has only connected to the broker with aiomqtt.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.edge import GATEWAY, LINKS, Peer
from bench.result import Result
from devices.documents import Document, sign
from devices.envelope import topic
from edge import clock
from gridward.broker import Broker
from gridward.toml_text import toml_text
from tests.devices import frames

DEVICES, DEVICES_QUICK = 500, 500
REPORTS, REPORTS_QUICK = 120, 20
GOAL_MB, GOAL_S = 60.0, 1.0
STARTS, STARTS_QUICK = 5, 2
MB = 1e6
BARE = """
import asyncio, sys, aiomqtt
async def main():
    async with aiomqtt.Client("127.0.0.1", int(sys.argv[1])):
        print("connected", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def run(quick: bool) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        broker = Broker(folder / "broker")
        broker.start()
        try:
            return asyncio.run(_measure(folder, broker.port, quick))
        finally:
            broker.stop()


async def _measure(folder: Path, broker_port: int, quick: bool) -> list[Result]:
    devices = DEVICES_QUICK if quick else DEVICES
    key = Ed25519PrivateKey.generate()
    config = _file(folder, broker_port, devices, key)
    starts_s = [await _start_s(config) for _ in range(STARTS_QUICK if quick else STARTS)]
    reports = REPORTS_QUICK if quick else REPORTS
    resident, peak = await _resident_mb(config, broker_port, devices, reports, None)
    zoned, zoned_peak = await _resident_mb(config, broker_port, devices, reports, key)
    bare = await asyncio.to_thread(_bare_mb, broker_port)
    told = f"three families, {devices} devices connected, {reports} reports of each"
    return [
        Result(
            name="resident memory of the agent",
            value=zoned,
            unit="MB",
            limit=bare,
            limit_name="bare aiomqtt",
            goal=f"≤ {GOAL_MB:.0f} MB",
            met=zoned <= GOAL_MB,
            note=f"{told}, 100 zones drawn; at its highest {zoned_peak:.1f} MB",
        ),
        Result(
            name="resident memory of the agent without zones",
            value=resident,
            unit="MB",
            goal=f"≤ {GOAL_MB:.0f} MB",
            met=resident <= GOAL_MB,
            note=f"at its highest {peak:.1f} MB",
        ),
        Result(
            name="start of the process → listening and connected",
            value=max(starts_s),
            unit="s",
            goal=f"≤ {GOAL_S:.0f} s",
            met=max(starts_s) <= GOAL_S,
            note=f"the slowest of {len(starts_s)}",
        ),
    ]


def _ids(devices: int) -> list[tuple[str, str]]:
    """(family, native id): a tenth panels, the rest bands and terminals in turn."""
    found = []
    for number in range(devices):
        family = "gbt26875" if number % 10 == 0 else ("watch", "jt808")[number % 2]
        found.append(
            (family, {"gbt26875": f"{1000 + number}", "watch": f"88{number:08d}"}.get(family, f"139{number:08d}"))
        )
    return found


def _file(folder: Path, broker_port: int, devices: int, key: Ed25519PrivateKey) -> Path:
    public = folder / "hub.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    path = folder / "edge.toml"
    keys: dict[str, Any] = {
        "site": "bench",
        "gateway": GATEWAY,
        "state_dir": str(folder / "state"),
        "hub_public_key_file": str(public),
        "broker": {"port": broker_port},
        "links": LINKS,
        "devices": [{"id": f"{family}:{native}", "name": f"device {native}"} for family, native in _ids(devices)],
    }
    path.write_text(toml_text(keys, "a benchmark"))
    return path


class _Agent:
    """The process, and what it logged so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ports: dict[str, int] = {}

    async def until(self, event: str) -> None:
        assert self.process.stderr is not None
        while line := await asyncio.wait_for(self.process.stderr.readline(), 30):
            told = json.loads(line)
            self.ports = told.get("links", self.ports)
            if told["event"] == event:
                return
        raise AssertionError(f"the agent ended before {event}")

    async def stop(self) -> None:
        self.process.terminate()
        await self.process.communicate()


async def _begun(config: Path) -> _Agent:
    argv = [sys.executable, "-m", "edge", "--config", str(config)]
    return _Agent(await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE))


async def _start_s(config: Path) -> float:
    began = time.perf_counter()
    agent = await _begun(config)
    try:
        await agent.until("uplink_connected")
        if not agent.ports:
            await agent.until("started")
        return time.perf_counter() - began
    finally:
        await agent.stop()


async def _resident_mb(
    config: Path, broker_port: int, devices: int, reports: int, key: Ed25519PrivateKey | None
) -> tuple[float, float]:
    """(at the end, at its highest) after every device has sent so many reports; zones are signed with `key`."""
    async with AsyncExitStack() as stack:
        client = aiomqtt.Client("127.0.0.1", broker_port, protocol=aiomqtt.ProtocolVersion.V5)
        peer = Peer(await stack.enter_async_context(client))
        stack.callback(asyncio.ensure_future(peer.run()).cancel)
        if key is not None:
            await client.publish(topic(GATEWAY, "down", "zones"), sign(_zones(), key), qos=1, retain=True)
        agent = await _begun(config)
        stack.push_async_callback(agent.stop)
        await agent.until("started" if key is None else "document_accepted")
        lines = []
        for family, native in _ids(devices):
            reader, writer = await asyncio.open_connection("127.0.0.1", agent.ports[family])
            lines.append((family, native, reader, writer))
        for number in range(reports):
            for family, native, _, writer in lines:
                writer.write(_report(family, native, number))
            await asyncio.gather(*[_answer(reader) for _, _, reader, _ in lines])
        found = status_mb(agent.process.pid)
        for *_, writer in lines:
            writer.transport.abort()
        return found


async def _answer(reader: asyncio.StreamReader) -> None:
    try:
        await asyncio.wait_for(reader.read(65_536), 1)
    except TimeoutError:
        return  # a band is not answered for a position


def _report(family: str, native: str, number: int) -> bytes:
    if family == "gbt26875":
        head = bytearray.fromhex(frames.SMOKE_HEAD)
        head[0:2], head[10:16] = number.to_bytes(2, "little"), int(native).to_bytes(6, "little")
        return frames.gbt26875(head.hex())
    if family == "watch":
        position = frames.UD_CONTENT.replace(",100,", f",{number},", 1)
        return frames.watch(position, native) + frames.watch("LK,1,0,90", native)
    return frames.jt808("0200", frames.LOCATION_BODY, f"0{native}", number)


def _zones() -> Document:
    now = clock.now()
    zones = []
    for number in range(100):
        west, south = 120.0 + 0.01 * (number % 10), 30.0 + 0.01 * (number // 10)
        ring = [[west, south], [west + 0.01, south], [west + 0.01, south + 0.01], [west, south + 0.01], [west, south]]
        zones.append({"id": f"zone-{number}", "shape": {"type": "Polygon", "coordinates": [ring]}})
    return Document(
        name="zones", version=1, audience="*", issued_at=now, expires_at=now + timedelta(days=1), body={"zones": zones}
    )


def status_mb(pid: int) -> tuple[float, float]:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, peak = (int(status[name].split()[0]) * 1024 / MB for name in ("VmRSS", "VmHWM"))
    return resident, peak


def _bare_mb(broker_port: int) -> float:
    argv = [sys.executable, "-c", BARE, str(broker_port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        try:
            return status_mb(bare.pid)[0]
        finally:
            bare.kill()
