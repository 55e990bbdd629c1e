"""Devices of every family on bad lines, an edge that is killed, an uplink that is cut: what was confirmed to a device
is with the hub exactly once. Real processes, real broker; only the hub's end is scripted, by the hub's own
cursor rule.
"""

import asyncio
import signal
from collections import Counter
from datetime import UTC
from pathlib import Path

from devices.observation import Alarm, Event, Observation, Position
from gridward.broker import free_port
from gridward.ledger import PLACES, VALUE_PLACES, Fact, facts_of, read
from simulators.play import Ledger, Play
from simulators.relay import Relay
from simulators.spec import DeviceSpec, Faults, Scenario, WorldEvent
from tests.conftest import BrokerAddress
from tests.edge import site
from tests.edge.hub_side import HubSide
from tests.edge.process import AgentProcess
from tests.edge.site import until

GATEWAY = "flow-outages"
DEVICES = {"gbt26875": ("901", "902"), "watch": ("9900000001", "9900000002"), "jt808": ("13912340001", "13912340002")}
BETWEEN_FAULTS = 40  # confirmed reports
NOISE = Faults(duplicate=0.05, garbage=0.05, drop=0.02)
LONG_S = 3_600


def scenario(ports: dict[str, int]) -> Scenario:
    specs = tuple(
        DeviceSpec(family, native, "127.0.0.1", ports[family], {"report_every_s": 0.3})
        for family, ids in DEVICES.items()
        for native in ids
    )
    events = tuple(
        WorldEvent(at, f"gbt26875:{native}", action, {"component": 7})
        for at in range(1, LONG_S, 2)
        for native, action in (
            ("901", "smoke" if at % 4 == 1 else "clear"),
            ("902", "fault" if at % 4 == 1 else "repaired"),
        )
    )
    return Scenario(seed=11, duration_s=LONG_S, devices=specs, events=events, faults=NOISE)


def facts(rows: list[Observation]) -> Counter[Fact]:
    """What the hub has, in the ledger's words."""
    held: Counter[Fact] = Counter()
    for row in rows:
        body, at = row.body, row.observed_at.astimezone(UTC)
        if isinstance(body, Alarm):
            held["alarm", row.device, body.kind, body.component, at, "raised" if body.raised else "cleared"] += 1
        elif isinstance(body, Event):
            held["event", row.device, body.kind, body.component, at, ""] += 1
        elif isinstance(body, Position):
            place = f"{body.longitude:.{PLACES}f} {body.latitude:.{PLACES}f}"
            held["position", row.device, "", "", at, place] += 1
        else:
            for metric, value in body.values.items():
                held["value", row.device, metric, body.component, at, f"{value:.{VALUE_PLACES}f}"] += 1
    return held


async def test_what_was_confirmed_is_with_the_hub_exactly_once(tmp_path: Path, broker: BrokerAddress) -> None:
    ports, ledger = {family: free_port() for family in DEVICES}, tmp_path / "ledger"

    def confirmed() -> int:
        return len(read(ledger))

    async def more() -> None:
        goal = confirmed() + BETWEEN_FAULTS
        await until(lambda: confirmed() >= goal, "devices are confirmed", 60)

    async with HubSide(*broker, GATEWAY) as hub, Relay(*broker) as relay:
        config = site.write(
            tmp_path,
            gateway=GATEWAY,
            broker={"port": relay.port},
            links=[
                {"name": family, "kind": "tcp_server", "family": family, "port": port} for family, port in ports.items()
            ],
            devices=[{"id": f"{family}:{native}"} for family, ids in DEVICES.items() for native in ids],
            rules=[],
        )
        playing = asyncio.ensure_future(Play(scenario(ports), 1.0, Ledger(ledger), lambda text: None).run())
        try:
            for fault in range(3):
                async with AgentProcess(config) as agent:
                    await more()
                    relay.cut()
                    await more()
                    relay.restore()
                    await more()
                    if fault == 1:
                        relay.cut()  # killed while it is cut off
                        await more()
                    await agent.stop(signal.SIGKILL)
                    relay.restore()
        finally:
            playing.cancel()
        owed = Counter(fact for report in read(ledger) for fact in facts_of(report))
        async with AgentProcess(config) as agent:
            await until(lambda: not owed - facts(hub.all_rows), "everything confirmed arrives", 60)
            assert await agent.stop() == 0
        held = facts(hub.all_rows)
        assert {fact: number for fact, number in (held - owed).items() if fact in owed} == {}, "nothing twice"
        assert hub.refused == 0 and not any(hub.gaps.values()) and confirmed() > 9 * BETWEEN_FAULTS
