"""HTTP links with a real client: answered when durable, guarded, bounded, one crash costs one request."""

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from devices.families import FAMILIES
from devices.family import Message, MessageFamily
from devices.observation import Alarm, DeviceId, Observation, Result, rejected
from edge import links_http, listener
from edge.flow import LinkError
from edge.links_http import Guard, HttpServer
from edge.listener import HANDSHAKES_MAX
from edge.spool_file import SpoolError
from tests.authority import DAY, Authority
from tests.devices.messages import GOOD_MESSAGES
from tests.edge.site import until
from tests.edge.wired import ROWS_MAX, Behind, behind

DEVICE = "button-1"
BYTES_MAX = 10_000
CONNECTIONS_MAX = 4


class Settings(Struct):
    """Nothing is to be set."""


class Press(Struct):
    device: str
    number: int = 0


class Buttons:
    """The smallest protocol of messages: {"device": …} is an SOS, and the same number again is no news."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._enrolled = enrolled
        self._told: set[int] = set()
        self._answers: list[Message] = []

    def receive(self, message: Message, now: datetime) -> list[Result]:
        if message.data == b"crash":
            raise RuntimeError("a bug")
        try:
            press = msgspec.json.decode(message.data, type=Press)
        except msgspec.DecodeError:
            self._answers.append(Message("", b"no", {"status": "400"}))
            return [rejected("not JSON", message.data)]
        device = DeviceId(f"buttons:{press.device}")
        if press.device not in self._enrolled:
            return [rejected("not enrolled", message.data, device)]
        self._answers.append(Message("", message.channel.encode(), {"content-type": "text/plain"}))
        if press.number in self._told:
            return []  # no news
        self._told.add(press.number)
        body = Alarm(kind="sos")
        frame_id = str(press.number) if press.number >= 0 else ""
        return [Observation(device=device, observed_at=now, received_at=now, body=body, frame_id=frame_id)]

    def to_send(self) -> list[Message]:
        answers, self._answers = self._answers, []
        return answers


FAMILY = MessageFamily(
    name="buttons",
    title="buttons for a test",
    links=("http_server",),
    integrity="",
    message_bytes_max=BYTES_MAX,
    silence_s_max=60,
    settings=Settings,
    open_session=Buttons,
)


class Once(Buttons):
    """Tells each press once, as families do whose devices repeat a condition while it lasts."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        super().__init__(settings, enrolled)
        self._told: set[bytes] = set()

    def receive(self, message: Message, now: datetime) -> list[Result]:
        news = message.data not in self._told
        self._told.add(message.data)
        return super().receive(message, now) if news else []


TOLD_ONCE = replace(FAMILY, open_session=Once)


@asynccontextmanager
async def link(
    made: Behind,
    guard: Guard = Guard(),  # noqa: B008
    port: int = 0,
    family: MessageFamily = FAMILY,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[HttpServer]:
    wiring = made.wiring(Settings(), DEVICE)
    server = HttpServer(wiring, family, guard, host="127.0.0.1", port=port, connections_max=CONNECTIONS_MAX, tls=tls)
    await server.open()
    try:
        yield server
    finally:
        server.stop_reading()
        await server.close()


async def post(
    server: HttpServer, body: Any, path: str = "/events", headers: Mapping[str, str] | None = None
) -> httpx.Response:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"http://127.0.0.1:{server.port}{path}", content=data, headers=headers)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server hangs up without a word."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_press_is_stored_and_answered_as_the_session_says(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        answer = await post(server, {"device": DEVICE})
        assert (answer.status_code, answer.text) == (200, "POST /events")
        assert answer.headers["content-type"] == "text/plain"
        [row] = made.rows()
        assert row.body == Alarm(kind="sos")


