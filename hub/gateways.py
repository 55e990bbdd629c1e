"""Gateways as the hub knows them: their state topic, the documents they hold, the commands they answer.

Rules
- Of each gateway only the newest state waits to be written; at most GATEWAYS_MAX of them. `state_at` is when the hub
  heard it: the clock of a gateway may be wrong, and the last will has none.
- A gateway that was heard online and then says nothing for SILENT_S is offline: the broker that should have published
  its last will may be gone with it.
- What a gateway says is checked against its topic and for what no column holds; what does not fit is dropped with a
  warning, once a minute. A state that the database blames all the same is dropped alone: the others are written.
- Documents are looked at with every connection, when a new gateway turns up, and every DOCUMENTS_PERIOD_S; whoever
  changes what one says issues it at once (hub.documents).
"""

import asyncio
import random
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.envelope import NAME_PATTERN, CommandResult, GatewayState, parse_topic
from hub import clock
from hub.casework import Live
from hub.commands import Commands
from hub.documents import Documents
from hub.incident_view import iso
from hub.mqtt import Acknowledge, Channel
from hub.store import Row, RowBlamed, Store, StoreError, jsonb

TOPICS = ("gridward/v1/+/+/state", "gridward/v1/+/+/cmd_result")
RECEIVE_MAX = 100
GATEWAYS_MAX = 10_000
STATE_BYTES_MAX = 64_000
TEXT_CHARS_MAX = 200  # of a version, an epoch, or the name or value of a document or an actuator
DOCUMENTS_PERIOD_S = 3600.0
SWEEP_PERIOD_S = 30.0
SILENT_S = 120.0  # an edge says its state every 15 s
SAID_EVERY_S = 60.0

Meet = Callable[[str, str], None]  # gateway, epoch

log = structlog.get_logger()
_jitter = random.SystemRandom()
_state = msgspec.json.Decoder(GatewayState)
_result = msgspec.json.Decoder(CommandResult)
_NAME = re.compile(NAME_PATTERN)


