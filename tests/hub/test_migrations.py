"""The schema runner: once, in order, guarded by checksum and lock."""

import asyncio

import psycopg
import psycopg.conninfo
import pytest

from gridward import doctor
from gridward.postgres import Postgres
from hub import clock, partitions
from hub.config import Retention
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


async def test_the_owner_of_a_database_need_not_be_superuser(empty_postgres: str) -> None:
    """The tests' own role is superuser: here every session of the database becomes one that is not."""
    name = psycopg.conninfo.conninfo_to_dict(empty_postgres)["dbname"]
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_owner")  # the test server forgets it when it ends
        connection.execute(f"ALTER DATABASE {name} OWNER TO plain_owner".encode())
        connection.execute(f"ALTER ROLE gridward IN DATABASE {name} SET role = plain_owner".encode())
    async with Store(empty_postgres) as store:
        assert await migrate(store) == [migration.number for migration in load()]
        assert (await partitions.keep(store, Retention(), clock.now().date())).made


async def test_a_database_that_cannot_hold_every_alphabet_is_refused(postgres_server: Postgres) -> None:
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE ascii_only ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        async with Store(postgres_server.dsn("ascii_only")) as store:
            with pytest.raises(MigrationError, match="UTF8: make another with createdb -E UTF8 -T template0"):
                await migrate(store)
        found = doctor.database(doctor._Database(dsn=postgres_server.dsn("ascii_only")))
        assert (found.verdict, found.found) == ("failure", "its encoding is not UTF8")
        assert "createdb -E UTF8 -T template0" in found.advice
    finally:
        postgres_server.drop_database("ascii_only")
