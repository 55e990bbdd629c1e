"""Room for time series: partitions are made ahead and dropped after their retention. At start, then hourly.

Rules
- A series is parted, kept and dropped by committed_at, the hub's own time: a row lasts its retention from when it was
  stored, whatever the clock of its edge said, also one that was years on its way.
- With TimescaleDB the three series are hypertables by the same column, which make their own chunks; only dropping is
  ours.
- Without it they are range-partitioned (UTC): telemetry and positions by day, events, which are few and kept for years,
  by month. Partitions stand from DAYS_BACK to DAYS_AHEAD. A default partition takes everything else, so that no row is
  ever refused; making a partition moves its rows out of the default.
- A partition is dropped when it lies wholly before its series' retention.
- What is dropped is gone, and the day may be wrong: a clock may leap by years. So after a leap of more than
  DAYS_AHEAD (or as long an absence) nothing is dropped for ROUNDS_WAITED; the log says so, and a person can set the
  clock right.
- Ingest goes first. Each partition is made, and those of a series are dropped, in a transaction of its own that locks
  as ingest does, waits LOCK_S_MAX for a lock (whoever comes after it waits too) and tries TRIES times; what could not
  be done is left to the next round. Two hubs may do this at once, also while they start.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from functools import partial

import structlog
from msgspec import Struct

from hub import clock
from hub.config import Retention
from hub.store import Store, StoreError, Transaction, TryAgain

DAYS_AHEAD = 7
DAYS_BACK = 2
PERIOD_S = 3600.0
ROUNDS_WAITED = 7 * 24
LOCK_S_MAX = 1.0
TRIES = 5
RETRY_S_MAX = 2.0
SERIES = ("telemetry", "positions", "events")
BY_MONTH = frozenset({"events"})

log = structlog.get_logger()
_jitter = random.SystemRandom()


class Kept(Struct, frozen=True):
    """What one round did: partitions made and dropped."""

    made: int
    dropped: int


async def keep(store: Store, retention: Retention, today: date) -> Kept:
    """One round. Raises StoreError, but not for what was only in the way of others."""
    made = dropped = 0
    believed = await _believed(store, today)
    chunks = bool(await store.rows("timescaledb_installed"))
    for series in SERIES:
        oldest = today - timedelta(days=getattr(retention, series))
        spans = [] if chunks else wanted(series, today, oldest)
        for first, beyond in spans:
            new = await _patiently(series, partial(_make, store, series, first, beyond))
            if new is None:
                break
            made += new
        if believed:
            dropped += await _patiently(series, partial(_drop, store, series, oldest, chunks)) or 0
    if believed:
        await store.execute("incident_alarms_drop", oldest=today - timedelta(days=retention.events))
    if made or dropped:
        log.info("partitions_kept", made=made, dropped=dropped)
    return Kept(made, dropped)


async def run(store: Store, retention: Retention) -> None:
    """Keep partitions for ever; a round that fails is tried again in the next period."""
    while True:
        await clock.sleep(PERIOD_S)
        try:
            await keep(store, retention, clock.now().date())
        except StoreError as error:
            log.warning("partitions_not_kept", error=str(error))


async def _believed(store: Store, today: date) -> bool:
    """Whether anything may be dropped because it is `today`."""
    async with store.transaction() as tx:
        row = await tx.one("retention_clock")
        waits = waited(row["day"], row["waits"], today)
        await tx.execute("retention_clock_set", day=today, waits=waits)
    if waits > row["waits"]:
        log.error("clock_leapt", last=str(row["day"]), today=str(today), nothing_dropped_for_rounds=waits)
    return waits == 0


def waited(last: date | None, waits: int, today: date) -> int:
    """Rounds, this one included, in which nothing is dropped; `last` is the day of the round before. Pure."""
    leapt = last is not None and today > last + timedelta(days=DAYS_AHEAD)
    return ROUNDS_WAITED if leapt else max(waits - 1, 0)


async def _patiently(series: str, work: Callable[[], Awaitable[int]]) -> int | None:
    """What `work` gives, or None when others were in its way each time."""
    for attempt in range(1, TRIES + 1):
        try:
            return await work()
        except TryAgain as error:
            if attempt == TRIES:
                log.warning("partitions_not_kept", series=series, error=str(error))
                break
        await clock.sleep(_jitter.uniform(0, RETRY_S_MAX))
    return None


async def _make(store: Store, series: str, first: date, beyond: date) -> int:
    async with store.transaction() as tx:
        await _lock(tx)
        row = await tx.one("partition_make", series=series, first=first, beyond=beyond)
    return int(row["made"])


async def _drop(store: Store, series: str, oldest: date, chunks: bool) -> int:
    async with store.transaction() as tx:
        await _lock(tx)
        if chunks:
            row = await tx.one("chunks_drop", series=series, oldest=oldest)
        else:
            span = "1 month" if series in BY_MONTH else "1 day"
            row = await tx.one("partition_drop", series=series, oldest=oldest, span=span)
    if not chunks:
        await store.execute("partition_forget", series=series, oldest=oldest)
    return int(row["dropped"])


async def _lock(tx: Transaction) -> None:
    await tx.execute("lock_timeout", timeout=f"{LOCK_S_MAX * 1000:.0f}ms")
    await tx.execute("partition_lock")


def wanted(series: str, today: date, oldest: date) -> list[tuple[date, date]]:
    """[first, beyond) of every partition that should be there and is not to be dropped at once. Pure."""
    days = (today + timedelta(days=offset) for offset in range(-DAYS_BACK, DAYS_AHEAD + 1))
    spans = {_month(day) if series in BY_MONTH else (day, day + timedelta(days=1)) for day in days}
    return sorted(span for span in spans if span[1] > oldest)


def _month(day: date) -> tuple[date, date]:
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)
