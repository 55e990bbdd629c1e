"""Health, metrics, and what happens while the database is away."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridward.postgres import Postgres
from tests.hub.api_world import NAME, PASSWORD, problem, until, world


@pytest.fixture
def own_server() -> Iterator[Postgres]:
    """A PostgreSQL that this test may stop."""
    with tempfile.TemporaryDirectory(prefix="gridward-test-") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "postgres", durable=False)
        server.start()
        yield server
        server.stop()


async def test_health_is_public_and_says_when_something_is_away(postgres: str) -> None:
    async with world(postgres) as hub, hub.stranger() as anybody:
        well = await anybody.get("/api/v1/health")
        assert well.status_code == 200 and well.json()["status"] == "ok"
        hub.broker_ok = False
        ill = await anybody.get("/api/v1/health")
        assert ill.status_code == 503 and ill.json()["broker"] == {"ok": False}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
async def test_metrics_for_this_machine(postgres: str, address: str) -> None:
    async with world(postgres) as hub, hub.stranger(address) as monitor:
        answer = await monitor.get("/metrics")
        assert answer.status_code == 200 and answer.text == "gridward_up 1\n"
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "", "localhost"])
async def test_metrics_for_nobody_else(postgres: str, address: str) -> None:
    async with world(postgres) as hub, hub.stranger(address) as monitor:
        problem(await monitor.get("/metrics"), 403)
        problem(await monitor.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}), 403)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_metrics_do_not_pass_a_proxy(postgres: str, header: str) -> None:
    async with world(postgres) as hub, hub.stranger() as monitor:
        problem(await monitor.get("/metrics", headers={header: "127.0.0.1"}), 403)


async def test_a_stopped_database_is_503_and_then_it_is_well_again(own_server: Postgres) -> None:
    dsn = own_server.ensure_database("api")
    async with world(dsn) as hub, hub.client() as client, hub.stranger() as stranger:
        number = await hub.smoke()
        assert (await client.get("/api/v1/sites")).status_code == 200
        own_server.stop()
        step = {"json": {"action": "acknowledge"}, "headers": {"If-Match": '"1"'}}
        for answer in (
            await client.get("/api/v1/incidents"),
            await client.post(f"/api/v1/incidents/{number}/steps", **step),
            await stranger.post("/api/v1/login", json={"name": NAME, "password": PASSWORD}),
            await stranger.get("/api/v1/me", headers={"Authorization": "Bearer unknown"}),
        ):
            detail = problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0 and "socket" not in detail
        health = await stranger.get("/api/v1/health")
        assert health.status_code == 503 and health.json()["database"] == {"ok": False}
        own_server.start()
        answers: list[int] = []
        while 200 not in answers and len(answers) < 100:
            answers.append((await client.get("/api/v1/incidents")).status_code)
        assert set(answers) <= {200, 503} and answers[-1] == 200
        assert (await client.post(f"/api/v1/incidents/{number}/steps", **step)).status_code == 200
        await until(lambda: hub.store.available, "health")
