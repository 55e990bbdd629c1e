"""The hub's end of the contract in small: takes batches by the hub's own rule, commits when the test wants it."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import msgspec

from devices.envelope import Batch, Committed, GatewayState, Lane, decode_batch, encode, topic
from devices.observation import GatewayId, Observation
from edge.mqtt import end
from hub.cursor import take


class HubSide:
    """`async with HubSide(host, port, gateway) as hub`. `committing` off: batches are taken in and nothing is said."""

    def __init__(self, host: str, port: int, gateway: str, committing: bool = True) -> None:
        self.committing = committing
        self.batches: list[Batch] = []
        self.rows: dict[Lane, list[Observation]] = {"urgent": [], "routine": []}
        self.gaps: dict[Lane, list[tuple[int, int]]] = {"urgent": [], "routine": []}
        self.states: list[GatewayState] = []
        self.results: list[dict[str, Any]] = []
        self.refused = 0
        self._address = (host, port)
        self._gateway = GatewayId(gateway)
        self._cursors: dict[tuple[str, Lane], int] = {}

    async def __aenter__(self) -> "HubSide":
        host, port = self._address
        self._client = aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5, identifier=f"hub-{id(self)}")
        await self._client.__aenter__()
        for tail in ("up/+", "state", "cmd_result"):
            await self._client.subscribe(topic(self._gateway, tail), qos=1)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await end([self._listening])  # a single cancel is forgotten when it meets the answer to a publish
        with suppress(aiomqtt.MqttError):
            await self._client.__aexit__(None, None, None)

    async def say(self, tail: str, payload: bytes, retain: bool = False) -> None:
        await self._client.publish(topic(self._gateway, *tail.split("/")), payload, qos=1, retain=retain)

    async def commit(self, lane: Lane, epoch: str, seq: int) -> None:
        at = datetime.now(UTC)
        await self.say(f"committed/{lane}", encode(Committed(epoch=epoch, seq=seq, committed_at=at)), retain=True)

    async def commit_all(self) -> None:
        """Everything taken in so far is committed, and what comes from now on."""
        self.committing = True
        for (epoch, lane), seq in list(self._cursors.items()):
            await self.commit(lane, epoch, seq)

    @property
    def all_rows(self) -> list[Observation]:
        return [*self.rows["urgent"], *self.rows["routine"]]

    async def _listen(self) -> None:
        async for message in self._client.messages:
            name, payload = message.topic.value, bytes(message.payload)  # type: ignore[arg-type]
            if "/up/" in name:
                await self._take(decode_batch(payload))
            elif name.endswith("/state"):
                self.states.append(msgspec.json.decode(payload, type=GatewayState))
            else:
                self.results.append(msgspec.json.decode(payload))

    async def _take(self, batch: Batch) -> None:
        self.batches.append(batch)
        cursor = (batch.epoch, batch.lane)
        seqs = [seq for seq, _ in batch.rows]
        taken = take(self._cursors.get(cursor, 0), seqs, batch.dropped_through)
        self.refused += taken.refused
        self.rows[batch.lane] += [row for _, row in batch.rows[taken.first : taken.beyond]]
        self.gaps[batch.lane] += taken.gaps
        self._cursors[cursor] = taken.committed
        if self.committing:
            await self.commit(batch.lane, batch.epoch, taken.committed)