async def test_nobody_is_told_200_before_it_is_durable(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        made.disk_full(True)
        refused = await post(server, {"device": DEVICE})
        assert refused.status_code == 503 and refused.headers["retry-after"]
        made.disk_full(False)
        assert (await post(server, {"device": DEVICE})).status_code == 200
        assert len(made.rows()) == 1


async def test_what_the_disk_refused_is_news_when_it_comes_again(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made, family=TOLD_ONCE) as server:
        made.disk_full(True)
        assert (await post(server, {"device": DEVICE})).status_code == 503
        made.disk_full(False)
        assert (await post(server, {"device": DEVICE})).status_code == 200
        assert len(made.rows()) == 1


async def test_what_is_not_durable_in_time_is_news_when_it_comes_again_and_counts_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links_http, "DURABLE_S_MAX", 0.1)
    async with behind(tmp_path) as made, link(made, family=TOLD_ONCE) as server:
        hangs, write = Event(), made.file.write
        monkeypatch.setattr(made.file, "write", lambda *words: (hangs.wait(), write(*words)))
        assert (await post(server, {"device": DEVICE})).status_code == 503
        assert server.flow.rows == 1
        hangs.set()
        await until(lambda: server.flow.rows == 0, "settled")
        assert (await post(server, {"device": DEVICE})).text == "POST /events"
        assert len(made.rows()) == 1


async def test_what_cannot_be_read_and_who_is_not_enrolled(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        assert (await post(server, b"{")).status_code == 400
        assert (await post(server, {"device": "stranger"})).status_code == 403
        assert made.rows() == []


@pytest.mark.parametrize(
    ("name", "path", "stranger", "unreadable"),
    [
        ("hikvision_push", "/events", 403, 200),
        ("lorawan", "/?event=up", 200, 200),
        ("senml", "/senml", 403, 400),
    ],
)
async def test_families_whose_sessions_are_silent(
    tmp_path: Path, name: str, path: str, stranger: int, unreadable: int
) -> None:
    """Who is told that it is not enrolled keeps its records; a server that speaks for many would stop for all."""
    family, good = FAMILIES[name], GOOD_MESSAGES[name]
    assert isinstance(family, MessageFamily)
    data = good.message.data
    headers = {"content-type": "application/json"}
    async with behind(tmp_path) as made:
        for native_id, body, status in (("x", data, stranger), ("x", b"\0", unreadable), (good.native_id, data, 200)):
            wiring = made.wiring(msgspec.convert(good.settings, family.settings), native_id)
            server = HttpServer(wiring, family, Guard(), host="127.0.0.1", port=0, connections_max=2)
            await server.open()
            answer = await post(server, body, path, headers)
            server.stop_reading()
            await server.close()
            assert answer.status_code == status, body


async def test_a_body_that_is_too_long_is_413(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        assert (await post(server, b"x" * (BYTES_MAX + 1))).status_code == 413
        assert (await post(server, {"device": DEVICE})).status_code == 200


async def test_a_crash_costs_one_request(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        assert (await post(server, b"crash")).status_code == 500
        assert (await post(server, {"device": DEVICE})).status_code == 200


async def test_only_below_the_secret(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made, Guard(secret="k3y")) as server:
        for path in ("/events", "/", "/k3/events", "/k3y2/events"):
            assert (await post(server, {"device": DEVICE}, path)).status_code == 404, path
        assert (await post(server, {"device": DEVICE}, "/k3y/events")).text == "POST /events"
        assert (await post(server, {"device": DEVICE}, "/k3y/events?event=up")).text == "POST /events?event=up"
        assert (await post(server, {"device": DEVICE}, "/k3y?event=up")).text == "POST /?event=up"
        assert (await post(server, {"device": DEVICE}, "/?k3y/events")).status_code == 404


async def test_only_from_allowed_addresses(tmp_path: Path) -> None:
    async with behind(tmp_path) as made:
        for network, status in (("10.0.0.0/8", 403), ("127.0.0.0/8", 200)):
            async with link(made, Guard(allow=(ip_network(network),))) as server:
                assert (await post(server, {"device": DEVICE})).status_code == status


@pytest.mark.parametrize("prefix", ["", "sha256="])
async def test_only_what_is_signed(tmp_path: Path, prefix: str) -> None:
    body = msgspec.json.encode({"device": DEVICE})
    right = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    async with behind(tmp_path) as made, link(made, Guard(hmac_key="key")) as server:
        for signature in ("", "00" * 32, "é", right[:-1]):
            headers = {"x-signature": signature.encode("latin-1")}
            assert (await post(server, body, headers=headers)).status_code == 403  # type: ignore[arg-type]
        assert (await post(server, body, headers={"x-signature": prefix + right})).status_code == 200
        assert len(made.rows()) == 1


async def test_a_link_that_holds_says_come_again(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        held = server.flow.deliver(ROWS_MAX + 1)
        assert (await post(server, {"device": DEVICE})).status_code == 503
        server.flow.settle(held)
        assert (await post(server, {"device": DEVICE})).status_code == 200


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        lines = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(CONNECTIONS_MAX)]
        for reader, writer in lines:
            writer.write(b"POST / HTTP/1.1\r\nHost: edge\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\nno")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await ended(reader)
        for _, one in [*lines, (reader, writer)]:
            one.close()
        await until(lambda: server.connections == 0, "gone")
        assert (await post(server, {"device": DEVICE})).status_code == 200


async def test_strangers_who_hold_every_connection_give_way(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made, Guard(secret="k3y")) as server:
        lines = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3 * CONNECTIONS_MAX)]
        for _, writer in lines:
            writer.write(b"POST / HTTP/1.1\r\nHost: edge\r\nContent-Length: 0\r\n\r\n")  # without the secret
        await until(lambda: server.connections == CONNECTIONS_MAX, "full")
        assert (await post(server, {"device": DEVICE}, "/k3y/events")).status_code == 200
        for _, writer in lines:
            writer.close()


async def test_strangers_who_never_finish_their_tls_handshake_are_bounded_and_keep_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_S_MAX", 600.0)
    now = datetime.now(UTC)
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.sign(now - DAY, now + DAY))
    async with behind(tmp_path) as made, link(made, tls=tls) as server:
        lines = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3 * HANDSHAKES_MAX)]
        gone = [asyncio.ensure_future(ended(reader)) for reader, _ in lines]
        await until(lambda: sum(one.done() for one in gone) >= 2 * HANDSHAKES_MAX, "the first are ended")
        trusted = ssl.create_default_context(cafile=str(authority.file))
        async with httpx.AsyncClient(trust_env=False, verify=trusted) as client:
            body = msgspec.json.encode({"device": DEVICE})
            answer = await client.post(f"https://127.0.0.1:{server.port}/events", content=body)
        assert answer.status_code == 200 and len(made.rows()) == 1
        for _, writer in lines:
            writer.close()
        await asyncio.gather(*gone)


