"""`gridward.hub_client` against the real API: the two are kept to one contract."""

import asyncio

import pytest

from gridward.hub_client import HubClient, HubError
from tests.hub.api_world import NAME, PASSWORD, World, world


async def test_the_client_works_an_incident_to_closed(postgres: str) -> None:
    async with world(postgres) as hub, hub.served() as url:
        number = await hub.smoke()
        await asyncio.to_thread(_work, hub, url, number)


def _work(hub: World, url: str, number: int) -> None:
    client = HubClient(url)
    try:
        assert client.healthy() and client.health()["status"] == "ok"
        with pytest.raises(HubError, match="401"):
            client.incidents()
        client.login(NAME, PASSWORD)
        assert [gateway["gateway"] for gateway in client.gateways()] == ["gw-1"] and len(client.devices()) == 2
        [incident] = client.incidents("active")
        assert incident["incident"] == number
        client.seen(client.incident(number))
        assert client.incident(number)["alarms"][0]["seen_at"]
        for action in ("acknowledge", "dispatch", "arrive", "resolve"):
            stale, incident = incident, client.step(incident, action, "handled")
        with pytest.raises(HubError, match="412"):
            client.step(stale, "resolve", "handled")
        with pytest.raises(HubError, match="409"):
            client.step(incident, "close", "verified")
        assert client.step(incident, "close", "verified", isolated=True)["phase"] == "closed"
        assert client.incidents("active") == [] and len(client.incidents()) == 1
    finally:
        client.close()
