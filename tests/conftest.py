"""Real parts for the tests: one PostgreSQL and one MQTT broker a session, a fresh database a test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gridward.broker import Broker
from gridward.postgres import Postgres

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


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[str]:
    """The dsn of an empty database that is gone after the test."""
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
