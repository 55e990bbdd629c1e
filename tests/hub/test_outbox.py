"""Notices to a real receiver: each one arrives, what fails is tried again, what cannot work is given up."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from hub import clock, outbox
from hub.migrations import migrate
from hub.outbox import ATTEMPTS_MAX, CLAIM_S, TAKEN_MAX, Outbox, notices
from hub.store import Store, jsonb
from tests.hub.edge_line import until


class Receiver:
    """Answers with `statuses` in turn, then 200; keeps what came."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.hangs: set[int] = set()  # numbers of incidents that it never answers
        self.drips = False  # a byte of the answer at a time, for ever
        self.got: list[dict] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        self.got.append(json.loads(await reader.readexactly(length)))
        while self.got[-1]["incident"]["incident"] in self.hangs:
            if not await reader.read(1):
                return
        while self.drips:
            writer.write(b"H")
            await asyncio.sleep(0.02)
        status = self.statuses.pop(0) if self.statuses else 200
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with await asyncio.start_server(receiver.handle, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        receiver.url = f"http://{host}:{port}/hook"
        yield receiver


@pytest.fixture
async def store(postgres: str):
    async with Store(postgres) as found:
        await migrate(found)
        found._named["test_outbox"] = "SELECT *, done_at IS NOT NULL AS done FROM outbox ORDER BY id"
        yield found


async def put(store: Store, url: str, happened: str = "opened", incident: int = 7) -> None:
    late = happened.endswith("_late")
    body = jsonb({"url": url, "happened": happened, "late": late, "incident": {"incident": incident}})
    await store.execute("outbox_add", channel="notify", body=body, now=clock.now())


async def deliver(store: Store, *urls: str, after: timedelta = timedelta()) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        return await Outbox(store, urls).deliver_due(client, clock.now() + after)


async def test_a_notice_arrives_soon_after_it_was_written(store: Store) -> None:
    async with receiving() as receiver:
        sending = Outbox(store, [receiver.url])
        running = asyncio.create_task(sending.run())
        try:
            await put(store, receiver.url)
            sending.wake()
            await until(lambda: receiver.got, "delivery")
        finally:
            running.cancel()
    [got] = receiver.got
    assert got.keys() == {"id", "happened", "late", "created_at", "incident"} and got["incident"] == {"incident": 7}
    assert (got["happened"], got["late"]) == ("opened", False)


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_what_may_work_later_is_tried_again(store: Store, status: int) -> None:
    async with receiving() as receiver:
        receiver.statuses = [status]
        await put(store, receiver.url)
        assert await deliver(store, receiver.url) == 1
        [row] = await store.rows("test_outbox")
        assert (row["done"], row["attempts"], row["error"]) == (False, 1, f"HTTP {status}")
        assert row["due_at"] > clock.now()
        assert await deliver(store, receiver.url, after=timedelta(minutes=20)) == 1
        [row] = await store.rows("test_outbox")
        assert (row["done"], row["error"], len(receiver.got)) == (True, None, 2)


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_never_means_never(store: Store, status: int) -> None:
    async with receiving() as receiver:
        receiver.statuses = [status]
        await put(store, receiver.url)
        await deliver(store, receiver.url)
        [row] = await store.rows("test_outbox")
        assert (row["done"], row["error"]) == (True, f"HTTP {status}")


async def test_a_receiver_that_is_away_is_given_up_at_last(store: Store) -> None:
    url = "http://127.0.0.1:9/hook"
    await put(store, url)
    for attempt in range(ATTEMPTS_MAX):
        assert await deliver(store, url, after=timedelta(hours=attempt)) == 1
    [row] = await store.rows("test_outbox")
    assert row["done"] and row["attempts"] == ATTEMPTS_MAX and row["error"]
    assert await deliver(store, url, after=timedelta(days=1)) == 0


async def test_an_address_that_is_not_configured_any_more_is_given_up(store: Store) -> None:
    async with receiving() as receiver:
        await put(store, receiver.url)
        await deliver(store, "http://127.0.0.1:9/hook")
        await Outbox(store, []).tidy(clock.now())
        [row] = await store.rows("test_outbox")
        assert row["done"] and row["error"] == "no longer configured" and receiver.got == []


@pytest.mark.parametrize("wrong", ["http://[", "http://xn--/", "http://xn--a/"])
async def test_an_address_that_is_none_stops_nothing(store: Store, wrong: str) -> None:
    async with receiving() as receiver:
        await put(store, wrong)
        await put(store, receiver.url)
        await deliver(store, wrong, receiver.url)
        assert len(receiver.got) == 1


async def test_a_notice_of_a_hub_whose_clock_was_ahead_is_delivered(store: Store) -> None:
    """It tried once, far in the future, and put off what failed; then its clock was set right."""
    async with receiving() as receiver:
        receiver.statuses = [503]
        await put(store, receiver.url)
        assert await deliver(store, receiver.url, after=timedelta(days=3650)) == 1
        assert await deliver(store, receiver.url) == 1
        assert len(receiver.got) == 2


async def test_two_hubs_deliver_once(store: Store) -> None:
    async with receiving() as receiver:
        for _ in range(30):
            await put(store, receiver.url)
        while sum(await asyncio.gather(deliver(store, receiver.url), deliver(store, receiver.url))):
            pass
        assert sorted(got["id"] for got in receiver.got) == sorted({got["id"] for got in receiver.got})
        assert len(receiver.got) == 30


async def test_a_hub_that_died_while_sending_costs_a_delay_only(store: Store) -> None:
    async with receiving() as receiver:
        await put(store, receiver.url)
        now = clock.now()
        async with store.transaction() as tx:
            [row] = await tx.rows("outbox_due", channel="notify", url=receiver.url, now=now, beyond=now, limit=5)
            await tx.execute("outbox_claim", ids=[row["id"]], due_at=now + timedelta(seconds=CLAIM_S))
        assert await deliver(store, receiver.url) == 0
        assert await deliver(store, receiver.url, after=timedelta(seconds=CLAIM_S + 1)) == 1
        assert len(receiver.got) == 1


async def test_what_was_delivered_long_ago_is_forgotten(store: Store) -> None:
    async with receiving() as receiver:
        await put(store, receiver.url)
        await deliver(store, receiver.url)
        await Outbox(store, [receiver.url]).tidy(clock.now() + timedelta(days=31))
        assert await store.rows("test_outbox") == []


async def test_an_answer_that_drips_ends_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "DELIVERY_S_MAX", 0.2)
    async with receiving() as receiver:
        receiver.drips = True
        await put(store, receiver.url)
        async with asyncio.timeout(20):
            await deliver(store, receiver.url)
        receiver.drips = False
        [row] = await store.rows("test_outbox")
        assert (row["done"], row["error"]) == (False, "no answer within 0.2 s")


