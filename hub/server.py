"""One hub: its parts put together in one event loop.

Rules
- Start: what cannot work raises StartError with the one line to show. A broker that is away is no such thing.
- After that neither the database nor the broker can stop the hub: it says degraded, and recovers.
- Stop: no further batch is begun, the commits that run are finished and told, streams and requests end within
  bounded times, connections close.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.envelope import LANES, Lane
from hub import clock, partitions, seals, site
from hub.app import Parts, build
from hub.auth import ensure_first_user
from hub.config import Config, ConfigError, dsn, first_password, read_secret
from hub.documents import Documents
from hub.gateways import RECEIVE_MAX as GATEWAYS_RECEIVE_MAX
from hub.gateways import TOPICS as GATEWAY_TOPICS
from hub.gateways import Gateways
from hub.incident_view import iso
from hub.ingest import RECEIVE_MAX, WORKERS, LaneIngest, Told
from hub.ingest_commit import Stored
from hub.live import Live
from hub.metrics import Metrics
from hub.migrations import MigrationError, migrate
from hub.mqtt import Channel, Outage
from hub.outbox import Outbox
from hub.registry import Registry
from hub.reported import Reported
from hub.signing import KeyUnusable, hub_key
from hub.store import Store, StoreError

CONSOLE = Path(__file__).parent / "console" / "dist"
COUNT_PERIOD_S = 10.0
ANSWER_S_MAX = 10.0
STOP_COMMITS_S_MAX = 4.0
STOP_REQUESTS_S_MAX = 3
STOP_TASKS_S_MAX = 2.0
BACKLOG = 512

log = structlog.get_logger()


class StartError(Exception):
    """The hub cannot start; the text is the one line to show."""


class Hub:
    """`async with` it opens the database and the port; `run(stop)` works until `stop` is set."""

    def __init__(self, config: Config) -> None:
        """Raises StartError or ConfigError for what can be seen without the database."""
        self._config = config
        self._site = site.read(Path(config.site_file)) if config.site_file else None
        self._password = read_secret(Path(config.broker.password_file)) if config.broker.password_file else ""
        self._first_password = first_password(config)
        address = dsn(config)
        self.store = Store(address)
        self._lane_stores: dict[Lane, list[Store]] = {
            lane: [Store(address, connections_max=1, beside=self.store) for _ in range(WORKERS[lane])] for lane in LANES
        }
        self.live = Live()
        self.metrics = Metrics()
        self._outage = Outage()
        self._registry = Registry(self.store)
        self._outbox_urls = tuple(notify.url for notify in config.notify)
        self._outbox = Outbox(self.store, self._outbox_urls)
        self._reported = Reported(self.store, self._tell, self._outbox_urls)
        self._key: Ed25519PrivateKey | None = None
        self._socket: socket.socket | None = None
        self._channels: list[Channel] = []
        self._gateways: Gateways | None = None
        self._asked_at: float | None = None  # since when the database has owed an answer

    async def open(self) -> None:
        """Everything that must work before the first batch. Raises StartError or ConfigError."""
        try:
            self._key = hub_key(self._config.state)
            self._socket = listen_on(self._config.listen_host, self._config.listen_port)
            await self.store.open()
            await migrate(self.store)
            await partitions.keep(self.store, self._config.database.retention_days, clock.now().date())
            if self._site is not None:
                await site.write(self.store, self._site)
            if self._config.first_user is not None:
                await ensure_first_user(self.store, self._config.first_user.name, self._first_password)
            for store in chain(*self._lane_stores.values()):
                await store.open()
        except KeyUnusable as error:
            raise StartError(str(error)) from error
        except MigrationError as error:
            raise StartError(f"database: {error}") from error
        except StoreError as error:
            raise StartError(f"database: {error}") from error

    async def close(self) -> None:
        stores = (*chain(*self._lane_stores.values()), self.store)
        await _within(STOP_TASKS_S_MAX, *(asyncio.create_task(store.close()) for store in stores))
        if self._socket is not None:
            self._socket.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._socket is not None
        host, port, *_ = self._socket.getsockname()
        return host, port

    @property
    def subscribed(self) -> bool:
        """Whether everything that is to be heard from the broker is heard."""
        return bool(self._channels) and all(channel.subscribed.is_set() for channel in self._channels)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises when a part of ours ended that should not have."""
        assert self._key is not None and self._socket is not None
        lanes = [self._lane(lane) for lane in LANES]

        def meet(gateway: str, epoch: str) -> None:
            for lane in lanes:
                lane.meet(gateway, epoch)

        gateways = self._gateways = Gateways(self.store, self.live, self._key, meet)
        gateways.channel = self._gateway_channel(gateways)
        self._channels = [*(self._channel(lane.lane, lane) for lane in lanes), gateways.channel]
        self.metrics.watch(self._database_answers, lambda: self._outage.over, lambda: self.live.clients)
        server = _Server(self._uvicorn(gateways.documents, self._key))
        works: list[Coroutine[Any, Any, None]] = [
            *(lane.run() for lane in lanes),
            *(channel.run() for channel in self._channels),
            gateways.run(),
            self._registry.run(),
            self._outbox.run(),
            self._count(),
            partitions.run(self.store, self._config.database.retention_days),
            seals.run(self.store, self._key),
            self._reported.run(),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        stopping = asyncio.create_task(stop.wait())
        log.info("hub_started", hub=self._config.hub_id, host=self.address[0], port=self.address[1])
        try:
            done, _ = await asyncio.wait([stopping, serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.live.close()
            server.should_exit = True
            await _within(STOP_COMMITS_S_MAX, *(asyncio.create_task(lane.stop()) for lane in lanes))
            await _end([stopping, *tasks])
            await _within(STOP_REQUESTS_S_MAX + STOP_TASKS_S_MAX, serving)
        for task in done:
            task.result()
        log.info("hub_stopped", hub=self._config.hub_id)

    def health(self) -> dict[str, Any]:
        """The body of GET /api/v1/health."""
        database, broker = self._database_answers(), self._outage.over
        held_up = any(totals["held_up"] for totals in self.metrics.totals.values())
        return {
            "status": "ok" if database and broker and not held_up else "degraded",
            "version": _version(),
            "database": {"ok": database},
            "broker": {"ok": broker},
            "ingest": {**self.metrics.totals, "refused_rows": self.metrics.refused_rows},
        }

    def _database_answers(self) -> bool:
        """Also a database that takes connections and never answers is away."""
        waited_s = clock.monotonic() - self._asked_at if self._asked_at is not None else 0.0
        return self.store.available and waited_s < ANSWER_S_MAX

    async def command(self, gateway: str, action: str, target: str, value: str, actor: str) -> dict[str, Any]:
        """{nonce, result, reason} of a command to a gateway."""
        assert self._gateways is not None
        return await self._gateways.commands.command(gateway, action, target, value, actor)

    def _lane(self, lane: Lane) -> LaneIngest:
        told = Told(registry=self._registry, metrics=self.metrics, stored=self._tell, urls=self._outbox_urls)
        return LaneIngest(lane, self._lane_stores[lane], told)

    def _channel(self, lane: Lane, ingest: LaneIngest) -> Channel:
        channel = self._new_channel(
            lane,
            (f"gridward/v1/+/+/up/{lane}",),
            arrived=ingest.arrived,
            connected=ingest.connected,
            receive_max=RECEIVE_MAX[lane],
        )
        ingest.attach(channel)
        return channel

    def _gateway_channel(self, gateways: Gateways) -> Channel:
        return self._new_channel(
            "gateways",
            GATEWAY_TOPICS,
            arrived=gateways.arrived,
            connected=gateways.connected,
            receive_max=GATEWAYS_RECEIVE_MAX,
        )

    def _new_channel(self, name: str, topics: tuple[str, ...], **works: Any) -> Channel:
        identifier = f"gridward-hub-{self._config.hub_id}-{name}"
        return Channel(self._config.broker, self._password, identifier, topics, self._outage, **works)

    def _uvicorn(self, documents: Documents, key: Ed25519PrivateKey) -> uvicorn.Config:
        app = build(
            Parts(
                store=self.store,
                live=self.live,
                hub_id=self._config.hub_id,
                session_hours=self._config.session_hours,
                health=self.health,
                metrics=self.metrics.text,
                command=self.command,
                documents=documents,
                reported=self._reported,
                key=key,
                console=CONSOLE if CONSOLE.is_dir() else None,
            )
        )
        return uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_REQUESTS_S_MAX,
            server_header=False,
            backlog=BACKLOG,
        )

    def _tell(self, stored: Stored) -> None:
        """After a commit: those who watch, and those who deliver."""
        if stored.unsure:
            self.live.publish("resync", {})
            self._outbox.wake()
        self._registry.seen(stored.latest.seen)
        for view in stored.incidents:
            self.live.publish("incident", view)
        for row in stored.devices:
            at = self._registry.last_seen(row["device"], row["last_seen"])
            self.live.publish(
                "device", {"device": row["device"], "last_seen": iso(at) if at else None, "alarms": row["alarms"]}
            )
        if stored.moved and self.live.clients:
            self.live.publish("positions", {"items": [position.view() for position in stored.moved]})
        if stored.notices:
            self._outbox.wake()

    async def _count(self) -> None:
        """For ever: what the metrics ask the database for. Also how an idle hub notices that the database is gone."""
        while True:
            try:
                self._asked_at = clock.monotonic()
                [row] = await self.store.rows("counts")
                self.metrics.counted(row["incidents"], row["outbox"], row["refused"])
            except StoreError:
                pass  # the store has said it
            self._asked_at = None
            await clock.sleep(COUNT_PERIOD_S)


class _Server(uvicorn.Server):
    """Signals are ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises StartError."""
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartError(f"listen_host, listen_port: cannot listen on {host}:{port}: {error.strerror}") from error
    # asyncio sets this only on sockets that name their protocol: without it an answer waits 40 ms for the ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setblocking(False)
    return listening


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await _within(STOP_TASKS_S_MAX, *tasks)


async def _within(seconds: float, *works: "asyncio.Future[Any]") -> None:
    """Wait until all are done, but not for ever, and not for what a cancelled one still does."""
    _, pending = await asyncio.wait(works, timeout=seconds)
    if pending:
        log.warning("stop_took_too_long", seconds=seconds)
    for work in pending:
        work.cancel()


def _version() -> str:
    try:
        return metadata.version("gridward")
    except metadata.PackageNotFoundError:
        return "unknown"


async def run(config: Config, stopped: Callable[[asyncio.Event], None]) -> None:
    """A hub from start to stop; `stopped` gets the event that stops it. Raises StartError or ConfigError."""
    stop = asyncio.Event()
    stopped(stop)
    hub = Hub(config)
    try:
        await hub.open()
        await hub.run(stop)
    finally:
        await hub.close()


__all__ = ["ConfigError", "Hub", "StartError", "run"]
