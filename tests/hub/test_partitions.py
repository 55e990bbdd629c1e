"""Partitions: days made ahead, rows rescued from the default partition, days dropped after their retention."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.observation import Alarm, Observation, Position, Telemetry
from hub import partitions
from hub.config import Retention
from hub.migrations import migrate
from hub.partitions import DAYS_AHEAD, DAYS_BACK, SERIES, keep, waited, wanted
from hub.store import Store
from tests.hub.api_world import PANEL, values, world
from tests.hub.edge_line import until

TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """These tests leap through time."""
    monkeypatch.setattr(partitions, "ROUNDS_WAITED", 0)
    return monkeypatch


@pytest.fixture
def put(postgres: str):
    def insert(*committed: datetime) -> None:
        with psycopg.connect(postgres) as connection:
            for at in committed:
                connection.execute("INSERT INTO telemetry VALUES ('watch:1', 'steps', '', %s, %s, 1, %s)", (at, at, at))

    return insert


def places(dsn: str) -> list[tuple[str, int]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT tableoid::regclass::text, count(*) FROM telemetry GROUP BY 1 ORDER BY 1"
        ).fetchall()


async def test_days_are_made_once(postgres: str) -> None:
    async with Store(postgres) as store:
        await migrate(store)
        first = await keep(store, Retention(), TODAY)
        assert first.made == (DAYS_BACK + 1 + DAYS_AHEAD) * 2 + 2  # days of two series; events: November and December
        assert (await keep(store, Retention(), TODAY)).made == 0
        assert (await keep(store, Retention(), TODAY + timedelta(days=1))).made == 2


async def test_no_row_is_refused_and_its_day_takes_it_over(postgres: str, put) -> None:
    async with Store(postgres) as store:
        await migrate(store)
        await keep(store, Retention(), TODAY)
        next_month = NOON + timedelta(days=30)
        put(NOON, next_month, NOON - timedelta(days=40))
        assert places(postgres) == [("telemetry_20261124", 1), ("telemetry_default", 2)]
        await keep(store, Retention(), TODAY + timedelta(days=30))
        assert ("telemetry_20261224", 1) in places(postgres)


async def test_what_is_older_than_its_retention_goes(postgres: str, put) -> None:
    async with Store(postgres) as store:
        await migrate(store)
        await keep(store, Retention(), TODAY)
        put(NOON, NOON - timedelta(days=200))
        short = Retention(telemetry=3)
        assert (await keep(store, short, TODAY + timedelta(days=3))).dropped == DAYS_BACK
        assert places(postgres) == [("telemetry_20261124", 1)]
        await keep(store, short, TODAY + timedelta(days=4))
        assert places(postgres) == []


@given(st.dates(date(2020, 1, 1), date(2100, 1, 1)), st.integers(1, 400), st.sampled_from(SERIES))
def test_partitions_follow_one_another_and_hold_today(today: date, days: int, series: str) -> None:
    spans = wanted(series, today, today - timedelta(days=days))
    assert any(first <= today < beyond for first, beyond in spans)
    assert all(beyond > today - timedelta(days=days) for _, beyond in spans)
    assert all(before[1] == after[0] for before, after in pairwise(spans))


async def test_months_are_dropped_whole(postgres: str) -> None:
    async with Store(postgres) as store:
        await migrate(store)
        await keep(store, Retention(), TODAY)
        year = Retention(events=30)
        assert (await keep(store, year, date(2026, 12, 30))).dropped == 0
        assert (await keep(store, year, date(2026, 12, 31))).dropped == 1


@pytest.mark.parametrize("wrong", [datetime(2001, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)])
async def test_a_row_lasts_its_retention_whatever_the_clock_of_its_edge(postgres: str, wrong: datetime) -> None:
    """A fire alarm, a value and a position of an edge without a clock."""
    kept = Retention(telemetry=90, positions=90, events=365)
    body = (Alarm(kind="smoke"), Telemetry({"steps": 1.0}), Position(longitude=120.48, latitude=30.74))
    async with world(postgres) as hub:
        found = [Observation(device=PANEL, observed_at=wrong, received_at=wrong, body=one) for one in body]
        await keep(hub.store, kept, datetime.now(UTC).date())
        await hub.observe(*found)
        for days, left in ((0, (1, 1, 1)), (90, (1, 1, 1)), (92, (0, 0, 1)), (365, (0, 0, 1)), (400, (0, 0, 0))):
            await keep(hub.store, kept, datetime.now(UTC).date() + timedelta(days=days))
            assert (hub.count("telemetry"), hub.count("positions"), hub.count("events")) == left, days
        assert hub.count("incidents") == 1


async def test_what_was_long_on_its_way_is_late_and_lasts_too(postgres: str) -> None:
    async with world(postgres) as hub:
        today = datetime.now(UTC).date()
        await keep(hub.store, Retention(), today)
        await hub.observe(values(datetime.now(UTC) - timedelta(days=200), steps=1.0))
        await keep(hub.store, Retention(), today)
        assert hub.count("telemetry") == 1


async def test_two_hubs_that_start_at_once_both_start(postgres: str) -> None:
    async with Store(postgres) as store, Store(postgres) as other:
        await migrate(store)
        both = await asyncio.gather(*(keep(one, Retention(), TODAY) for one in (store, other)))
        assert sum(one.made for one in both) == (DAYS_BACK + 1 + DAYS_AHEAD) * 2 + 2


async def waits(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return bool(connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())


async def test_ingest_and_a_round_do_not_lock_each_other_out(postgres: str) -> None:
    """Ingest that holds a partition and then wants the default one, while days are made and dropped."""
    insert = "INSERT INTO telemetry VALUES ('watch:1', 'steps', '', %(at)s, %(at)s, 1, %(at)s)"
    short = Retention(telemetry=5)
    async with Store(postgres) as store:
        await migrate(store)
        await keep(store, short, TODAY)
        with psycopg.connect(postgres) as ingest:
            ingest.execute(insert, {"at": NOON})
            later = asyncio.create_task(keep(store, short, TODAY + timedelta(days=10)))
            await until(lambda: waits(postgres), "waiting for a lock")
            ingest.execute(insert, {"at": NOON + timedelta(days=400)})
            ingest.commit()
        kept = await later
        assert kept.dropped > 0 and kept.made > 0


async def test_who_reads_for_long_does_not_stop_ingest(postgres: str, put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round gives up, and what came after it goes on while the reader still reads."""
    monkeypatch.setattr(partitions, "LOCK_S_MAX", 0.1)
    monkeypatch.setattr(partitions, "RETRY_S_MAX", 0.01)
    short = Retention(telemetry=5)
    async with Store(postgres) as store:
        await migrate(store)
        await keep(store, short, TODAY)
        with psycopg.connect(postgres) as reader:
            reader.execute("SELECT count(*) FROM telemetry")
            later = asyncio.create_task(keep(store, short, TODAY + timedelta(days=10)))
            await until(lambda: waits(postgres), "waiting for a lock")
            await asyncio.to_thread(put, NOON)
            assert (await later).dropped == 0
        assert (await keep(store, short, TODAY + timedelta(days=10))).dropped > 0


