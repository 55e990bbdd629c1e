"""Ingest through a real broker into a real database: exactly once, in order, whatever is cut, repeated or refused."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import psycopg
import pytest

from devices.envelope import Batch, GatewayState, encode
from devices.observation import Alarm, DeviceId, GatewayId, Observation, Position, Telemetry
from gridward.broker import Broker
from gridward.postgres import Postgres
from hub import ingest, server
from tests.conftest import BrokerAddress
from tests.hub.edge_line import EdgeLine, RunningHub, now, running, until, write_config

DEVICE = DeviceId("watch:1")


def reading(value: float, device: str = DEVICE) -> Observation:
    at = now()
    return Observation(device=DeviceId(device), observed_at=at, received_at=at, body=Telemetry({"steps": value}))


def smoke(raised: bool = True, description: str = "") -> Observation:
    at = now()
    body = Alarm(kind="smoke", raised=raised, component="1", description=description)
    return Observation(device=DeviceId("gbt26875:1"), observed_at=at, received_at=at, body=body)


def numbers(first: int, last: int) -> list[Observation]:
    """Readings whose value is their sequence number."""
    return [reading(float(seq)) for seq in range(first, last + 1)]


def stored(hub: RunningHub) -> list[int]:
    return [int(row["value"]) for row in hub.rows("SELECT value FROM telemetry ORDER BY value")]


@pytest.fixture
async def hub(postgres: str, broker: BrokerAddress, tmp_path) -> AsyncIterator[RunningHub]:
    async with running(write_config(tmp_path, postgres, broker)) as found:
        yield found


@pytest.fixture
async def edge(broker: BrokerAddress, request) -> AsyncIterator[EdgeLine]:
    """A gateway of its own for each test."""
    name = request.node.name.lower().replace("[", "-").replace("]", "")[:64]
    async with EdgeLine(broker, name).connected() as line:
        yield line


async def test_batches_and_batches_sent_again_are_stored_once(hub: RunningHub, edge: EdgeLine) -> None:
    await edge.send(numbers(1, 10), 1)
    await edge.until_committed(10)
    await edge.send(numbers(1, 10), 1)
    await edge.send(numbers(6, 15), 6)  # overlaps what is known
    await edge.send(numbers(16, 20), 16)
    await edge.until_committed(20)
    assert stored(hub) == list(range(1, 21))
    [latest] = hub.rows("SELECT value FROM latest_values")
    assert latest["value"] == 20


async def test_committed_is_retained(hub: RunningHub, edge: EdgeLine, broker: BrokerAddress) -> None:
    await edge.send(numbers(1, 3), 1)
    await edge.until_committed(3)
    async with EdgeLine(broker, edge.gateway).connected() as later:
        await later.until_committed(3)
        assert later.heard[0][2]


async def test_what_stands_beyond_a_hole_is_refused_and_answered(hub: RunningHub, edge: EdgeLine) -> None:
    await edge.send(numbers(1, 3), 1)
    await edge.until_committed(3)
    before = len(edge.committed())
    await edge.send(numbers(5, 6), 5)
    await until(lambda: len(edge.committed()) > before, "an answer")
    assert edge.committed()[-1] == ("e1", 3)
    assert stored(hub) == [1, 2, 3]
    await edge.send(numbers(4, 6), 4)
    await edge.until_committed(6)
    assert stored(hub) == [1, 2, 3, 4, 5, 6]


async def test_a_declared_gap_is_stored(hub: RunningHub, edge: EdgeLine) -> None:
    await edge.send(numbers(1, 2), 1)
    await edge.send(numbers(10, 11), 10, dropped_through=9)
    await edge.until_committed(11)
    await edge.send([], 0, dropped_through=20)
    await edge.until_committed(20)
    gaps = hub.rows("SELECT first_seq, last_seq FROM gaps ORDER BY first_seq")
    assert gaps == [{"first_seq": 3, "last_seq": 9}, {"first_seq": 12, "last_seq": 20}]
    assert stored(hub) == [1, 2, 10, 11]


async def test_a_new_epoch_begins_at_one(hub: RunningHub, edge: EdgeLine) -> None:
    await edge.send(numbers(1, 5), 1)
    await edge.until_committed(5)
    await edge.send(numbers(6, 7), 1, epoch="e2")
    await edge.until_committed(2, epoch="e2")
    assert stored(hub) == [1, 2, 3, 4, 5, 6, 7]


async def test_an_unreadable_row_is_kept_apart(hub: RunningHub, edge: EdgeLine) -> None:
    batch = Batch(gateway=edge.gateway, epoch="e1", lane="routine", rows=tuple(enumerate(numbers(1, 3), 1)))
    built = msgspec.json.decode(encode(batch))
    built["rows"][1][1] = {"device": "watch:1", "poison": True}
    await edge.say("up/routine", encode(built))
    await edge.until_committed(3)
    assert stored(hub) == [1, 3]
    [row] = hub.rows("SELECT seq, observation, error FROM refused_rows")
    assert row["seq"] == 2 and msgspec.json.decode(row["observation"]) == {"device": "watch:1", "poison": True}


async def test_a_row_that_the_database_refuses_blocks_nobody(hub: RunningHub, edge: EdgeLine) -> None:
    """A constraint that the hub does not know of stands for whatever nobody thought of."""
    with psycopg.connect(hub.dsn) as connection:
        connection.execute("ALTER TABLE telemetry ADD CHECK (value <> 13)")
        connection.execute("ALTER TABLE telemetry ADD CHECK (value <> 77)")
    for first in range(1, 100, 20):
        await edge.send(numbers(first, first + 19), first)
    await edge.until_committed(100)
    assert stored(hub) == [number for number in range(1, 101) if number not in (13, 77)]
    refused = hub.rows("SELECT seq, error FROM refused_rows ORDER BY seq")
    assert [row["seq"] for row in refused] == [13, 77] and "violates check" in refused[0]["error"]
    assert hub.hub.metrics.totals["routine"]["refused"] == 2


async def test_unfit_batches_are_counted_and_the_next_one_is_taken(hub: RunningHub, edge: EdgeLine) -> None:
    for payload in (b"", b"not json", encode({"gateway": "another"})):
        await edge.say("up/routine", payload)
    await edge.send(numbers(1, 2), 1)
    await edge.until_committed(2)
    assert hub.hub.metrics.totals["routine"]["unfit"] == 3
    assert hub.hub.metrics.text().count(b'gridward_batches_unfit_total{lane="routine"} 3.0') == 1


async def test_a_full_buffer_drops_and_the_edge_sends_again(
    hub: RunningHub, edge: EdgeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BUFFER_BYTES_MAX", 10)
    await edge.send(numbers(1, 2), 1)
    await until(lambda: hub.hub.metrics.totals["routine"]["dropped"] == 1)
    monkeypatch.undo()
    await edge.send(numbers(1, 2), 1)
    await edge.until_committed(2)
    assert stored(hub) == [1, 2]


async def test_a_large_batch_and_many_gateways(hub: RunningHub, broker: BrokerAddress) -> None:
    """Every gateway's rows are there once, though workers share them out."""

    async def one(name: str) -> None:
        async with EdgeLine(broker, name).connected() as line:
            for first in range(1, 2001, 500):
                await line.send([reading(float(seq), f"watch:{name}") for seq in range(first, first + 500)], first)
            await line.until_committed(2000)

    await asyncio.gather(*(one(f"many-{number}") for number in range(5)))
    counts = hub.rows("SELECT device, count(DISTINCT value) AS n, count(*) AS m FROM telemetry GROUP BY device")
    assert [(row["n"], row["m"]) for row in counts] == [(2000, 2000)] * 5