async def test_each_notice_is_settled_as_it_ends(store: Store) -> None:
    async with receiving() as receiver:
        receiver.hangs = {1}
        await put(store, receiver.url, incident=1)
        await put(store, receiver.url, incident=2)
        delivering = asyncio.create_task(deliver(store, receiver.url))

        async def done() -> list[bool]:
            return [row["done"] for row in await store.rows("test_outbox")] == [False, True]

        await until(done, "settling the second one")
        assert not delivering.done()
        delivering.cancel()


async def test_the_backlog_of_one_address_delays_no_other(store: Store) -> None:
    async with receiving() as slow, receiving() as quick:
        slow.hangs = {7}
        for _ in range(TAKEN_MAX * 3):
            await put(store, slow.url)
        await put(store, quick.url)
        running = asyncio.create_task(Outbox(store, [slow.url, quick.url]).run())
        await until(lambda: quick.got, "the delivery to the other")
        assert not [row for row in await store.rows("test_outbox") if row["done"] and row["body"]["url"] == slow.url]
        running.cancel()


def test_one_notice_for_each_address() -> None:
    views = [{"incident": 1, "kind": "smoke"}, {"incident": 2, "kind": "sos"}]
    made = list(notices([(2, "opened"), (1, "raised_late")], views, ["http://a.b", "http://c.d"]))
    assert [one["late"] for one in made] == [False, False, True, True]
    made = made[:2]
    assert [(one["url"], one["incident"]["kind"]) for one in made] == [("http://a.b", "sos"), ("http://c.d", "sos")]