async def test_connections_that_bring_no_request_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HT")
        await until(lambda: server.connections == 1, "there")
        server.sweep()
        assert server.connections == 1
        monkeypatch.setattr(links_http, "IDLE_S_MAX", -1.0)
        server.sweep()
        assert await ended(reader)
        writer.close()


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    async with behind(tmp_path) as made, link(made) as server:
        with pytest.raises(LinkError, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            async with link(made, port=server.port):
                pass


async def test_a_second_delivery_shares_the_fate_of_the_first(tmp_path: Path) -> None:
    """The sender's patience ends while the disk still works on the first: "no news" is no reason to say 200."""
    async with behind(tmp_path) as made, link(made) as server:
        first = server.flow.deliver(1)
        second = server.flow.deliver(0)
        alone = server.flow.settle(first, SpoolError("disk full"))
        assert alone is not None and server.flow.settle(second) is alone
        third = server.flow.deliver(0)
        assert server.flow.settle(third) is None, "nothing is on its way any more"
        older, newer = server.flow.deliver(1), server.flow.deliver(1)
        again = server.flow.deliver(0)
        assert server.flow.settle(newer) is None
        server.flow.settle(older, SpoolError("disk full"))
        assert server.flow.settle(again) is not None, "of which of the two it is the second, nobody knows"
