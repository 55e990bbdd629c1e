"""A zone drawn over the hub's API → obeyed by every edge of the site, with every part real.

Fifty agents, one hub, PostgreSQL and a broker, each a process. For each change a circle is drawn, moved or withdrawn by
one call, and for each agent the time is taken until it says, by its `state`, that it works by the document that the
call made. Then, at one of them, a band reports its place once a second (its clock tells no less) while the circle is
drawn round it: the time until the hub has its `zone_entered`. The limit beside it is one bare HTTP round trip to the
same hub.
"""

import asyncio
import socket
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec

from bench.latency import bare, token
from bench.result import Result
from devices.envelope import GatewayState
from gridward.broker import HOST, free_port
from gridward.processes import Child, start, stop_all
from gridward.rehearsal import percentile
from gridward.stack import Stack
from gridward.toml_text import toml_text
from gridward.venue import GATEWAY
from tests.devices import frames

EDGES, EDGES_QUICK = 50, 5
CHANGES, CHANGES_QUICK = 30, 6
ENTRIES, ENTRIES_QUICK = 10, 3
GOAL_S = 2.0
WAIT_S_MAX = 30.0
REPORT_S = 0.1
LOOK_S = 0.02
BAND = "8800000015"
SCENARIO = f"""
seed = 1
duration_s = 1
devices = [{{ family = "watch", id = "{BAND}", host = "{HOST}", port = 0, settings = {{}} }}]
"""
ZONE = "/api/v1/sites/wuzhen/zones/flash"


def run(quick: bool) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="gridward-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "band.toml").write_text(SCENARIO)
        stack = Stack(home, home / "band.toml", lambda text: None, free_port())
        edges: list[Child] = []
        try:
            stack.start()
            names = _more_edges(stack, EDGES_QUICK if quick else EDGES, edges)
            return asyncio.run(_measure(stack, names, quick))
        finally:
            stop_all(edges)
            stack.stop()


def _more_edges(stack: Stack, count: int, edges: list[Child]) -> list[str]:
    """All gateways; the others are like the first, with links of their own, and are known to the hub by its file."""
    home, config = stack.directory, msgspec.toml.decode(stack.venue.edge_config.read_bytes())
    names = [GATEWAY, *(f"gw-more-{number}" for number in range(1, count))]
    site = home / "site.toml"
    site.write_text(site.read_text() + toml_text({"gateways": [{"id": name} for name in names[1:]]}))
    assert stack.hub is not None
    stack.hub.stop()
    stack.start_hub()
    for name in names[1:]:
        own: dict[str, Any] = config | {"gateway": name, "state_dir": str(home / name)}
        own["links"] = [link | {"port": free_port()} for link in config["links"]]
        path = home / f"{name}.toml"
        path.write_text(toml_text(own, "a benchmark"))
        edges.append(start(name, [sys.executable, "-m", "edge", "--config", path], home / "log" / f"{name}.log"))
    return names


class _States:
    """What the gateways say: the version of their zones, and since when (seconds)."""

    def __init__(self) -> None:
        self.held: dict[str, list[tuple[float, int]]] = {}

    async def follow(self, port: int) -> None:
        async with aiomqtt.Client(HOST, port) as client:
            await client.subscribe("gridward/v1/+/+/state", qos=1)
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                state = msgspec.json.decode(message.payload, type=GatewayState)
                version = state.documents.get("zones", 0) if state.online else 0
                self.held.setdefault(state.gateway, []).append((time.perf_counter(), version))

    def since(self, gateway: str, version: int) -> float | None:
        """When it first said that it works by that version, or a newer one."""
        return next((at for at, held in self.held.get(gateway, ()) if held >= version), None)


