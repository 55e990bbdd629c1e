"""A running hub and the far end of its broker, for tests: what an edge says and hears, without an edge."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import msgspec

from devices.envelope import Batch, Committed, encode, topic
from devices.observation import GatewayId, Observation
from gridward.postgres import rows
from hub import config as hub_config
from hub.server import Hub
from tests.conftest import BrokerAddress

WAIT_S_MAX = 30.0


async def until(found: Callable[[], Any], what: str = "it") -> Any:
    """The first true answer; polls, since the other side is real."""
    give_up_at = time.monotonic() + WAIT_S_MAX
    while True:
        answer = found()
        answer = await answer if isinstance(answer, Awaitable) else answer
        if answer:
            return answer
        assert time.monotonic() < give_up_at, f"{what} did not happen"
        await asyncio.sleep(0.02)


class EdgeLine:
    """One gateway's side of the broker. `heard` holds (tail of the topic, payload, retained) in order."""

    def __init__(self, broker: BrokerAddress, gateway: str) -> None:
        self._broker = broker
        self.gateway = GatewayId(gateway)
        self.heard: list[tuple[str, bytes, bool]] = []
        self._client: aiomqtt.Client | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["EdgeLine"]:
        async with aiomqtt.Client(
            self._broker.host, self._broker.port, protocol=aiomqtt.ProtocolVersion.V5
        ) as self._client:
            for tail in ("committed/+", "down/+", "cmd"):
                await self._client.subscribe(topic(self.gateway, *tail.split("/")), qos=1)
            listening = asyncio.create_task(self._listen())
            try:
                yield self
            finally:
                listening.cancel()

    async def say(self, tail: str, payload: bytes, retain: bool = False) -> None:
        assert self._client is not None
        await self._client.publish(topic(self.gateway, *tail.split("/")), payload, qos=1, retain=retain)

    async def send(
        self,
        observations: Sequence[Observation],
        first: int,
        lane: str = "routine",
        epoch: str = "e1",
        dropped_through: int = 0,
    ) -> None:
        """A batch whose rows are numbered from `first`."""
        numbered = tuple(enumerate(observations, first))
        batch = Batch(gateway=self.gateway, epoch=epoch, lane=lane, rows=numbered, dropped_through=dropped_through)
        await self.say(f"up/{lane}", encode(batch))

    def committed(self, lane: str = "routine") -> list[tuple[str, int]]:
        """(epoch, seq) as they came."""
        told = [payload for tail, payload, _ in self.heard if tail == f"committed/{lane}"]
        return [(one.epoch, one.seq) for one in (msgspec.json.decode(payload, type=Committed) for payload in told)]

    async def until_committed(self, seq: int, lane: str = "routine", epoch: str = "e1") -> None:
        await until(lambda: self.committed(lane)[-1:] == [(epoch, seq)], f"commit of {seq}")

    async def _listen(self) -> None:
        assert self._client is not None
        async for message in self._client.messages:
            tail = message.topic.value.split("/", 4)[4]
            assert isinstance(message.payload, bytes)
            self.heard.append((tail, message.payload, message.retain))


class RunningHub:
    """A hub in this event loop."""

    def __init__(self, hub: Hub, dsn: str) -> None:
        self.hub = hub
        self.dsn = dsn

    @property
    def url(self) -> str:
        host, port = self.hub.address
        return f"http://{host}:{port}"

    def rows(self, query: Any) -> list[dict[str, Any]]:
        return rows(self.dsn, query)

    def command(self, *words: str) -> "asyncio.Task[dict[str, Any]]":
        """A command on its way."""
        return asyncio.create_task(self.hub.command(*words))

    async def health(self) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as client:
            found: dict[str, Any] = (await client.get(f"{self.url}/api/v1/health")).json()
            return found


SITE = """
[site]
id = "s"
name_zh = "站"
name_en = "S"
time_zone = "Asia/Shanghai"
longitude = 120.48
latitude = 30.74

[[zones]]
id = "hall"
name_zh = "厅"
name_en = "Hall"
purpose = "building"
[zones.shape]
type = "Polygon"
coordinates = [[[120.48, 30.74], [120.49, 30.74], [120.49, 30.75], [120.48, 30.74]]]
"""


def write_config(home: Path, dsn: str, broker: BrokerAddress, site: str = SITE, **more: Any) -> hub_config.Config:
    """A hub with one site, to which all gateways belong."""
    path = home / "site.toml"
    path.write_text(site)
    return hub_config.Config(
        state_dir=str(home / "hub"),
        database=hub_config.Database(dsn=dsn),
        broker=hub_config.Broker(host=broker.host, port=broker.port),
        listen_port=0,
        site_file=str(path),
        **more,
    )


@asynccontextmanager
async def running(config: hub_config.Config) -> AsyncIterator[RunningHub]:
    """Ready when its channels are subscribed."""
    hub = Hub(config)
    stop = asyncio.Event()
    await hub.open()
    working = asyncio.create_task(hub.run(stop))
    try:
        found = RunningHub(hub, config.database.dsn)
        await until(lambda: hub.subscribed, "subscription")
        yield found
    finally:
        stop.set()
        await asyncio.wait_for(working, WAIT_S_MAX)
        await hub.close()


def now() -> datetime:
    return datetime.now(UTC)
