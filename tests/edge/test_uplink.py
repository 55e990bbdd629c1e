"""The uplink against a real broker, with the hub's end scripted: order, bound, reconnects, epochs, gaps, documents."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devices.envelope import ROOT, Committed, GatewayState, decode_batch, topic
from devices.observation import Event, GatewayId, Observation, Telemetry
from edge import clock, mqtt
from edge.health import Skew
from edge.mqtt import backoff_s, end
from edge.reports import Reports
from edge.spool import Spool
from edge.spool_file import SpoolFile
from edge.supervisor import supervise
from edge.uplink import LaneSender, Uplink
from edge.window import BATCHES_MAX, STALL_S_MAX
from gridward.broker import Broker
from simulators.relay import Relay
from tests.conftest import BrokerAddress
from tests.edge import site
from tests.edge.hub_side import HubSide
from tests.edge.site import BAND, NOW, alarm, steps, until

_numbers = itertools.count(1)


@pytest.fixture
def gateway() -> str:
    """Tests keep apart on the one broker by the gateway's name."""
    return f"uplink-{next(_numbers)}"


class Site:
    """A spool and an uplink, as the agent puts them together."""

    def __init__(self, folder: Path, gateway: str, port: int, rows_max: int, password: str = "") -> None:
        config = site.config(folder, gateway=gateway, broker={"port": port})
        reports = Reports(8)
        self.down: list[tuple[str, bytes]] = []
        self.receipts = 0
        self.states = itertools.count()
        self.skew = Skew()
        self.file = SpoolFile(folder, rows_max, 0, reports, site.GATEWAY)
        self.file.open(NOW)
        self.spool = Spool(self.file, reports, self._stored)
        self.uplink = Uplink(
            config,
            password,
            self.spool,
            state=lambda: GatewayState(
                gateway=GatewayId(gateway),
                online=True,
                at=NOW,
                epoch=self.spool.epoch,
                spool_rows=next(self.states),
            ),
            down_topics=(topic(GatewayId(gateway), "down", "+"),),
            down=lambda name, payload: self.down.append((name, payload)),
            committed_at=self._receipt,
        )

    def _receipt(self, committed_at: datetime) -> None:
        self.skew.receipt(committed_at, clock.now())
        self.receipts += 1

    def _stored(self) -> None:
        self.uplink.stored()

    async def append(self, *rows: Observation) -> None:
        self.spool.append(rows, lambda error: None)
        await self.spool.settled()


@asynccontextmanager
async def opened(folder: Path, gateway: str, port: int, rows_max: int = 1_000_000) -> AsyncIterator[Site]:
    folder.mkdir(exist_ok=True)
    edge = Site(folder, gateway, port, rows_max)
    running = asyncio.ensure_future(supervise("uplink", edge.uplink.run))
    try:
        yield edge
    finally:
        await end([running])
        await edge.spool.close()


def numbers(rows: list[Observation]) -> list[float]:
    return [row.body.values["steps"] for row in rows]  # type: ignore[union-attr]