async def _measure(stack: Stack, names: list[str], quick: bool) -> list[Result]:
    states = _States()
    following = asyncio.create_task(states.follow(stack.broker.port))
    headers = {"Authorization": f"Bearer {token(stack)}"}
    try:
        async with httpx.AsyncClient(base_url=stack.venue.console_url, headers=headers, trust_env=False) as client:
            await _until(lambda: all(states.since(name, 1) for name in names), "every edge has its zones")
            waits: list[float] = []
            for number in range(CHANGES_QUICK if quick else CHANGES):
                waits += await _change(client, states, names, number)
            entries = await _entries(stack, client, ENTRIES_QUICK if quick else ENTRIES)
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    with httpx.Client(base_url=stack.venue.console_url, trust_env=False) as plain:
        bare_s = [bare(plain) / 1000 for _ in range(100)]
    return [
        *_results("zone drawn → an edge works by it", waits, bare_s, f"{len(names)} agents", (0.99,)),
        *_results("zone drawn → zone_entered of who is in it", entries, bare_s, "a report each second"),
    ]


def _results(
    name: str, waits: list[float], bare_s: list[float], note: str, goals: tuple[float, ...] = ()
) -> list[Result]:
    return [
        Result(
            name=f"{name}, {label}",
            value=percentile(waits, share),
            unit="s",
            limit=percentile(bare_s, share),
            limit_name="bare HTTP round trip",
            goal=f"≤ {GOAL_S:g} s" if share in goals else "",
            met=percentile(waits, share) <= GOAL_S if share in goals else None,
            note=f"{len(waits)} times, {note}",
        )
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _change(client: httpx.AsyncClient, states: _States, names: list[str], number: int) -> list[float]:
    """Seconds from the call until each edge says that it works by it."""
    began = time.perf_counter()
    await _draw(client, 50 + number % 5) if number % 3 < 2 else await _withdraw(client)
    answer = await client.get("/api/v1/zones/held", params={"site": "wuzhen"})
    issued = {each["gateway"]: each["issued"] for each in answer.json()["gateways"]}
    await _until(lambda: all(states.since(name, issued[name]) for name in names), "every edge works by it")
    found = [states.since(name, issued[name]) for name in names]
    return [at - began for at in found if at is not None]


async def _entries(stack: Stack, client: httpx.AsyncClient, count: int) -> list[float]:
    """Seconds from the call until the hub has what the band's next report came to."""
    reader, writer = await asyncio.open_connection(HOST, stack.venue.links["watch"])
    reporting = asyncio.create_task(_report(writer))
    found: list[float] = []
    try:
        for number in range(count):
            await _withdraw(client)
            known = await _entered(client)
            began = time.perf_counter()
            await _draw(client, 60 + number)
            while await _entered(client) == known:
                assert time.perf_counter() - began < WAIT_S_MAX, "nobody entered"
                await asyncio.sleep(LOOK_S)
            found.append(time.perf_counter() - began)
    finally:
        reporting.cancel()
        writer.close()
    assert reader is not None
    return found


async def _entered(client: httpx.AsyncClient) -> int:
    """How often somebody has entered."""
    answer = await client.get("/api/v1/events", params={"zone": "flash", "class": "event", "limit": 200})
    return sum(event["kind"] == "zone_entered" for event in answer.raise_for_status().json()["items"])


async def _report(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, socket.error):
        while True:
            now = datetime.now(UTC).strftime("%d%m%y,%H%M%S")
            writer.write(frames.watch(frames.UD_CONTENT.replace("241126,122950", now), BAND))
            await writer.drain()
            await asyncio.sleep(REPORT_S)


async def _draw(client: httpx.AsyncClient, radius_m: float) -> None:
    """Round the place that the band reports, whatever was there before."""
    circle = {"centre": [120.4838, 30.7436], "radius_m": radius_m}
    asked = {"name_zh": "临时", "name_en": "Flash", "purpose": "flash", "circle": circle}
    headers = await _looked_at(client)
    (await client.put(ZONE, json=asked, headers=headers)).raise_for_status()


async def _withdraw(client: httpx.AsyncClient) -> None:
    if headers := await _looked_at(client):
        (await client.delete(ZONE, headers=headers)).raise_for_status()


async def _looked_at(client: httpx.AsyncClient) -> dict[str, str]:
    answer = await client.get(ZONE)
    return {"If-Match": answer.headers["ETag"]} if answer.is_success else {}


async def _until(reached: Any, what: str) -> None:
    give_up_at = time.perf_counter() + WAIT_S_MAX * 4
    while not reached():
        assert time.perf_counter() < give_up_at, what
        await asyncio.sleep(0.005)