async def test_a_clock_that_leaps_drops_nothing_for_a_while(postgres: str, put, patience: pytest.MonkeyPatch) -> None:
    """Neither partitions, nor what the default partition took."""
    patience.setattr(partitions, "ROUNDS_WAITED", 3)
    far, long_ago = TODAY + timedelta(days=3653), NOON - timedelta(days=200)
    async with Store(postgres) as store:
        await migrate(store)
        await keep(store, Retention(), TODAY)
        put(NOON, long_ago)
        for day in (far, far - timedelta(days=1000), TODAY):
            assert (await keep(store, Retention(), day)).dropped == 0
            assert places(postgres) == [("telemetry_20261124", 1), ("telemetry_default", 1)]
        await keep(store, Retention(), TODAY)
        assert places(postgres) == [("telemetry_20261124", 1)], "the clock was set right, and what is old goes"
        for _ in range(3):
            assert (await keep(store, Retention(), far)).dropped == 0
        assert (await keep(store, Retention(), far)).dropped > 0, "nobody set it right"
        assert places(postgres) == []


def test_a_leap_is_more_than_a_week(patience: pytest.MonkeyPatch) -> None:
    patience.undo()
    week = timedelta(days=DAYS_AHEAD)
    assert waited(None, 0, TODAY) == waited(TODAY, 0, TODAY) == waited(TODAY, 0, TODAY + week) == 0
    assert waited(TODAY, 5, TODAY - 2 * week) == waited(TODAY, 5, TODAY) == 4
    assert waited(TODAY, 5, TODAY + 2 * week) == partitions.ROUNDS_WAITED > 24