async def test_alarms_pass_telemetry_that_waits(hub: RunningHub, edge: EdgeLine) -> None:
    """The routine lane hangs in the database; the urgent one does not care."""
    with psycopg.connect(hub.dsn) as blocking:
        blocking.execute("LOCK TABLE telemetry IN ACCESS EXCLUSIVE MODE")
        await edge.send(numbers(1, 5), 1)
        await edge.send([smoke()], 1, lane="urgent")
        await edge.until_committed(1, lane="urgent")
        assert edge.committed() == []
    await edge.until_committed(5)


async def test_what_people_watch(hub: RunningHub, edge: EdgeLine) -> None:
    at = now()
    place = Observation(
        device=DEVICE, observed_at=at, received_at=at, body=Position(longitude=120.48, latitude=30.74, speed_kmh=3.5)
    )
    async with hub.hub.live.subscribe() as changes:
        await edge.send([smoke()], 1, lane="urgent")
        seen = {}
        async with asyncio.timeout(20):
            while not {"incident", "device"} <= seen.keys():
                event, body = await anext(changes)
                seen[event] = body
        assert seen["incident"]["kind"] == "smoke" and seen["incident"]["allowed"] == ["acknowledge", "note"]
        assert seen["device"]["alarms"] == ["smoke"] and seen["device"]["last_seen"]
        await edge.send([place], 1)
        async with asyncio.timeout(20):
            while event != "positions":
                event, body = await anext(changes)
        assert body["items"][0]["longitude"] == 120.48


async def test_devices_and_gateways_become_known(hub: RunningHub, edge: EdgeLine) -> None:
    await edge.send(numbers(1, 1), 1)
    await edge.until_committed(1)
    [row] = hub.rows("SELECT site, gateway, family, kind FROM devices")
    assert row == {"site": "s", "gateway": edge.gateway, "family": "watch", "kind": "band"}
    await until(lambda: hub.rows("SELECT 1 AS n FROM devices WHERE last_seen IS NOT NULL"), "last_seen")


