"""Notices to webhooks: written in the transaction that made them due, delivered after it. The only home of httpx.

Rules
- Every incident that is opened or raised again is POSTed as JSON to every configured address: at least once, so a
  receiver drops what it has seen by `id`. What happened is one of HAPPENED; that of alarms that all came late is
  another one than that of fresh alarms, so that nobody is called out of bed for the fire of yesterday.
- Each address is served by itself: its backlog, its slowness and its failures delay no other. A delivery has
  DELIVERY_S_MAX in all, however the receiver spends it, and is settled as soon as it ends.
- A delivery that fails (no answer, or a status that is not 2xx) is tried again with full jitter, up to ATTEMPTS_MAX
  times in all; then it is given up and the row says why. 4xx other than 408 and 429 means "never": given up at once.
- An address that the configuration no longer has is given up within TIDY_S.
- A claimed row is tried by nobody else for CLAIM_S; a hub that dies while sending costs a delay, never a notice.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog

from hub import clock
from hub.store import Row, Store, StoreError

CHANNEL = "notify"
LATE = {"opened": "opened_late", "raised": "raised_late"}
ATTEMPTS_MAX = 12
BACKOFF_S_FIRST = 1.0
BACKOFF_S_MAX = 600.0
DELIVERY_S_MAX = 10.0
CLAIM_S = 60.0
TAKEN_MAX = 20  # at once, of one address
TIDY_S = 3600.0
IDLE_S_MAX = 30.0  # also looks without being woken: another hub may have died
KEPT = timedelta(days=30)
CLIENT_ERRORS = range(400, 500)
TRY_AGAIN = frozenset({408, 429})
NO_ADDRESS = (httpx.InvalidURL, ValueError)  # ValueError: a host that is no name in any alphabet

log = structlog.get_logger()
_jitter = random.SystemRandom()


def notices(
    changed: Iterable[tuple[int, str]], views: Sequence[dict[str, Any]], urls: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One outbox body per (incident, what happened) and address."""
    by_number = {view["incident"]: view for view in views}
    for number, happened in changed:
        for url in urls:
            late = happened in LATE.values()
            yield {"url": url, "happened": happened, "late": late, "incident": by_number[number]}


class Outbox:
    """Run `run()` as a task; `wake()` after a transaction that wrote something."""

    def __init__(self, store: Store, urls: Sequence[str]) -> None:
        self._store = store
        self._addresses = [_Address(store, url) for url in dict.fromkeys(urls)]

    def wake(self) -> None:
        for address in self._addresses:
            address.woken.set()

    async def run(self) -> None:
        """Deliver for ever."""
        async with asyncio.TaskGroup() as group:
            for address in self._addresses:
                group.create_task(address.run())
            group.create_task(self._tidy_for_ever())

    async def deliver_due(self, client: httpx.AsyncClient, now: datetime) -> int:
        """Try what is due once; how many. Raises StoreError."""
        return sum(await asyncio.gather(*(address.deliver_due(client, now) for address in self._addresses)))

    async def tidy(self, now: datetime) -> None:
        """Give up what nobody wants any more, forget what is long done. Raises StoreError."""
        urls = [address.url for address in self._addresses]
        given_up = await self._store.execute("outbox_give_up", channel=CHANNEL, urls=urls, now=now)
        if given_up:
            log.error("notices_given_up", count=given_up, error="no longer configured")
        await self._store.execute("outbox_forget", oldest=now - KEPT)

    async def _tidy_for_ever(self) -> None:
        while True:
            with suppress(StoreError):  # the store has said it
                await self.tidy(clock.now())
            await clock.sleep(TIDY_S)


class _Address:
    """One receiver and its notices."""

    def __init__(self, store: Store, url: str) -> None:
        self._store = store
        self.url = url
        self.woken = asyncio.Event()
        self._failing = False

    async def run(self) -> None:
        """Deliver for ever."""
        async with httpx.AsyncClient(timeout=DELIVERY_S_MAX, trust_env=False, follow_redirects=False) as client:
            while True:
                self.woken.clear()
                await self._wait(await self._deliver_all(client))

    async def _deliver_all(self, client: httpx.AsyncClient) -> float:
        """Try everything that is due; seconds until there is more."""
        try:
            while await self.deliver_due(client, clock.now()):
                pass
            return await self._until_next()
        except StoreError:
            return _jitter.uniform(0.2, 2.0)  # the store has said it

    async def deliver_due(self, client: httpx.AsyncClient, now: datetime) -> int:
        """Try what is due once; how many. Raises StoreError, when all of it has been tried."""
        async with self._store.transaction() as tx:
            when = {"now": now, "beyond": now + timedelta(seconds=2 * BACKOFF_S_MAX)}
            rows = await tx.rows("outbox_due", channel=CHANNEL, url=self.url, limit=TAKEN_MAX, **when)
            if rows:
                claimed_until = now + timedelta(seconds=CLAIM_S)
                await tx.execute("outbox_claim", ids=[row["id"] for row in rows], due_at=claimed_until)
        ends = await asyncio.gather(*(self._deliver(client, row, now) for row in rows), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return len(rows)

    async def _deliver(self, client: httpx.AsyncClient, row: Row, now: datetime) -> None:
        error, final = await self._post(client, row)
        await self._settle(row, error, final, now)

    async def _post(self, client: httpx.AsyncClient, row: Row) -> tuple[str | None, bool]:
        """(error or None, whether trying again is of no use)."""
        body = row["body"]
        sent = {
            "id": row["id"],
            "happened": body["happened"],
            "late": body["late"],
            "created_at": row["created_at"].isoformat(),
            "incident": body["incident"],
        }
        try:
            async with asyncio.timeout(DELIVERY_S_MAX), client.stream("POST", self.url, json=sent) as answer:
                pass  # what it says is not read: it may be endless
        except TimeoutError:
            return f"no answer within {DELIVERY_S_MAX:g} s", False
        except (httpx.HTTPError, *NO_ADDRESS) as error:
            return str(error) or type(error).__name__, False
        if answer.is_success:
            return None, True
        return f"HTTP {answer.status_code}", answer.status_code in CLIENT_ERRORS and answer.status_code not in TRY_AGAIN

    async def _settle(self, row: Row, error: str | None, final: bool, now: datetime) -> None:
        attempts = row["attempts"] + 1
        self._say(error)
        if error is not None and not final and attempts < ATTEMPTS_MAX:
            delay_s = _jitter.uniform(0.5, 1) * min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(row["attempts"], 20))
            due_at = now + timedelta(seconds=delay_s)
            await self._store.execute("outbox_again", id=row["id"], due_at=due_at, error=error)
            return
        await self._store.execute("outbox_done", id=row["id"], now=now, error=error)
        if error is not None:
            log.error("notice_given_up", id=row["id"], attempts=attempts, error=error)

    def _say(self, error: str | None) -> None:
        """Losing a receiver and having it back are logged once each; by host, as the address may hold a secret."""
        if error is not None and not self._failing:
            self._failing = True
            log.warning("notify_lost", host=_host(self.url), error=error)
        elif error is None and self._failing:
            self._failing = False
            log.info("notify_recovered", host=_host(self.url))

    async def _until_next(self) -> float:
        [row] = await self._store.rows("outbox_next", channel=CHANNEL, url=self.url)
        if row["due_at"] is None:
            return IDLE_S_MAX
        return min(IDLE_S_MAX, max(0.05, float((row["due_at"] - clock.now()).total_seconds())))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        except TimeoutError:
            return


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except NO_ADDRESS:
        return "an address that is none"
