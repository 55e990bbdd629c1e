"""The stream over a real server and real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from hub import api_live, auth
from hub.auth import Auth
from hub.live import LIVE_CLIENTS_OF_SESSION_MAX, LIVE_QUEUE_MAX
from tests.hub.api_world import NAME, NOON, PASSWORD, WAIT_S_MAX, World, log_in, until, world


class Stream:
    """The events of one connection."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.heartbeats = 0

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        """None when the hub ended it."""
        name = ""
        async with asyncio.timeout(WAIT_S_MAX):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    return name, json.loads(line[6:])
                elif line.startswith(":"):
                    self.heartbeats += 1
        return None

    async def to_its_end(self) -> None:
        async with asyncio.timeout(WAIT_S_MAX):
            while await self.next() is not None:
                pass


@asynccontextmanager
async def following(url: str, token: str) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=url, timeout=WAIT_S_MAX, trust_env=False) as client,
        client.stream("GET", "/api/v1/live", headers=headers) as answer,
    ):
        yield Stream(answer)


@asynccontextmanager
async def served(postgres: str, session_hours: float = 1.0) -> AsyncIterator[tuple[World, str, str]]:
    """(world, address, token)."""
    async with world(postgres, session_hours=session_hours) as hub, hub.served() as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            token = await log_in(client)
        yield hub, url, token


