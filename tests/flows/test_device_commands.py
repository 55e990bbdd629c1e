"""A person at the hub asks devices, over all of the way: hub, broker, edge, the wire of simulated devices, and back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from edge.mqtt import end
from simulators.band import Band
from simulators.device import SimulatedDevice
from simulators.families import BUILDERS
from simulators.line import Line
from simulators.spec import DeviceSpec, Faults
from simulators.stage import Counts, Member, Stage
from simulators.terminal import Terminal
from tests.conftest import BrokerAddress
from tests.edge import site
from tests.edge.process import AgentProcess
from tests.edge.site import BAND, PANEL, TERMINAL
from tests.hub.edge_line import RunningHub, running, until, write_config

GATEWAY = "gw-devices"


@asynccontextmanager
async def simulated(agent: AgentProcess, device: str) -> AsyncIterator[SimulatedDevice]:
    """A simulated device that dials the agent."""
    family, _, native_id = device.partition(":")
    made = BUILDERS[family](native_id, {"report_every_s": 1}, 1)
    spec = DeviceSpec(family=family, id=native_id, host="127.0.0.1", port=agent.port(family))
    stage = Stage(faults=Faults(), seed=1, counts=Counts(), accepted=lambda rows: None, said=lambda rows: None)
    line = Line([Member(spec, made)], stage)
    running_ = asyncio.ensure_future(line.run())
    try:
        yield made
    finally:
        await end([running_])


async def asked(hub: RunningHub, action: str, target: str, **args: str) -> str:
    done = await hub.command(GATEWAY, f"device.{action}", target, json.dumps(args), "guard-7")
    assert done["result"] in ("accepted", "confirmed"), done
    return str(done["result"])


async def told(hub: RunningHub, action: str, target: str) -> bool:
    return bool((await hub.command(GATEWAY, f"device.{action}", target, "{}", "guard-7"))["result"] != "refused")


@pytest.fixture
def edge_file(tmp_path: Path, broker: BrokerAddress) -> Path:
    key = str(tmp_path / "hub" / "hub.pub")
    site.acted_before(tmp_path / "state")
    return site.write(tmp_path, gateway=GATEWAY, broker={"port": broker.port}, hub_public_key_file=key)


async def test_devices_do_what_the_hub_asks_and_confirm_it(
    postgres: str, broker: BrokerAddress, tmp_path: Path, edge_file: Path
) -> None:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running(write_config(tmp_path, postgres, broker)))
        agent = await stack.enter_async_context(AgentProcess(edge_file))
        await until(lambda: agent.said("uplink_connected"), "connected")
        away = await hub.command(GATEWAY, "device.find", BAND, "{}", "guard-7")
        assert (away["result"], away["reason"]) == ("refused", f"{BAND} is not connected")
        band, terminal, _ = [
            await stack.enter_async_context(simulated(agent, device)) for device in (BAND, TERMINAL, PANEL)
        ]
        for action, device in (("locate", BAND), ("locate", TERMINAL), ("read_time", PANEL)):
            await until(partial(told, hub, action, device), f"{device} is there")
        assert isinstance(band, Band) and isinstance(terminal, Terminal)

        assert await asked(hub, "find", BAND) == "accepted"
        assert await asked(hub, "locate", BAND) == "confirmed"
        assert band.asked == ["CR", "FIND", "CR"]

        assert await asked(hub, "set_parameters", TERMINAL, report_s="30") == "confirmed"
        assert terminal.kept.parameters[0x29] == bytes((0, 0, 0, 30))
        await asked(hub, "set_circle", TERMINAL, id="7", centre="120.4838,30.7436", radius_m="900")
        assert [area.id for area in terminal.kept.areas.values()] == [7]

        assert await asked(hub, "read_state", PANEL) == "confirmed"
        assert await asked(hub, "duty_check", PANEL, minutes="1") == "confirmed"
        await until(lambda: hub.rows("SELECT FROM events WHERE kind = 'confirm'"), "the key is in the record")
