"""Room for time series: partitions are made ahead and dropped after their retention. At start, then hourly.

Rules
- With TimescaleDB the three series are hypertables, which make their own chunks; only dropping is ours.
- Without it they are range-partitioned by received_at (UTC): telemetry and positions by day, events, which are few and
  kept for years, by month. Partitions stand from DAYS_BACK to DAYS_AHEAD. A default partition takes everything else, so
  that no row is ever refused; making a partition moves its rows out of the default.
- A partition is dropped when it lies wholly before its series' retention.
- One transaction a series: ingest waits for the rows of one partition at most.
"""

from datetime import date, timedelta

import structlog
from msgspec import Struct

from hub import clock
from hub.config import Retention
from hub.store import Store, StoreError, Transaction

DAYS_AHEAD = 7
DAYS_BACK = 2
PERIOD_S = 3600.0
SERIES = ("telemetry", "positions", "events")
BY_MONTH = frozenset({"events"})

log = structlog.get_logger()


class Kept(Struct, frozen=True):
    """What one round did: partitions made and dropped."""

    made: int
    dropped: int


async def keep(store: Store, retention: Retention, today: date) -> Kept:
    """One round. Raises StoreError."""
    made = dropped = 0
    for series in SERIES:
        days: int = getattr(retention, series)
        async with store.transaction() as tx:
            kept = await _keep(tx, series, today, today - timedelta(days=days))
        made, dropped = made + kept.made, dropped + kept.dropped
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


async def _keep(tx: Transaction, series: str, today: date, oldest: date) -> Kept:
    await tx.execute("partition_lock")
    if await tx.row("timescaledb_installed"):
        gone = await tx.one("chunks_drop", series=series, oldest=oldest)
        return Kept(0, gone["dropped"])
    made = 0
    for first, beyond in wanted(series, today, oldest):
        row = await tx.one("partition_make", series=series, first=first, beyond=beyond)
        made += row["made"]
    span = "1 month" if series in BY_MONTH else "1 day"
    gone = await tx.one("partition_drop", series=series, oldest=oldest, span=span)
    return Kept(made, gone["dropped"])


def wanted(series: str, today: date, oldest: date) -> list[tuple[date, date]]:
    """[first, beyond) of every partition that should be there and is not to be dropped at once. Pure."""
    days = (today + timedelta(days=offset) for offset in range(-DAYS_BACK, DAYS_AHEAD + 1))
    spans = {_month(day) if series in BY_MONTH else (day, day + timedelta(days=1)) for day in days}
    return sorted(span for span in spans if span[1] > oldest)


def _month(day: date) -> tuple[date, date]:
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)
