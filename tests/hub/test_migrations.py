"""The schema runner: once, in order, guarded by checksum and lock."""

import asyncio

import pytest

from hub.migrations import Migration, MigrationError, load, migrate
from hub.store import StatementRefused, Store

ONE = Migration(1, "one", "CREATE TABLE one (n int); INSERT INTO one VALUES (1);")
TWO = Migration(2, "two", "CREATE TABLE two (n int);")


async def test_each_file_is_applied_once_also_by_two_hubs_at_once(empty_postgres: str) -> None:
    async with Store(empty_postgres) as store, Store(empty_postgres) as other:
        both = await asyncio.gather(migrate(store), migrate(other))
        numbers = [migration.number for migration in load()]
        assert sorted(both) == [[], numbers]
        assert await migrate(store) == []


async def test_a_new_file_is_added(empty_postgres: str) -> None:
    async with Store(empty_postgres) as store:
        assert await migrate(store, [ONE]) == [1]
        assert await migrate(store, [ONE, TWO]) == [2]


async def test_a_changed_file_is_refused(empty_postgres: str) -> None:
    async with Store(empty_postgres) as store:
        await migrate(store, [ONE])
        with pytest.raises(MigrationError, match="0001 was changed"):
            await migrate(store, [Migration(1, "one", ONE.text + " "), TWO])


async def test_a_newer_database_is_refused(empty_postgres: str) -> None:
    async with Store(empty_postgres) as store:
        await migrate(store, [ONE, TWO])
        with pytest.raises(MigrationError, match="upgrade"):
            await migrate(store, [ONE])


async def test_a_failing_file_leaves_nothing(empty_postgres: str) -> None:
    async with Store(empty_postgres) as store:
        with pytest.raises(StatementRefused):
            await migrate(store, [ONE, Migration(2, "two", "CREATE TABLE two (n int); SELECT no_such;")])
        assert await migrate(store, [ONE, TWO]) == [1, 2]
