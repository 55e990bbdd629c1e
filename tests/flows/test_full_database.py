"""The database's disk is full: nothing is lost or set aside, the hub says so once, and goes on when there is room."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devices.observation import Alarm, DeviceId, Observation, Telemetry, ZoneId
from gridward.postgres import Postgres, connect
from tests.conftest import BrokerAddress
from tests.hub.edge_line import EdgeLine, now, running, until, write_config
from tests.small_disk import filled, small_disk_at

DISK_BYTES = 60_000_000
BEFORE, AFTER = 10, 4_000  # rows; the second number needs far more than the pages that are there


@pytest.fixture
def disk(server_home: Path) -> Iterator[Path]:
    with small_disk_at(server_home / "small", DISK_BYTES) as folder:
        yield folder


@pytest.fixture
def small_database(disk: Path, postgres_server: Postgres) -> Iterator[str]:
    """The dsn of a database whose tables, but not its log, are on a small disk."""
    place = disk / "tables"
    place.mkdir(mode=0o700)
    owner = postgres_server.directory.stat()
    shutil.chown(place, owner.st_uid, owner.st_gid)
    with connect(postgres_server.dsn("postgres")) as server:
        server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        server.execute("CREATE DATABASE small TABLESPACE small")
        yield postgres_server.dsn("small")
        postgres_server.drop_database("small")
        server.execute("DROP TABLESPACE small")


def readings(first: int, last: int) -> list[Observation]:
    at = now()
    return [
        Observation(device=DeviceId("watch:1"), observed_at=at, received_at=at, body=Telemetry({"steps": float(seq)}))
        for seq in range(first, last + 1)
    ]


def fires(first: int, last: int) -> list[Observation]:
    """With words that fill pages."""
    at = now()
    return [
        Observation(
            device=DeviceId("gbt26875:1"),
            observed_at=at,
            received_at=at,
            body=Alarm(kind="smoke", component=str(seq), description="x" * 400),
            zone=ZoneId("hall"),
        )
        for seq in range(first, last + 1)
    ]


async def test_a_full_disk_holds_up_and_loses_nothing(
    disk: Path, small_database: str, broker: BrokerAddress, tmp_path: Path
) -> None:
    async with (
        running(write_config(tmp_path, small_database, broker)) as hub,
        EdgeLine(broker, "full-disk").connected() as edge,
    ):
        await edge.send(readings(1, BEFORE), 1)
        await edge.send(fires(1, 1), 1, lane="urgent")
        await edge.until_committed(BEFORE)
        await edge.until_committed(1, lane="urgent")
        with capture_logs() as logs:
            with filled(disk):
                await edge.send(readings(BEFORE + 1, AFTER), BEFORE + 1)
                await edge.send(fires(2, 200), 2, lane="urgent")
                said = await until(lambda: held_up(logs) if len(held_up(logs)) == 2 else None, "both lanes say so")
                assert all("No space left on device" in line["error"] for line in said)
                health = await hub.health()
                assert health["status"] == "degraded" and health["database"] == {"ok": True}
                assert edge.committed()[-1] == ("e1", BEFORE) and edge.committed("urgent")[-1] == ("e1", 1)
            await edge.until_committed(AFTER)
            await edge.until_committed(200, lane="urgent")
            await until(lambda: hub.hub.health()["status"] == "ok", "well again")
        assert len(held_up(logs)) == 2 and not [line for line in logs if "traceback" in str(line).lower()]
        [stored] = hub.rows("SELECT count(*) AS n, count(DISTINCT value) AS d FROM telemetry")
        assert stored == {"n": AFTER, "d": AFTER}
        [incident] = hub.rows("SELECT alarm_count FROM incidents")
        assert incident == {"alarm_count": 200}
        assert hub.rows("SELECT FROM refused_rows") == []


def held_up(logs: list[dict]) -> list[dict]:
    return [line for line in logs if line["event"] == "commits_held_up"]
