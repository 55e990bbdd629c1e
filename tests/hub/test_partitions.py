"""Partitions: days made ahead, rows rescued from the default partition, days dropped after their retention."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import Retention
from hub.migrations import migrate
from hub.partitions import DAYS_AHEAD, DAYS_BACK, SERIES, keep, wanted
from hub.store import Store

TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def put(postgres: str):
    def insert(*received: datetime) -> None:
        with psycopg.connect(postgres) as connection:
            for at in received:
                connection.execute("INSERT INTO telemetry VALUES ('watch:1', 'steps', '', %s, %s, 1)", (at, at))

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