async def test_rows_arrive_in_order_and_only_the_receipt_deletes_them(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with HubSide(*broker, gateway, committing=False) as hub, opened(tmp_path, gateway, broker.port) as edge:
        for number in range(300):
            edge.spool.append([steps(BAND, number)], lambda _: None)
        await edge.append(alarm(BAND, "sos"))
        await until(lambda: len(hub.rows["routine"]) == 300 and hub.rows["urgent"], "everything was sent")
        assert numbers(hub.rows["routine"]) == list(range(300)) and hub.refused == 0
        assert edge.spool.rows == 301, "the broker's word proves nothing"
        await hub.commit_all()
        await until(lambda: edge.spool.rows == 0, "the hub's word does")
        assert edge.receipts > 0 and hub.states[0].online


async def fill_window(hub: HubSide, edge: Site) -> None:
    """One row a batch until no more are sent, then some rows more."""
    await until(lambda: edge.uplink.connected, "connected")
    for number in range(BATCHES_MAX + 5):
        await edge.append(steps(BAND, number))
        await until(lambda n=number: len(hub.batches) >= min(n + 1, BATCHES_MAX), "sent")  # type: ignore[misc]


async def test_no_more_than_the_window_is_under_way(tmp_path: Path, broker: BrokerAddress, gateway: str) -> None:
    async with HubSide(*broker, gateway, committing=False) as hub, opened(tmp_path, gateway, broker.port) as edge:
        await fill_window(hub, edge)
        assert len(hub.batches) == BATCHES_MAX
        await hub.commit("routine", hub.batches[0].epoch, 1)
        await until(lambda: len(hub.rows["routine"]) == BATCHES_MAX + 5, "one receipt opens the window")
        assert len(hub.batches) == BATCHES_MAX + 1, "what waited travels together"


async def test_urgent_does_not_wait_for_a_routine_lane_that_is_stuck(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with HubSide(*broker, gateway, committing=False) as hub, opened(tmp_path, gateway, broker.port) as edge:
        await fill_window(hub, edge)
        await edge.append(alarm(BAND, "sos"))
        await until(lambda: hub.rows["urgent"], "the alarm goes by")


async def test_a_cut_line_loses_nothing_doubles_nothing_and_is_two_lines_of_log(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    with capture_logs() as logs:
        async with HubSide(*broker, gateway) as hub, Relay(*broker) as relay:
            async with opened(tmp_path, gateway, relay.port) as edge:
                for number in range(60):
                    if number % 20 == 5:
                        relay.cut()
                        await until(lambda: not edge.uplink.connected, "the cut is seen")
                    if number % 20 == 15:
                        relay.restore()
                        await until(lambda: edge.uplink.connected, "connected again")
                    await edge.append(steps(BAND, number), alarm(BAND, "sos", str(number)))
                await until(lambda: edge.spool.rows == 0, "everything is committed")
            assert numbers(hub.rows["routine"]) == list(range(60))
            assert [row.body.component for row in hub.rows["urgent"]] == [str(number) for number in range(60)]  # type: ignore[union-attr]
            assert not any(hub.gaps.values())
    said = [line["event"] for line in logs]
    assert said == ["uplink_connected", *["uplink_lost", "uplink_recovered"] * 3]


async def test_without_a_broker_the_spool_fills_and_one_line_says_so(tmp_path: Path, gateway: str) -> None:
    with capture_logs() as logs:
        async with opened(tmp_path, gateway, 1) as edge:
            await until(lambda: logs, "the loss is told")
            for number in range(20):
                await edge.append(steps(BAND, number))
            assert edge.spool.rows == 20
    assert [line["event"] for line in logs] == ["uplink_lost"]


async def test_a_receipt_for_another_spool_is_not_taken(tmp_path: Path, broker: BrokerAddress, gateway: str) -> None:
    with capture_logs() as logs:
        async with HubSide(*broker, gateway, committing=False) as hub:
            for lane in ("urgent", "routine"):
                await hub.commit(lane, "a-spool-that-is-gone", 99)  # type: ignore[arg-type]
            async with opened(tmp_path, gateway, broker.port) as edge:
                await edge.append(*[steps(BAND, number) for number in range(5)])
                await until(lambda: hub.rows["routine"], "sent all the same")
                assert edge.spool.rows == 5 and edge.receipts == 0, "a retained receipt says nothing of the clock"
                await hub.commit("routine", "a-spool-that-is-gone", 99)
                await until(lambda: edge.receipts == 1, "a live one does")
                await hub.say("committed/routine", b"{nonsense")
                await hub.commit("routine", hub.batches[0].epoch, 2)
                await until(lambda: edge.uplink._senders["routine"].window.committed == 2, "the good one counts")
    events = [line["event"] for line in logs]
    assert events.count("committed_of_another_epoch") == 2 and "committed_unreadable" in events


async def test_a_spool_that_is_older_than_what_the_hub_has_of_it_begins_anew_and_loses_nothing(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    """A disk that lied about its last syncs, or a copy that was put back."""
    with capture_logs() as logs:
        async with HubSide(*broker, gateway, committing=False) as hub:
            async with opened(tmp_path, gateway, broker.port) as edge:
                await edge.append(*[steps(BAND, number) for number in range(3)])
                await until(lambda: len(hub.rows["routine"]) == 3, "sent")
                [epoch] = {batch.epoch for batch in hub.batches}
                hub._cursors[(epoch, "routine")] = 100
                await hub.commit("routine", epoch, 100)
                await until(lambda: edge.spool.epoch != epoch, "a new epoch")
                await edge.append(*[steps(BAND, number) for number in range(3, 60)])
                await hub.commit_all()
                await until(lambda: edge.spool.rows == 0, "all are with the hub")
            told = [row.body.values["steps"] for row in hub.rows["routine"] if isinstance(row.body, Telemetry)]
            assert told == [0, 1, 2, *range(60)], "twice what was there, and nothing is missing"
            assert [row.body.kind for row in hub.rows["urgent"] if isinstance(row.body, Event)] == ["spool_set_aside"]
    assert [line["event"] for line in logs].count("spool_older_than_hub") == 1


@pytest.mark.parametrize("committed_at", ['"2026-11-25T00:00:00"', '"yesterday"', "7", "null"])
async def test_a_receipt_that_cannot_be_read_is_one_line_and_ends_nothing(
    tmp_path: Path, broker: BrokerAddress, gateway: str, committed_at: str
) -> None:
    with capture_logs() as logs:
        async with HubSide(*broker, gateway, committing=False) as hub, opened(tmp_path, gateway, broker.port) as edge:
            await edge.append(steps(BAND, 1))
            await until(lambda: hub.batches, "sent")
            receipt = f'{{"epoch":"{edge.spool.epoch}","seq":1,"committed_at":{committed_at}}}'
            await hub.say("committed/routine", receipt.encode(), retain=True)
            await hub.commit("routine", edge.spool.epoch, 1)
            await until(lambda: edge.spool.rows == 0, "the good one counts")
    assert [line["event"] for line in logs if line["log_level"] != "info"] == ["committed_unreadable"]


async def test_a_batch_that_takes_long_on_its_way_is_sent_once(tmp_path: Path) -> None:
    """A thin line: each batch needs longer to the broker than an answer is waited for."""
    file = site.spool_file(tmp_path)
    spool = Spool(file, file._reports, lambda: None)
    for number in range(3):
        for _ in range(2):  # a chunk each
            spool.append([steps(BAND, number)], lambda _: None)
        await spool.settled()
    sender, sent = LaneSender(GatewayId("gw"), "routine", spool), []

    async def publish(name: str, payload: bytes) -> None:
        sender.window.stall_s = 0.01
        await asyncio.sleep(0.05)
        seqs = [seq for seq, _ in decode_batch(payload).rows]
        sent.append(seqs)
        told = Committed(epoch=spool.epoch, seq=seqs[-1], committed_at=NOW)
        asyncio.get_running_loop().call_later(0.005, sender.committed, told, False)

    with capture_logs() as logs:
        draining = asyncio.ensure_future(sender.drain(publish))
        await until(lambda: spool.rows == 0, "committed")
        await end([draining])
    assert sent == [[1, 2, 3, 4, 5, 6]] and logs == []
    await spool.close()


async def test_a_hub_that_comes_back_gets_what_waits_at_once(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    """It greets with what it had; to a spool that it does not know yet, with the one before."""
    async with opened(tmp_path, gateway, broker.port) as edge:
        for epoch in (edge.spool.epoch, "the-one-before"):
            await until(lambda: edge.uplink.connected, "connected")
            await edge.append(alarm(BAND, "sos"))
            window = edge.uplink._senders["urgent"].window
            await until(lambda window=window: window.in_flight, "sent into the void")  # type: ignore[misc]
            window.stall_s = STALL_S_MAX  # as a long outage leaves it
            async with HubSide(*broker, gateway) as hub:
                await hub.commit("urgent", epoch, window.committed)
                await until(lambda: edge.spool.rows == 0, "committed")
                assert len(hub.rows["urgent"]) == 1
            edge.file.path.unlink()
            edge.file.close()
            await edge.append(steps(BAND, 1))  # the first row of a new spool


async def test_what_was_dropped_is_declared_and_the_rest_arrives(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with HubSide(*broker, gateway) as hub:
        async with opened(tmp_path, gateway, 1, rows_max=1_000) as edge:
            for number in range(20):
                await edge.append(*[steps(BAND, 100 * number + row) for row in range(100)])
            assert edge.spool.rows == 1_000
        async with opened(tmp_path, gateway, broker.port, rows_max=1_000) as edge:
            await until(lambda: edge.spool.rows == 0, "committed")
        assert hub.gaps["routine"] == [(1, 1_000)] and numbers(hub.rows["routine"]) == list(range(1_000, 2_000))
        assert hub.refused == 0


async def test_a_lane_of_which_everything_was_dropped_says_that_too(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with HubSide(*broker, gateway) as hub:
        async with opened(tmp_path, gateway, 1, rows_max=1_000) as edge:
            await edge.append(*[steps(BAND, row) for row in range(200)])
            for number in range(10):
                await edge.append(*[alarm(BAND, "sos", f"{number}-{row}") for row in range(100)])
            assert edge.spool.lane("routine").rows == 0
        async with opened(tmp_path, gateway, broker.port, rows_max=1_000) as edge:
            await until(lambda: edge.spool.rows == 0 and hub.gaps["routine"], "committed and declared")
        assert hub.gaps == {"routine": [(1, 200)], "urgent": []} and len(hub.rows["urgent"]) == 1_000


async def test_a_hub_that_lost_what_it_had_gets_the_rest_and_a_gap(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with opened(tmp_path, gateway, broker.port) as edge:
        async with HubSide(*broker, gateway):
            await edge.append(*[steps(BAND, row) for row in range(50)])
            await until(lambda: edge.spool.rows == 0, "committed")
        async with HubSide(*broker, gateway, committing=False) as restored:
            await restored.commit("routine", edge.spool.epoch, 0)
            await until(lambda: edge.uplink._senders["routine"].window.gone_through == 50, "the edge understands")
            await restored.commit_all()
            await edge.append(steps(BAND, 50))
            await until(lambda: edge.spool.rows == 0, "no waiting for ever")
            assert restored.gaps["routine"] == [(1, 50)] and numbers(restored.rows["routine"]) == [50]


async def test_a_new_spool_begins_at_one_under_a_new_epoch(tmp_path: Path, broker: BrokerAddress, gateway: str) -> None:
    async with HubSide(*broker, gateway) as hub, opened(tmp_path, gateway, broker.port) as edge:
        await edge.append(*[steps(BAND, row) for row in range(5)])
        await until(lambda: edge.spool.rows == 0, "committed")
        edge.file.path.unlink()
        edge.file.close()
        await edge.append(steps(BAND, 5))
        await until(lambda: len(hub.rows["routine"]) == 6 and edge.spool.rows == 0, "arrived and committed")
        assert len({batch.epoch for batch in hub.batches}) == 2 and hub.batches[-1].rows[0][0] == 1


async def test_rows_of_a_file_that_turned_bad_arrive_once_and_those_that_are_gone_are_declared(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    """Some of them were under way when it happened: with the hub, but not known to be."""
    async with HubSide(*broker, gateway, committing=False) as hub:
        async with opened(tmp_path, gateway, broker.port) as edge:
            await edge.append(alarm(BAND, "sos"), *[steps(BAND, row) for row in range(100)])
            await until(lambda: len(hub.all_rows) == 101, "sent")
        async with opened(tmp_path, gateway, 1) as edge:
            for number in range(1, 5):
                await edge.append(*[steps(BAND, row) for row in range(number * 100, number * 100 + 100)])
            edge.file._sql.execute("UPDATE chunks SET crc = 0 WHERE lane = 'routine' AND first IN (1, 301)")
        await hub.commit_all()
        async with opened(tmp_path, gateway, broker.port) as edge:
            await until(lambda: edge.spool.rows == 0, "all of it is committed")
            assert numbers(hub.rows["routine"]) == [*range(300), *range(400, 500)]
            assert hub.gaps == {"urgent": [], "routine": [(301, 400)]}
            kinds = [row.body.kind for row in hub.rows["urgent"]]  # type: ignore[union-attr]
            assert kinds == ["sos", "spool_set_aside"] and hub.refused == 0
            assert edge.spool.lane("routine").dropped == 100, "the hub had the others"


async def test_what_comes_down_is_handed_on_and_the_last_will_says_offline(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with HubSide(*broker, gateway) as hub, Relay(*broker) as relay, opened(tmp_path, gateway, relay.port) as edge:
        await until(lambda: hub.states, "online")
        await hub.say("down/zones", b"signed", retain=True)
        await until(lambda: edge.down, "the document")
        assert [payload for _, payload in edge.down] == [b"signed"] and edge.down[0][0].endswith("/down/zones")
        relay.cut()
        await until(lambda: not hub.states[-1].online, "the will")
        relay.restore()
        await until(lambda: hub.states[-1].online and len(edge.down) == 2, "back, and the document again")


async def test_the_state_of_before_a_break_does_not_come_after_the_one_of_behind_it(
    tmp_path: Path, broker: BrokerAddress, gateway: str
) -> None:
    async with HubSide(*broker, gateway) as hub, Relay(*broker) as relay, opened(tmp_path, gateway, relay.port) as edge:
        await until(lambda: hub.states, "online")
        for _ in range(50):
            edge.uplink.say_soon()
        edge.uplink.result("cmd_result", b'{"nonce":"n"}')
        relay.cut()
        await until(lambda: not edge.uplink.connected, "the cut is seen")
        relay.restore()
        await until(lambda: hub.results, "what waited was said")
        said = [state.spool_rows for state in hub.states if state.online]
        assert said == sorted(said) and hub.results == [{"nonce": "n"}]


PLUGINS = sorted(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))


class Picky(Broker):
    """A broker with rules about who may subscribe to what; nobody may to documents."""

    allow = False

    def _argv(self, config: Path) -> list[str | Path]:
        rules = config.with_name("rules.json")
        acl = {"acltype": "subscribePattern", "topic": f"{ROOT}/+/+/down/#", "allow": self.allow}
        access = dict.fromkeys(("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), True)
        group = {"groupname": "all", "roles": [{"rolename": "edge"}]}
        roles = [{"rolename": "edge", "acls": [acl]}]
        told = {"defaultACLAccess": access, "anonymousGroup": "all", "groups": [group], "roles": roles, "clients": []}
        rules.write_text(json.dumps(told))
        with config.open("a") as file:
            file.write(f"plugin {PLUGINS[0]}\nplugin_opt_config_file {rules}\n")
        return super()._argv(config)


@pytest.mark.skipif(not PLUGINS, reason="no mosquitto with its plugin")
async def test_a_refused_subscription_is_said_and_tried_again_and_alarms_go_on(
    server_home: Path, tmp_path: Path, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "SUBSCRIBE_AGAIN_S", 0.5)
    picky = Picky(server_home / "picky", program="mosquitto")
    picky.start()
    try:
        with capture_logs() as logs:
            async with opened(tmp_path, gateway, picky.port) as edge:
                async with HubSide(picky.host, picky.port, gateway) as hub:
                    await edge.append(alarm(BAND, "sos"))
                    await until(lambda: edge.spool.rows == 0, "the alarm is committed")
                    await until(lambda: len(hub.states) > 1, "tried again")
                    assert not edge.uplink.connected
                picky.stop()
                picky.allow = True
                picky.start()
                await until(lambda: edge.uplink.connected, "granted")
        lost, *rest = [line for line in logs if line["event"].startswith("uplink")]
        assert "subscription refused" in lost["error"] and lost["error"].endswith("/down/+")
        assert [line["event"] for line in rest] == ["uplink_connected"]
    finally:
        picky.stop()


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.2), (5, 3.2), (50, 30.0)])
def test_the_wait_before_a_new_attempt_is_full_jitter_and_bounded(attempt: int, longest: float) -> None:
    chances = [0.0, 0.25, 0.999]
    assert [backoff_s(attempt, chance) for chance in chances] == [chance * longest for chance in chances]
