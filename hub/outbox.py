"""Notices to webhooks: written in the transaction that made them due, delivered after it. The only home of httpx.

Rules
- Every incident that is opened or raised again is POSTed as JSON to every configured address: at least once, so a
  receiver drops what it has seen by `id`.
- A delivery that fails (no answer, or a status that is not 2xx) is tried again with full jitter, up to ATTEMPTS_MAX
  times in all; then it is given up and the row says why. 4xx other than 408 and 429 means "never": given up at once.
- An address that the configuration no longer has is given up.
- A claimed row is tried by nobody else for CLAIM_S; a hub that dies while sending costs a delay, never a notice.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog

from hub import clock
from hub.store import Row, Store, StoreError

CHANNEL = "notify"
ATTEMPTS_MAX = 12
BACKOFF_S_FIRST = 1.0
BACKOFF_S_MAX = 600.0
DELIVERY_S_MAX = 10.0
CLAIM_S = 60.0
TAKEN_MAX = 20  # at once
IDLE_S_MAX = 30.0  # also looks without being woken: another hub may have died
KEPT = timedelta(days=30)
CLIENT_ERRORS = range(400, 500)
TRY_AGAIN = frozenset({408, 429})

log = structlog.get_logger()
_jitter = random.SystemRandom()


def notices(
    changed: Iterable[tuple[int, str]], views: Sequence[dict[str, Any]], urls: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One outbox body per (incident, what happened) and address."""
    by_number = {view["incident"]: view for view in views}
    for number, happened in changed:
        for url in urls:
            yield {"url": url, "happened": happened, "incident": by_number[number]}


class Outbox:
    """Run `run()` as a task; `wake()` after a transaction that wrote something."""

    def __init__(self, store: Store, urls: Sequence[str]) -> None:
        self._store = store
        self._urls = frozenset(urls)
        self._woken = asyncio.Event()
        self._failing: set[str] = set()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Deliver for ever."""
        async with httpx.AsyncClient(timeout=DELIVERY_S_MAX, trust_env=False, follow_redirects=False) as client:
            while True:
                self._woken.clear()
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
        """Try what is due once; how many. Raises StoreError."""
        async with self._store.transaction() as tx:
            rows = await tx.rows("outbox_due", channel=CHANNEL, now=now, limit=TAKEN_MAX)
            if rows:
                claimed_until = now + timedelta(seconds=CLAIM_S)
                await tx.execute("outbox_claim", ids=[row["id"] for row in rows], due_at=claimed_until)
            else:
                await tx.execute("outbox_forget", oldest=now - KEPT)
        results = await asyncio.gather(*(self._deliver(client, row) for row in rows))
        for row, (error, final) in zip(rows, results, strict=True):
            await self._settle(row, error, final, now)
        return len(rows)

    async def _deliver(self, client: httpx.AsyncClient, row: Row) -> tuple[str | None, bool]:
        """(error or None, whether trying again is of no use)."""
        body = row["body"]
        url = body["url"]
        if url not in self._urls:
            return "no longer configured", True
        sent = {
            "id": row["id"],
            "happened": body["happened"],
            "created_at": row["created_at"].isoformat(),
            "incident": body["incident"],
        }
        try:
            async with client.stream("POST", url, json=sent) as answer:  # what it says is not read: it may be endless
                pass
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__, False
        if answer.is_success:
            return None, True
        return f"HTTP {answer.status_code}", answer.status_code in CLIENT_ERRORS and answer.status_code not in TRY_AGAIN

    async def _settle(self, row: Row, error: str | None, final: bool, now: datetime) -> None:
        url = row["body"]["url"]
        attempts = row["attempts"] + 1
        self._say(url, error)
        if error is not None and not final and attempts < ATTEMPTS_MAX:
            delay_s = _jitter.uniform(0.5, 1) * min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(row["attempts"], 20))
            due_at = now + timedelta(seconds=delay_s)
            await self._store.execute("outbox_again", id=row["id"], due_at=due_at, error=error)
            return
        await self._store.execute("outbox_done", id=row["id"], now=now, error=error)
        if error is not None:
            log.error("notice_given_up", id=row["id"], attempts=attempts, error=error)

    def _say(self, url: str, error: str | None) -> None:
        """Losing a receiver and having it back are logged once each; by host, as the address may hold a secret."""
        host = _host(url)
        if error is not None and url not in self._failing:
            self._failing.add(url)
            log.warning("notify_lost", host=host, error=error)
        elif error is None and url in self._failing:
            self._failing.discard(url)
            log.info("notify_recovered", host=host)

    async def _until_next(self) -> float:
        [row] = await self._store.rows("outbox_next", channel=CHANNEL)
        if row["due_at"] is None:
            return IDLE_S_MAX
        return min(IDLE_S_MAX, max(0.05, float((row["due_at"] - clock.now()).total_seconds())))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return "an address that is none"
