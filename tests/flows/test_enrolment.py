"""A stranger knocks, a person enrols it with one call, it is heard: hub, broker, edge, a simulated device's wire."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from hub.auth import ensure_first_user
from tests.conftest import BrokerAddress
from tests.edge import site
from tests.edge.process import AgentProcess
from tests.flows.test_device_commands import simulated
from tests.hub.api_world import NAME, PASSWORD, items, log_in
from tests.hub.edge_line import RunningHub, running, until, write_config

GATEWAY = "gw-enrol"
NEW = "watch:9900000000"
API = "/api/v1"


def heard(hub: RunningHub) -> int:
    return len(hub.rows(f"SELECT FROM telemetry WHERE device = '{NEW}'"))


async def strangers(client: httpx.AsyncClient) -> list[str]:
    return [one["device"] for one in items(await client.get(f"{API}/strangers"))]


async def state(client: httpx.AsyncClient) -> str:
    [one] = items(await client.get(f"{API}/enrolments"))
    return str(one["state"])


async def test_a_stranger_is_enrolled_with_one_call_and_stays_so(
    postgres: str, broker: BrokerAddress, tmp_path: Path
) -> None:
    key = str(tmp_path / "hub" / "hub.pub")

    async def agent(stack: AsyncExitStack) -> AgentProcess:
        file = site.write(tmp_path, gateway=GATEWAY, broker={"port": broker.port}, hub_public_key_file=key)
        return await stack.enter_async_context(AgentProcess(file))

    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running(write_config(tmp_path, postgres, broker)))
        await ensure_first_user(hub.hub.store, NAME, PASSWORD)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=hub.url, trust_env=False))
        client.headers["Authorization"] = f"Bearer {await log_in(client)}"
        client.cookies.clear()

        async def stranger() -> bool:
            return await strangers(client) == [NEW]

        async def held() -> bool:
            return await state(client) == "held"

        async with AsyncExitStack() as first:
            edge = await agent(first)
            await first.enter_async_context(simulated(edge, NEW))
            await until(stranger, "it is a stranger at the hub")
            assert heard(hub) == 0
            asked: dict[str, Any] = {"device": NEW, "name": "Guard 7", "zone": "hall"}
            answer = (await client.post(f"{API}/enrolments", json=asked)).json()
            assert (answer["gateway"], answer["link"], answer["state"]) == (GATEWAY, "watch", "waiting")
            await until(held, "the gateway says that it holds it")
            await until(lambda: heard(hub), "what it says is in the database")
            assert await strangers(client) == []
        before = heard(hub)
        async with AsyncExitStack() as second:
            edge = await agent(second)
            await second.enter_async_context(simulated(edge, NEW))
            await until(lambda: heard(hub) > before, "it is heard after a restart of the edge")
            assert (await client.delete(f"{API}/enrolments/{GATEWAY}/{NEW}")).status_code == 204
            await until(stranger, "withdrawn, it is a stranger again")
