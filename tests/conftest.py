"""Real parts for the tests: one PostgreSQL and one MQTT broker a session, a fresh database a test.

To apply the schema takes longer than most tests do. So it is applied once a session, and each test gets a copy.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from gridward.broker import Broker
from gridward.postgres import Postgres
from hub.migrations import migrate
from hub.store import Store

# Examples are the same in every run of `make test`; `make fuzz` looks for new ones.
settings.register_profile("default", derandomize=True, deadline=None, max_examples=100)
settings.register_profile(
    "deep", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("default")

_numbers = itertools.count(1)


class BrokerAddress(NamedTuple):
    host: str
    port: int


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """A short folder that an unprivileged server may enter (pytest's own is closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="gridward-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(server_home: Path) -> Iterator[Postgres]:
    server = Postgres(server_home / "postgres", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(postgres_server: Postgres) -> str:
    """The name of a database that has the hub's schema, and no rows, partitions or connections."""
    name = f"migrated_{os.getpid()}"

    async def apply() -> None:
        async with Store(postgres_server.ensure_database(name)) as store:
            await migrate(store)

    asyncio.run(apply())
    return name


@pytest.fixture
def postgres(postgres_server: Postgres, migrated: str) -> Iterator[str]:
    """The dsn of a database with the hub's schema that is gone after the test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    yield postgres_server.ensure_database(name, migrated)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_postgres(postgres_server: Postgres) -> Iterator[str]:
    """The same without a schema."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    yield postgres_server.ensure_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def broker(server_home: Path) -> Iterator[BrokerAddress]:
    """A real broker on loopback; tests keep apart by their gateway names."""
    running = Broker(server_home / "broker")
    running.start()
    yield BrokerAddress(running.host, running.port)
    running.stop()
