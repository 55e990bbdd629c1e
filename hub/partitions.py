"""Room for time series: days are made ahead and dropped after their retention. At start, then hourly.

Rules
- With TimescaleDB the three series are hypertables, which make their own chunks; only dropping is ours.
- Without it they are range-partitioned by received_at, a partition a day (UTC), from DAYS_BACK to DAYS_AHEAD. A default
  partition takes everything else, so that no row is ever refused; making a day moves its rows out of the default.
- A day is dropped when it lies wholly before its series' retention.
"""

from datetime import date, timedelta

import structlog
from msgspec import Struct

from hub import clock
from hub.config import Retention
from hub.store import Store, StoreError

DAYS_AHEAD = 7
DAYS_BACK = 2
PERIOD_S = 3600.0
SERIES = ("telemetry", "positions", "events")

log = structlog.get_logger()


class Kept(Struct, frozen=True):
    """What one round did: partitions made and dropped."""

    made: int
    dropped: int


async def keep(store: Store, retention: Retention, today: date) -> Kept:
    """One round. Raises StoreError."""
    made = dropped = 0
    async with store.transaction() as tx:
        await tx.execute("partition_lock")
        chunked = await tx.row("timescaledb_installed") is not None
        for series in SERIES:
            days: int = getattr(retention, series)
            oldest = today - timedelta(days=days)
            for day in [] if chunked else _wanted(today, oldest):
                row = await tx.row("partition_make", series=series, day=day)
                made += bool(row and row["made"])
            gone = await tx.row("chunks_drop" if chunked else "partition_drop", series=series, oldest=oldest)
            dropped += gone["dropped"] if gone else 0
        await tx.execute("incident_alarms_drop", oldest=today - timedelta(days=retention.events))
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


def _wanted(today: date, oldest: date) -> list[date]:
    days = (today + timedelta(days=offset) for offset in range(-DAYS_BACK, DAYS_AHEAD + 1))
    return [day for day in days if day >= oldest]
