"""Two hubs at once on one real broker and one database: what either takes is stored once, and a fire is one case."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from devices.envelope import Lane
from devices.observation import Alarm, DeviceId, Observation, Telemetry, ZoneId
from tests.conftest import BrokerAddress
from tests.hub.edge_line import EdgeLine, RunningHub, now, running, until, write_config

GATEWAYS = ("two-hubs-a", "two-hubs-b", "two-hubs-c")
BATCH = 40
BATCHES = 12  # before one of the hubs goes, and again after that


def reading(gateway: str, seq: int) -> Observation:
    at = now()
    return Observation(
        device=DeviceId(f"watch:{gateway}"), observed_at=at, received_at=at, body=Telemetry({"steps": float(seq)})
    )


def smoke(gateway: str, seq: int) -> Observation:
    """Each number is a fire in another zone, which every gateway has a detector in."""
    at = now()
    body = Alarm(kind="smoke", component=str(seq))
    return Observation(
        device=DeviceId(f"gbt26875:{gateway}"), observed_at=at, received_at=at, body=body, zone=ZoneId(f"zone-{seq}")
    )


async def talk(line: EdgeLine, first_batch: int) -> None:
    """Batches of both lanes; every third is sent twice, as after a lost receipt."""
    for number in range(first_batch, first_batch + BATCHES):
        first = number * BATCH + 1
        for _ in range(2 if number % 3 == 0 else 1):
            await line.send([smoke(line.gateway, number + 1)], number + 1, lane="urgent")
            await line.send([reading(line.gateway, seq) for seq in range(first, first + BATCH)], first)


async def committed(line: EdgeLine, lane: Lane, seq: int) -> None:
    """The receipts of two hubs may overtake each other."""
    await until(lambda: max((one for _, one in line.committed(lane)), default=0) == seq, f"{lane} {seq}")


async def all_committed(lines: list[EdgeLine], batches: int) -> None:
    for line in lines:
        await committed(line, "urgent", batches)
        await committed(line, "routine", batches * BATCH)


async def test_nothing_is_lost_or_stored_twice_and_each_fire_is_one_incident(
    postgres: str, broker: BrokerAddress, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(EdgeLine(broker, name).connected()) for name in GATEWAYS]
        async with running(write_config(tmp_path, postgres, broker, hub_id="hub-2")) as stays:
            async with running(write_config(tmp_path, postgres, broker, hub_id="hub-1")) as goes:
                await asyncio.gather(*(talk(line, 0) for line in lines))
                await all_committed(lines, BATCHES)
                await asyncio.gather(*(talk(line, BATCHES // 2) for line in lines))
            await all_committed(lines, BATCHES + BATCHES // 2)
            taken = check(stays)
            both = sum(taken_by(hub) for hub in (stays, goes))
            assert both == taken, "each row was counted by the hub that stored it, and by no other"


def check(hub: RunningHub) -> int:
    """Every row is there once; how many there are."""
    batches = BATCHES + BATCHES // 2
    stored = hub.rows("SELECT device, count(*) AS n, count(DISTINCT value) AS d FROM telemetry GROUP BY device")
    assert [(row["n"], row["d"]) for row in stored] == [(batches * BATCH, batches * BATCH)] * len(GATEWAYS)
    alarms = hub.rows("SELECT gateway, count(*) AS n, count(DISTINCT seq) AS d FROM events GROUP BY gateway")
    assert [(row["n"], row["d"]) for row in alarms] == [(batches, batches)] * len(GATEWAYS)
    incidents = hub.rows("SELECT zone, alarm_count, version FROM incidents")
    assert sorted(row["zone"] for row in incidents) == sorted(f"zone-{seq}" for seq in range(1, batches + 1))
    assert {(row["alarm_count"], row["version"]) for row in incidents} == {(len(GATEWAYS), len(GATEWAYS))}
    assert hub.rows("SELECT FROM events WHERE incident IS NULL") == hub.rows("SELECT FROM refused_rows") == []
    assert hub.rows("SELECT FROM gaps") == []
    return batches * (BATCH + 1) * len(GATEWAYS)


def taken_by(hub: RunningHub) -> int:
    return sum(int(totals["rows"]) for totals in hub.hub.metrics.totals.values())


async def test_who_watches_at_either_hub_hears_of_every_fire(
    postgres: str, broker: BrokerAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fires = 10
    async with (
        EdgeLine(broker, "two-hubs-watched").connected() as line,
        running(write_config(tmp_path, postgres, broker, hub_id="hub-1")) as one,
        running(write_config(tmp_path, postgres, broker, hub_id="hub-2")) as other,
    ):
        heard: list[set[str]] = []
        for hub in (one, other):
            told: set[str] = set()
            monkeypatch.setattr(hub.hub.live, "publish", partial(_note, told))
            heard.append(told)
        for number in range(1, fires + 1):
            await line.send([smoke(line.gateway, number)], number, lane="urgent")
        wanted = {f"zone-{number}" for number in range(1, fires + 1)}
        await until(lambda: heard == [wanted, wanted], "both hear of all")


def _note(told: set[str], kind: str, body: dict[str, Any]) -> None:
    if kind == "incident":
        told.add(body["zone"])