class Gateways:
    """Give `arrived` and `connected` to the Channel that is set as `channel`, then `run()` as a task."""

    def __init__(self, store: Store, live: Live, key: Ed25519PrivateKey, meet: Meet = lambda *_: None) -> None:
        """`meet` hears of the spool that a gateway says it has."""
        self._store = store
        self._meet = meet
        self._live = live
        self.channel: Channel | None = None
        self.commands = Commands(key, lambda topic, payload: self._publish(topic, payload, retain=False))
        self.documents = Documents(key, lambda topic, payload: self._publish(topic, payload, retain=True))
        self._states: dict[str, tuple[GatewayState, datetime]] = {}
        self._heard = asyncio.Event()
        self._documents_due = asyncio.Event()
        self._publish_all = False
        self._known: set[str] = set()
        self._said_at = -SAID_EVERY_S

    def arrived(self, name: str, payload: bytes, acknowledge: Acknowledge) -> None:
        """A state or a command's result. Never raises."""
        acknowledge()
        parsed = parse_topic(name)
        if parsed is None or not _NAME.fullmatch(parsed[0]) or not payload:
            return  # an empty one clears what was retained
        gateway, tail = parsed
        try:
            if len(payload) > STATE_BYTES_MAX:
                raise msgspec.ValidationError("too large")
            if tail == ("state",):
                self._take_state(gateway, _state.decode(payload))
            elif tail == ("cmd_result",):
                self.commands.answered(gateway, _result.decode(payload))
        except msgspec.DecodeError as error:
            self._say_unfit(name, str(error))

    def connected(self) -> None:
        self._publish_all = True
        self._documents_due.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_states())
            group.create_task(self._keep_documents())
            group.create_task(self._sweep())

    def _publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        return self.channel is not None and self.channel.publish(topic, payload, retain=retain)

    # --- state ---

    def _take_state(self, gateway: str, state: GatewayState) -> None:
        if state.gateway != gateway:
            raise msgspec.ValidationError("the gateway is not the topic's")
        if not all(map(_fits, _texts(state))):
            raise msgspec.ValidationError("a text is too long, or has a NUL")
        if state.online and state.epoch:
            self._meet(gateway, state.epoch)
        if gateway in self._states or len(self._states) < GATEWAYS_MAX:
            self._states[gateway] = (state, clock.now())
            self._heard.set()

    async def _write_states(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            written = dict(self._states)
            try:
                views = await self._write_sound(written)
            except StoreError:
                self._heard.set()
                await clock.sleep(_jitter.uniform(0.2, 2.0))
                continue
            for gateway, state in written.items():
                if self._states.get(gateway) == state:
                    del self._states[gateway]
            self._tell(views)

    async def _write_sound(self, states: dict[str, tuple[GatewayState, datetime]]) -> list[Row]:
        """All of them at once, or without those that the database blames."""
        try:
            return await self._write(states)
        except RowBlamed as error:
            if len(states) == 1:
                log.error("gateway_state_dropped", gateway=next(iter(states)), error=str(error))
                return []
        return [row for gateway, state in states.items() for row in await self._write_sound({gateway: state})]

    async def _write(self, states: dict[str, tuple[GatewayState, datetime]]) -> list[Row]:
        gateways = sorted(states)
        async with self._store.transaction() as tx:
            await tx.execute("gateways_register", gateways=gateways)
            for gateway in gateways:
                state, at = states[gateway]
                body = jsonb(msgspec.to_builtins(state))
                await tx.execute("gateway_state", gateway=gateway, online=state.online, state=body, at=at)
            return await tx.rows("gateway_views", gateways=gateways)

    def _tell(self, views: list[Row]) -> None:
        new = {row["gateway"] for row in views} - self._known
        if new:
            self._known |= new
            self._documents_due.set()
        for row in views:
            self._live.publish("gateway", gateway_view(row))

    async def _sweep(self) -> None:
        """A gateway whose last will never came."""
        while True:
            await clock.sleep(SWEEP_PERIOD_S)
            try:
                now = clock.now()
                before = now - timedelta(seconds=SILENT_S)
                self._tell(await self._store.rows("gateways_silent", before=before, now=now))
            except StoreError:
                continue

    # --- documents ---

    async def _keep_documents(self) -> None:
        while True:
            await self._issue()
            try:
                async with asyncio.timeout(DOCUMENTS_PERIOD_S):
                    await self._documents_due.wait()
            except TimeoutError:
                self._publish_all = True

    async def _issue(self) -> None:
        """Make what is missing; publish what is new, or everything."""
        self._documents_due.clear()
        try:
            issued = await self.documents.issue_all(self._store, clock.now())
        except StoreError:
            self._documents_due.set()
            await clock.sleep(_jitter.uniform(0.2, 2.0))
            return
        everything, self._publish_all = self._publish_all, False
        self.documents.publish(document for document in issued if everything or document.fresh)

    def _say_unfit(self, name: str, error: str) -> None:
        now = clock.monotonic()
        if now - self._said_at >= SAID_EVERY_S:
            self._said_at = now
            log.warning("gateway_unfit", topic=name, error=error)


def _texts(state: GatewayState) -> Iterator[str]:
    yield from (state.version, state.epoch, *state.documents, *state.actuators, *state.actuators.values())
    yield from (*state.documents_refused, *state.documents_refused.values())


def _fits(text: str) -> bool:
    return len(text) <= TEXT_CHARS_MAX and "\0" not in text


def gateway_view(row: Row) -> dict[str, Any]:
    """A row with the columns of query `gateway_views` as the gateway object of the API."""
    state = row["state"]
    return {
        "gateway": row["gateway"],
        "site": row["site"],
        "online": row["online"],
        "version": state.get("version", ""),
        "clock_skew_s": state.get("clock_skew_s", 0.0),
        "spool_rows": state.get("spool_rows", 0),
        "documents": state.get("documents", {}),
        "documents_refused": state.get("documents_refused", {}),
        "actuators": state.get("actuators", {}),
        "state_at": iso(row["state_at"]) if row["state_at"] else None,
    }
