"""What PostgreSQL says no with, as the store's own errors: only a value or a constraint may blame a row."""

import psycopg
import pytest

from hub.store import Conflict, DatabaseUnavailable, StatementRefused, Store, TryAgain, ValueRefused
from tests.hub.edge_line import until

STATES = [
    ("22003", "", ValueRefused),
    ("22P05", "", ValueRefused),
    ("23502", "", Conflict),
    ("23514", "telemetry_value_check", Conflict),
    ("23514", "", TryAgain),  # a partition's own bounds: the row met its partition while it was being made
    ("25006", "", TryAgain),
    ("25P04", "", TryAgain),
    ("40P01", "", TryAgain),
    ("53100", "", TryAgain),
    ("54000", "", TryAgain),
    ("55P03", "", TryAgain),
    ("57014", "", TryAgain),
    ("58030", "", TryAgain),
    ("XX001", "", TryAgain),
    ("57P01", "", DatabaseUnavailable),
    ("42P01", "", StatementRefused),
    ("42501", "", StatementRefused),
    ("P0001", "", StatementRefused),
]


@pytest.fixture
async def store(postgres: str):
    async with Store(postgres, connections_max=1) as found:
        yield found


async def test_each_state_has_its_error(store: Store) -> None:
    for state, constraint, expected in STATES:
        using = f"ERRCODE = '{state}'" + (f", CONSTRAINT = '{constraint}'" if constraint else "")
        with pytest.raises(expected) as raised:
            async with store.transaction() as tx:
                await tx.script(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING {using}; END $$")
        assert type(raised.value) is expected, state


async def test_only_a_database_that_is_gone_is_an_outage(store: Store) -> None:
    for state, away in (("XX000", False), ("42P01", False), ("57P01", True)):
        with pytest.raises((DatabaseUnavailable, StatementRefused)):
            async with store.transaction() as tx:
                await tx.script(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
        assert store.available is not away, state


async def test_a_hub_that_was_frozen_in_a_transaction_tries_again(store: Store, postgres: str) -> None:
    """The server has ended the session meanwhile: that says nothing of the rows."""
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"
    with psycopg.connect(postgres, autocommit=True) as beside, pytest.raises(DatabaseUnavailable):
        async with store.transaction() as tx:
            await tx.script("SET idle_in_transaction_session_timeout = '20ms'; SELECT 1")
            await until(lambda: beside.execute(idle).fetchall() == [(0,)], "the end of the session")
            await tx.script("SELECT 1")
    assert await store.rows("timescaledb_installed") == []