async def test_the_database_goes_and_comes_back(server_home, broker: BrokerAddress, tmp_path) -> None:
    """What was sent meanwhile is stored once it is back; the hub says degraded, then ok."""
    server = Postgres(server_home / "falls", durable=False)
    server.start()
    try:
        config = write_config(tmp_path, server.ensure_database("hub"), broker)
        async with running(config) as hub, EdgeLine(broker, "database-falls").connected() as edge:
            await edge.send(numbers(1, 5), 1)
            await edge.until_committed(5)
            server.stop()
            await edge.send(numbers(6, 10), 6)
            await edge.send([smoke()], 1, lane="urgent")
            await until(lambda: not hub.hub.store.available, "noticing")
            health = await hub.health()
            assert (health["status"], health["database"], health["broker"]) == ("degraded", {"ok": False}, {"ok": True})
            server.start()
            await edge.until_committed(10)
            await edge.until_committed(1, lane="urgent")
            await until(lambda: hub.hub.health()["status"] == "ok", "recovery")
            assert stored(hub) == list(range(1, 11))
            assert hub.rows("SELECT count(*) AS n FROM incidents") == [{"n": 1}]
    finally:
        server.stop()


async def test_the_broker_goes_and_comes_back_with_nothing_in_its_head(server_home, postgres: str, tmp_path) -> None:
    """It has forgotten every Committed: the hub tells all gateways again."""
    own = Broker(server_home / "falling-broker")
    own.start()
    try:
        address = BrokerAddress(own.host, own.port)
        async with running(write_config(tmp_path, postgres, address)) as hub:
            async with EdgeLine(address, "broker-falls").connected() as edge:
                await edge.send(numbers(1, 5), 1)
                await edge.send([smoke()], 1, lane="urgent")
                await edge.until_committed(5)
                await edge.until_committed(1, lane="urgent")
            own.stop()
            await until(lambda: hub.hub.health()["broker"] == {"ok": False}, "noticing")
            own.start()
            async with EdgeLine(address, "broker-falls").connected() as edge:
                await edge.until_committed(5)
                await edge.until_committed(1, lane="urgent")
                await edge.send(numbers(4, 8), 4)
                await edge.until_committed(8)
            await until(lambda: hub.hub.health()["status"] == "ok", "recovery")
            assert stored(hub) == list(range(1, 9))
    finally:
        own.stop()


async def test_a_stopped_hub_leaves_what_it_did_not_commit_to_the_edge(
    postgres: str, broker: BrokerAddress, tmp_path
) -> None:
    config = write_config(tmp_path, postgres, broker)
    async with EdgeLine(broker, "hub-stops").connected() as edge:
        async with running(config):
            await edge.send(numbers(1, 5), 1)
            await edge.until_committed(5)
        await edge.send(numbers(6, 7), 6)
        async with running(config) as hub:
            await until(lambda: edge.committed().count(("e1", 5)) >= 2, "the greeting")
            await edge.send(numbers(6, 7), 6)
            await edge.until_committed(7)
            assert stored(hub) == [1, 2, 3, 4, 5, 6, 7]


async def test_a_gateway_is_online_until_its_last_will(hub: RunningHub, edge: EdgeLine) -> None:
    state = GatewayState(
        gateway=edge.gateway, online=True, at=now(), version="1.2", spool_rows=7, actuators={"siren": "on"}
    )

    def shown() -> list[dict]:
        found = [row for row in hub.rows("SELECT * FROM gateways") if row["gateway"] == edge.gateway]
        return [(row["online"], row["state"].get("version"), row["state"].get("actuators")) for row in found]

    await edge.say("state", encode(state), retain=True)
    await until(lambda: shown() == [(True, "1.2", {"siren": "on"})])
    await edge.say("state", encode(GatewayState(gateway=edge.gateway, online=False)), retain=True)
    await until(lambda: shown() == [(False, "1.2", {"siren": "on"})])
    await edge.say("state", b"", retain=True)


async def test_a_state_under_another_name_is_not_taken(hub: RunningHub, edge: EdgeLine, broker: BrokerAddress) -> None:
    await edge.say("state", encode(GatewayState(gateway=GatewayId("somebody-else"), online=True)))
    await edge.say("state", b"rubbish")
    await edge.say("state", b" " * 100_000)
    async with EdgeLine(broker, "says-it-right").connected() as other:
        await other.say("state", encode(GatewayState(gateway=other.gateway, online=True)))
    await until(lambda: hub.rows("SELECT 1 AS n FROM gateways WHERE gateway = 'says-it-right'"))
    names = {row["gateway"] for row in hub.rows("SELECT gateway FROM gateways")}
    assert not names & {edge.gateway, "somebody-else"}


async def test_rows_set_aside_and_commits_held_up_are_seen_in_health(
    postgres: str, broker: BrokerAddress, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "COUNT_PERIOD_S", 0.1)
    async with running(write_config(tmp_path, postgres, broker)) as hub:
        assert (await hub.health())["ingest"]["refused_rows"] == 0
        refused = "INSERT INTO refused_rows VALUES ('gw-1', 'e', 'urgent', 1, '', 'no')"
        with psycopg.connect(hub.dsn) as connection:
            connection.execute(refused)
        await until(lambda: hub.hub.metrics.refused_rows == 1, "counting it")
        assert b"gridward_refused_rows 1.0" in hub.hub.metrics.text()
        assert (await hub.health())["status"] == "ok"
        hub.hub.metrics.held_up("urgent", 1)
        health = await hub.health()
        assert (health["status"], health["ingest"]["urgent"]["held_up"]) == ("degraded", 1)
        assert health["ingest"]["refused_rows"] == 1