@pytest.fixture
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test then sees does not come from the look at the session that goes with it."""
    monkeypatch.setitem(vars(api_live), "HEARTBEAT_S", 10 * WAIT_S_MAX)


async def test_hello_first_and_then_what_changes(postgres: str) -> None:
    async with served(postgres) as (hub, url, token), following(url, token) as stream:
        headers = stream.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["x-accel-buffering"] == "no" and headers["cache-control"] == "no-store"
        first = await stream.next()
        assert first is not None and first[0] == "hello" and set(first[1]) == {"hub", "version", "at"}
        number = await hub.smoke(at=NOON)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            step = await client.post(
                f"/api/v1/incidents/{number}/steps",
                json={"action": "acknowledge"},
                headers={"Authorization": f"Bearer {token}", "If-Match": '"1"'},
            )
        assert step.status_code == 200
        changed = await stream.next()
        expected = {key: value for key, value in step.json().items() if key not in ("steps", "alarms", "through")}
        assert changed == ("incident", expected)


async def test_a_browser_follows_with_its_cookie(postgres: str) -> None:
    async with served(postgres) as (_, url, _), httpx.AsyncClient(base_url=url, trust_env=False) as browser:
        await browser.post("/api/v1/login", json={"name": NAME, "password": PASSWORD})
        async with browser.stream("GET", "/api/v1/live") as answer:
            assert answer.status_code == 200


async def test_logging_out_ends_the_stream(postgres: str, no_heartbeat: None) -> None:
    async with served(postgres) as (hub, url, token), following(url, token) as stream:
        await stream.next()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            await client.post("/api/v1/logout", headers={"Authorization": f"Bearer {token}"})
        assert await stream.next() is None
        await until(lambda: hub.live.clients == 0, "the end of the subscription")


async def test_the_stream_ends_with_its_session(postgres: str, no_heartbeat: None) -> None:
    async with served(postgres, session_hours=1 / 3600) as (_, url, token), following(url, token) as stream:
        await stream.next()
        assert await stream.next() is None


async def test_a_heartbeat_keeps_it_open_and_notices_a_logout_elsewhere(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(api_live), "HEARTBEAT_S", 0.05)
    async with served(postgres) as (hub, url, token), following(url, token) as stream:
        await stream.next()
        ending = asyncio.create_task(stream.next())
        await until(lambda: stream.heartbeats >= 3, "heartbeats")
        auth: Auth = hub.app.state.auth
        session = await auth.session(token)
        assert session is not None
        await hub.store.execute("session_end", token_hash=session.key)  # as another hub does
        assert await ending is None


@asynccontextmanager
async def busy(hub: World) -> AsyncIterator[None]:
    """So much to tell that no stream ever waits."""

    async def tell() -> None:
        while True:
            hub.live.publish("device", {"device": "busy"})
            await asyncio.sleep(0)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


async def test_a_busy_stream_notices_that_its_user_is_gone(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(api_live), "HEARTBEAT_S", 0.05)
    async with served(postgres) as (hub, url, token), following(url, token) as stream, busy(hub):
        await stream.next()
        async with hub.store.transaction() as tx:
            await tx.script(f"DELETE FROM users WHERE name = '{NAME}'")  # noqa: S608 - a name of ours
        await stream.to_its_end()


async def test_a_busy_stream_ends_with_its_session(postgres: str, no_heartbeat: None) -> None:
    async with (
        served(postgres, session_hours=1 / 3600) as (hub, url, token),
        following(url, token) as stream,
        busy(hub),
    ):
        await stream.next()
        await stream.to_its_end()


async def test_a_session_that_makes_room_for_another_ends_its_stream(
    postgres: str, monkeypatch: pytest.MonkeyPatch, no_heartbeat: None
) -> None:
    monkeypatch.setitem(vars(auth), "SESSIONS_OF_USER_MAX", 1)
    async with served(postgres) as (_, url, token), following(url, token) as stream:
        await stream.next()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            later = await log_in(client)
            me = await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert me.status_code == 401  # at once: its session is not trusted from memory either
        assert await stream.next() is None
        async with following(url, later) as other:
            assert await other.next() is not None


async def test_stopping_the_hub_ends_every_stream(postgres: str) -> None:
    async with served(postgres) as (hub, url, token), following(url, token) as stream:
        await stream.next()
        hub.live.close()
        assert await stream.next() is None
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            answer = await client.get("/api/v1/live", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


async def test_a_client_that_leaves_makes_room(postgres: str) -> None:
    async with served(postgres) as (hub, url, token):
        for _ in range(2):
            async with following(url, token) as stream:
                await stream.next()
                assert hub.live.clients == 1
            await until(lambda: hub.live.clients == 0, "the client's leaving")


async def test_one_session_cannot_take_every_place(postgres: str) -> None:
    async with served(postgres) as (hub, url, token):
        session = await hub.app.state.auth.session(token)
        held = [hub.live.subscribe(session.key) for _ in range(LIVE_CLIENTS_OF_SESSION_MAX)]
        for one in held:
            await one.__aenter__()
        async with following(url, token) as stream:
            assert stream.answer.status_code == 503
        await held[0].__aexit__(None, None, None)
        async with following(url, token) as stream:
            assert stream.answer.status_code == 200


async def test_a_client_that_does_not_read_gets_resync_and_the_hub_goes_on(postgres: str) -> None:
    """Its socket is full, then its queue; another one beside it misses nothing."""
    async with served(postgres) as (hub, url, token), following(url, token) as quick:
        await quick.next()
        slow = _slow_reader(url, token)
        await until(lambda: hub.live.clients == 2, "the slow client")
        body = {"incident": 0, "filler": "x" * 20_000}
        total = 3 * LIVE_QUEUE_MAX
        for number in range(total):
            hub.live.publish("incident", body | {"incident": number})
            assert await quick.next() == ("incident", body | {"incident": number})
        hub.live.publish("device", {"device": "last"})
        assert await quick.next() == ("device", {"device": "last"})
        received = await asyncio.to_thread(_read_until, slow, b'{"device":"last"}')
        slow.close()
        assert b"event: resync\ndata: {}\n\n" in received
        assert received.count(b"event: incident") < total


def _slow_reader(url: str, token: str) -> socket.socket:
    """Connected and asking, with little room, not reading."""
    found = httpx.URL(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(WAIT_S_MAX)
    connection.connect((found.host, found.port))
    connection.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return connection


def _read_until(connection: socket.socket, end: bytes) -> bytes:
    received = bytearray()
    while end not in received[-200:]:
        piece = connection.recv(1 << 16)
        assert piece, "the hub closed it"
        received += piece
    return bytes(received)


async def test_a_client_that_never_reads_is_let_go(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(api_live), "SEND_S_MAX", 0.3)
    async with served(postgres) as (hub, url, token):
        dead = _slow_reader(url, token)
        await until(lambda: hub.live.clients == 1, "the client")

        def gone() -> bool:
            hub.live.publish("incident", {"filler": "x" * 200_000})
            return hub.live.clients == 0

        await until(gone, "letting it go")
        dead.close()
