"""A hub's API over a real database, for its tests: one site, a few devices, observations stored as ingest does it."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from devices.envelope import Batch, encode, lane_of, topic
from devices.observation import Alarm, DeviceId, Event, GatewayId, Observation, Position, Telemetry, ZoneId
from gridward.postgres import rows
from hub.app import Parts, build
from hub.auth import ensure_first_user
from hub.documents import Documents
from hub.ingest_commit import Stored, store_parcels
from hub.live import Live
from hub.migrations import migrate
from hub.parcel import open_parcel
from hub.registry import Registry
from hub.reported import Reported
from hub.store import Store, jsonb

NAME, PASSWORD = "operator", "a long pass phrase"
GATEWAY = GatewayId("gw-1")
PANEL, BAND, CAR = DeviceId("gbt26875:889"), DeviceId("watch:8800000015"), DeviceId("jt808:13912345678")
NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
SQUARE = {"type": "Polygon", "coordinates": [[[120.48, 30.74], [120.49, 30.74], [120.49, 30.75], [120.48, 30.74]]]}
DRAWN = {"shape": jsonb(SQUARE), "rules": jsonb({})}
WAIT_S_MAX = 20.0


class World:
    """`client` is logged in; `stranger` is not."""

    def __init__(self, dsn: str, store: Store, console: Path | None = None, session_hours: float = 1.0) -> None:
        self.dsn = dsn
        self.store = store
        self.live = Live()
        self.commands: list[tuple[str, ...]] = []
        self.key = Ed25519PrivateKey.generate()
        self.published: list[tuple[str, bytes]] = []
        self.broker_ok = True
        self.told: list[Stored] = []
        self.reported = Reported(store, self.told.append)
        self.app: FastAPI = build(
            Parts(
                store=store,
                live=self.live,
                hub_id="hub-test",
                session_hours=session_hours,
                health=self.health,
                metrics=lambda: b"gridward_up 1\n",
                command=self._command,
                reported=self.reported,
                key=self.key,
                documents=Documents(self.key, lambda *document: self.published.append(document) is None),
                console=console,
            )
        )
        self._seqs = {"urgent": itertools.count(1), "routine": itertools.count(1)}
        self._registry = Registry(store)

    def health(self) -> dict[str, Any]:
        ok = self.store.available and self.broker_ok
        parts = {"database": {"ok": self.store.available}, "broker": {"ok": self.broker_ok}}
        return {"status": "ok" if ok else "degraded", "version": "0.1.0", **parts, "ingest": {"rows": 0}}

    def stranger(self, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 5000))
        return httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=headers)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Logged in by token."""
        async with self.stranger() as client:
            token = await log_in(client)
            client.cookies.clear()
            client.headers["Authorization"] = f"Bearer {token}"
            yield client

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The address of a real server of it."""
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(self.app, log_config=None, lifespan="off", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            self.live.close()
            server.should_exit = True
            await asyncio.wait_for(serving, WAIT_S_MAX)

    async def observe(self, *observations: Observation, now: datetime | None = None) -> list[dict[str, Any]]:
        """Stored as the hub stores them; the incidents that changed."""
        changed: list[dict[str, Any]] = []
        for lane in ("urgent", "routine"):
            sent = tuple((next(self._seqs[lane]), found) for found in observations if lane_of(found) == lane)
            if not sent:
                continue
            batch = Batch(gateway=GATEWAY, epoch="e1", lane=lane, rows=sent)
            parcel = open_parcel(topic(GATEWAY, "up", lane), encode(batch))
            await self._registry.register(self.store, [parcel])
            async with self.store.transaction() as tx:
                stored = await store_parcels(tx, lane, [parcel], (), now or datetime.now(UTC))
            changed += stored.incidents
        return changed

    async def smoke(self, component: str = "1", at: datetime | None = None, now: datetime | None = None) -> int:
        """A smoke alarm in zone hall; its incident."""
        changed = await self.observe(alarm("smoke", component=component, at=at or NOON), now=now)
        return int(max(changed, key=lambda view: view["last_alarm_at"])["incident"])

    async def seen(self, device: str, at: datetime) -> None:
        """As the hub notes soon after it has stored something of a device."""
        self._registry.seen({device: at})
        await self._registry.write_seen()

    def count(self, table: str) -> int:
        return int(rows(self.dsn, f"SELECT count(*) AS n FROM {table}")[0]["n"])  # noqa: S608 - names from the tests

    async def _command(self, *asked: str) -> dict[str, Any]:
        self.commands.append(asked)
        return {"nonce": "abc", "result": "confirmed", "reason": ""}


@asynccontextmanager
async def world(postgres: str, console: Path | None = None, session_hours: float = 1.0) -> AsyncIterator[World]:
    """Schema, a user, a site with two zones, a gateway and two devices."""
    async with Store(postgres) as store:
        await migrate(store)
        await ensure_first_user(store, NAME, PASSWORD)
        await furnish(store)
        yield World(postgres, store, console, session_hours)


async def furnish(store: Store) -> None:
    async with store.transaction() as tx:
        for site in ("wuzhen", "other"):
            names = {"name_zh": "乌镇", "name_en": "Wuzhen", "time_zone": "Asia/Shanghai"}
            await tx.execute("site_upsert", site=site, **names, longitude=120.48, latitude=30.74)
        for zone, ring in (("yard", 2), ("hall", 1)):
            names = {"name_zh": "大厅", "name_en": zone.title(), "purpose": "public"}
            await tx.execute("zone_upsert", zone=zone, site="wuzhen", **names, ring=ring, **DRAWN)
        await tx.execute("gateway_upsert", gateway=GATEWAY, site="wuzhen")
        for device, kind, zone in ((PANEL, "panel", "hall"), (BAND, "band", None)):
            place = {"longitude": 120.4839, "latitude": 30.7436, "floor": "1"} if zone else {}
            place = dict.fromkeys(("longitude", "latitude", "floor")) | place
            whose = {"site": "wuzhen", "zone": zone, "gateway": GATEWAY}
            names = {"name": f"the {kind}", "name_zh": "主机" if kind == "panel" else ""}
            await tx.execute("device_upsert", device=device, kind=kind, **names, **whose, **place)


async def log_in(client: httpx.AsyncClient, name: str = NAME, password: str = PASSWORD) -> str:
    answer = await client.post("/api/v1/login", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token


def alarm(kind: str, device: DeviceId = PANEL, at: datetime = NOON, zone: str = "hall", **more: Any) -> Observation:
    return observation(Alarm(kind=kind, **more), device, at, zone)


def event(kind: str, at: datetime = NOON, **attributes: str) -> Observation:
    return observation(Event(kind=kind, attributes=attributes), PANEL, at, "hall")


def values(at: datetime, device: DeviceId = BAND, component: str = "", **found: float) -> Observation:
    return observation(Telemetry(values=found, component=component), device, at)


def position(at: datetime, longitude: float = 120.48, device: DeviceId = CAR, zone: str = "") -> Observation:
    return observation(Position(longitude=longitude, latitude=30.74, speed_kmh=12.5), device, at, zone)


def observation(body: Any, device: DeviceId, at: datetime, zone: str = "") -> Observation:
    received = at + timedelta(seconds=1)
    return Observation(device=device, observed_at=at, received_at=received, body=body, zone=ZoneId(zone))


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of an answer that is a problem of this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail"} and body["status"] == status
    return str(body["detail"])


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def every_page(client: httpx.AsyncClient, path: str, limit: int) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    pages: list[list[dict[str, Any]]] = []
    url = httpx.URL(path, params={**dict(httpx.URL(path).params), "limit": limit})
    cursor: str | None = ""
    while cursor is not None:
        answer = await client.get(url.copy_merge_params({"cursor": cursor}) if cursor else url)
        pages.append(items(answer))
        cursor = answer.json()["next_cursor"]
    return pages


async def until(condition: Any, what: str, deadline_s: float = WAIT_S_MAX) -> None:
    """Poll, with a deadline."""
    for _ in range(int(deadline_s / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


def now_utc() -> datetime:
    return datetime.now(UTC)


def devices_of(found: Sequence[dict[str, Any]]) -> list[str]:
    return [item["device"] for item in found]
