"""A lane without its broker: what blames a row and what does not, and that nothing makes it deaf."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from devices.envelope import Batch, Lane, encode, topic
from devices.observation import GatewayId, Observation
from gridward.postgres import rows
from hub.ingest import LaneIngest, Told
from hub.metrics import Metrics
from hub.migrations import migrate
from hub.registry import Registry
from hub.store import Store
from tests.hub.api_world import GATEWAY, NOON, alarm, furnish, values
from tests.hub.edge_line import until


class Heard:
    """One lane and what it did."""

    def __init__(self, dsn: str, lane: Lane, ingest: LaneIngest, metrics: Metrics) -> None:
        self.dsn, self.lane, self.ingest, self.metrics = dsn, lane, ingest, metrics
        self.acknowledged: list[int] = []
        self.crashed: list[str] = []

    def send(self, first: int, *observations: Observation, gateway: GatewayId = GATEWAY) -> None:
        batch = Batch(gateway=gateway, epoch="e1", lane=self.lane, rows=tuple(enumerate(observations, first)))
        self.say(encode(batch), lambda: self.acknowledged.append(first), gateway)

    def say(self, payload: bytes, acknowledge: Any, gateway: GatewayId = GATEWAY) -> None:
        self.ingest.arrived(topic(gateway, "up", self.lane), payload, acknowledge)

    def do(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in rows(self.dsn, query)]

    def committed(self) -> int:
        return sum(seq for (seq,) in self.ask("SELECT committed_seq FROM gateway_cursors"))

    def refused(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT seq, error FROM refused_rows ORDER BY seq")

    @property
    def held_up(self) -> bool:
        return self.metrics.totals[self.lane]["held_up"] > 0


@asynccontextmanager
async def lane(dsn: str, name: Lane) -> AsyncIterator[Heard]:
    async with Store(dsn) as store, Store(dsn, connections_max=1, beside=store) as own:
        await migrate(store)
        await furnish(store)
        metrics = Metrics()
        ingest = LaneIngest(name, [own], Told(registry=Registry(store), metrics=metrics, stored=lambda _: None))
        working = asyncio.create_task(ingest.run())
        yield Heard(dsn, name, ingest, metrics)
        assert not working.done()
        await ingest.stop()
        await working


def readings(count: int) -> Sequence[Observation]:
    return [values(NOON, steps=float(number)) for number in range(count)]


def refuse_with(state: str, table: str) -> tuple[str, ...]:
    """Every row of `table` is refused with this SQLSTATE."""
    body = f"BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END"
    return (
        f"CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        f"CREATE TRIGGER no BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no()",
    )


@pytest.mark.parametrize("state", ["25P04", "40001", "42501", "42P01", "53100", "57014", "58030", "XX001", "23514"])
async def test_what_is_not_the_rows_fault_keeps_the_batch(postgres: str, state: str) -> None:
    async with lane(postgres, "urgent") as urgent:
        urgent.do(*refuse_with(state, "incidents"))
        urgent.send(1, alarm("smoke"), alarm("heat"))
        await until(lambda: urgent.held_up, "saying that it is held up")
        assert (urgent.committed(), urgent.refused(), urgent.acknowledged) == (0, [], [])
        urgent.do("DROP TRIGGER no ON incidents")
        await until(lambda: urgent.acknowledged == [1], "the commit")
        assert (urgent.committed(), urgent.refused(), urgent.held_up) == (2, [], False)
        assert urgent.ask("SELECT alarm_count FROM incidents") == [(2,)]


async def test_a_table_that_is_away_for_a_while_costs_no_row(postgres: str) -> None:
    async with lane(postgres, "routine") as routine:
        routine.do("ALTER TABLE telemetry RENAME TO elsewhere")
        routine.send(1, *readings(20))
        await until(lambda: routine.held_up, "saying that it is held up")
        routine.do("ALTER TABLE elsewhere RENAME TO telemetry")
        await until(lambda: routine.acknowledged == [1], "the commit")
        assert (routine.refused(), routine.ask("SELECT count(*) FROM telemetry")) == ([], [(20,)])


async def test_a_gateway_that_is_held_up_holds_up_no_other(postgres: str) -> None:
    """What nobody thought of: rows of one gateway that meet a limit of the server, which is no fault of a row."""
    only = "BEGIN IF NEW.zone = 'yard' THEN RAISE EXCEPTION 'no' USING ERRCODE = '54000'; END IF; RETURN NEW; END"
    async with lane(postgres, "urgent") as urgent:
        urgent.do(*refuse_with("54000", "incidents"))
        urgent.do(f"CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {only} $$")
        urgent.send(1, alarm("smoke", zone="yard"))
        urgent.send(2, alarm("heat", zone="yard"))
        urgent.send(1, alarm("smoke"), alarm("heat"), gateway=GatewayId("gw-2"))
        await until(lambda: urgent.acknowledged == [1] and urgent.held_up, "the commit of the other")
        assert urgent.ask("SELECT place, alarm_count FROM incidents") == [("hall", 2)]
        urgent.do("DROP TRIGGER no ON incidents")
        await until(lambda: urgent.acknowledged == [1, 1, 2] and not urgent.held_up, "the commit of both")
        assert (urgent.refused(), urgent.ask("SELECT sum(alarm_count) FROM incidents")) == ([], [(4,)])


async def test_a_row_that_is_refused_once_is_not_set_aside(postgres: str) -> None:
    """A sequence moves on also when its transaction does not."""
    once = "BEGIN IF nextval('tries') = 1 THEN RAISE EXCEPTION 'no' USING ERRCODE = '22003'; END IF; RETURN NEW; END"
    async with lane(postgres, "urgent") as urgent:
        urgent.do("CREATE SEQUENCE tries", *refuse_with("22003", "incidents"))
        urgent.do(f"CREATE OR REPLACE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ {once} $$")
        urgent.send(1, alarm("smoke"))
        await until(lambda: urgent.acknowledged == [1], "the commit")
        assert (urgent.refused(), urgent.ask("SELECT alarm_count FROM incidents")) == ([], [(1,)])


async def test_a_row_that_is_refused_twice_is_set_aside(postgres: str) -> None:
    async with lane(postgres, "urgent") as urgent:
        urgent.do(*refuse_with("22003", "incidents"))
        urgent.send(1, alarm("smoke"))
        await until(lambda: urgent.acknowledged == [1], "the commit")
        assert urgent.refused() == [(1, "ValueRefused: no")] and urgent.committed() == 1
        assert urgent.metrics.totals["urgent"]["refused"] == 1


async def test_a_greeting_that_is_refused_does_not_end_the_lane(postgres: str) -> None:
    async with lane(postgres, "urgent") as urgent:
        urgent.do("ALTER TABLE gateway_cursors RENAME TO elsewhere")
        urgent.ingest.connected()
        await until(lambda: urgent.held_up, "saying that it is held up")
        urgent.do("ALTER TABLE elsewhere RENAME TO gateway_cursors")
        urgent.send(1, alarm("smoke"))
        await until(lambda: urgent.acknowledged == [1], "the commit")


async def test_an_arrival_that_crashes_does_not_make_the_lane_deaf(postgres: str) -> None:
    def crash() -> None:
        raise ZeroDivisionError

    async with lane(postgres, "urgent") as urgent:
        urgent.say(b"no batch", crash)
        urgent.send(1, alarm("smoke"))
        await until(lambda: urgent.acknowledged == [1], "the commit")
        assert urgent.metrics.totals["urgent"]["unfit"] == 1
