"""Positions reported to the hub itself: what they tell is what an edge would tell, once, whatever comes in between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from hub import clock
from tests.hub.api_world import PANEL, World, items, now_utc, problem, world

API = "/api/v1"
PHONE = "phone:1"
INSIDE, OUTSIDE = (120.488, 30.743), (120.47, 30.70)


@pytest.fixture
async def hub(postgres: str) -> AsyncIterator[World]:
    async with world(postgres) as found:
        names = {"name": "Phone", "name_zh": "", "kind": "phone", "floor": None}
        place = {"zone": None, "gateway": None, "longitude": None, "latitude": None}
        await found.store.execute("device_upsert", device=PHONE, site="wuzhen", **names, **place)
        yield found


@pytest.fixture
async def client(hub: World) -> AsyncIterator[httpx.AsyncClient]:
    async with hub.client() as found:
        circle = {"centre": list(INSIDE), "radius_m": 100}
        asked = {"name_zh": "区", "name_en": "Zone", "purpose": "flash", "circle": circle, "rules": {"dwelt_s": 60}}
        assert (await found.put(f"{API}/sites/wuzhen/zones/flash", json=asked)).status_code == 200
        yield found


def at(place: tuple[float, float], ago_s: float = 0.0, **more: Any) -> dict[str, Any]:
    observed_at = now_utc() - timedelta(seconds=ago_s)
    return {"observed_at": observed_at.isoformat(), "longitude": place[0], "latitude": place[1], **more}


async def report(client: httpx.AsyncClient, *positions: dict[str, Any], device: str = PHONE) -> httpx.Response:
    return await client.post(f"{API}/devices/{device}/positions", json={"positions": list(positions)})


def of_flash(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event["kind"] for event in answer.json()["events"] if event["zone"] == "flash"]


async def stored(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    found = items(await client.get(f"{API}/events?device={PHONE}&zone=flash"))
    return [(event["kind"], event["gateway"]) for event in reversed(found)]


async def test_who_enters_and_leaves_is_told_and_stored(hub: World, client: httpx.AsyncClient) -> None:
    assert of_flash(await report(client, at(OUTSIDE, 300))) == []
    assert of_flash(await report(client, at(INSIDE, 200))) == ["zone_entered"]
    assert of_flash(await report(client, at(INSIDE, 190))) == []
    assert of_flash(await report(client, at(OUTSIDE, 10))) == ["zone_dwelt", "zone_exited"]
    assert await stored(client) == [
        ("zone_entered", "hub-itself"), ("zone_dwelt", "hub-itself"), ("zone_exited", "hub-itself"),
    ]  # fmt: skip
    device = (await client.get(f"{API}/devices/{PHONE}")).json()
    assert (device["position"]["longitude"], device["position"]["latitude"]) == OUTSIDE
    assert len([one for told in hub.told for one in told.moved]) == 4
    track = items(await client.get(f"{API}/devices/{PHONE}/track?from=2026-01-01T00:00:00Z"))
    assert [place["zone"] for place in track] == [None, "flash", "flash", None]


async def test_several_at_once_in_any_order_and_the_same_again(client: httpx.AsyncClient) -> None:
    walk = [at(OUTSIDE, 300), at(INSIDE, 200), at(OUTSIDE, 10)]
    assert of_flash(await report(client, *reversed(walk))) == ["zone_entered", "zone_dwelt", "zone_exited"]
    assert of_flash(await report(client, *walk)) == []


async def test_zone_that_is_withdrawn_is_left(hub: World, client: httpx.AsyncClient) -> None:
    await report(client, at(INSIDE, 5))
    await client.delete(f"{API}/sites/wuzhen/zones/flash", headers={"If-Match": '"1"'})
    assert of_flash(await report(client, at(INSIDE))) == ["zone_exited"]


async def test_two_at_once_tell_once(client: httpx.AsyncClient) -> None:
    first = at(INSIDE, 5)
    answers = await asyncio.gather(*(report(client, first) for _ in range(4)))
    assert sorted(len(of_flash(answer)) for answer in answers) == [0, 0, 0, 1]


async def test_what_comes_due_without_a_report_is_told(hub: World, client: httpx.AsyncClient) -> None:
    assert of_flash(await report(client, at(INSIDE))) == ["zone_entered"]
    assert await hub.reported.due(clock.now() + timedelta(seconds=59)) == 0
    assert await hub.reported.due(clock.now() + timedelta(seconds=61)) == 1
    assert await hub.reported.due(clock.now() + timedelta(seconds=62)) == 0
    assert await hub.reported.due(clock.now() + timedelta(seconds=1_000)) == 1
    assert [kind for kind, _ in await stored(client)] == ["zone_entered", "zone_dwelt", "zone_lost"]
    assert await hub.reported.due(clock.now() + timedelta(days=1)) == 0


async def test_floor_is_what_a_beacon_says(client: httpx.AsyncClient) -> None:
    asked = {"name_zh": "区", "name_en": "Zone", "purpose": "flash", "rules": {"levels": [2]}}
    asked["circle"] = {"centre": list(INSIDE), "radius_m": 100}
    await client.put(f"{API}/sites/wuzhen/zones/flash", json=asked, headers={"If-Match": '"1"'})
    assert of_flash(await report(client, at(INSIDE, 30))) == []
    assert of_flash(await report(client, at(INSIDE, 20, level=1))) == []
    assert of_flash(await report(client, at(INSIDE, 10, level=2))) == ["zone_entered"]
    assert of_flash(await report(client, at(INSIDE, 5, level=1))) == ["zone_exited"]


async def test_track_that_cannot_be_read_begins_anew(hub: World, client: httpx.AsyncClient) -> None:
    await report(client, at(INSIDE, 30))
    await hub.store.execute("hub_track_put", device=PHONE, track=b"{", due_at=None)
    assert of_flash(await report(client, at(INSIDE, 10))) == ["zone_entered"]


async def test_device_of_a_gateway_or_of_nobody_is_refused(client: httpx.AsyncClient) -> None:
    answer = await report(client, at(INSIDE), device=PANEL)
    assert "reports through that" in problem(answer, 409)
    problem(await report(client, at(INSIDE), device="phone:2"), 404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"longitude": 181},
        {"latitude": "30"},
        {"accuracy_m": -1},
        {"observed_at": "2026-11-25T00:00:00"},
        {"observed_at": 1_800_000_000},
        {"level": 1_000},
        {"colour": "red"},
    ],
)
async def test_what_is_no_position_is_refused(hub: World, client: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    problem(await report(client, at(INSIDE) | wrong), 422)
    problem(await report(client), 422)
    assert hub.count("hub_tracks") == 0


async def test_the_future_counts_as_now(client: httpx.AsyncClient) -> None:
    late = (now_utc() + timedelta(days=1)).isoformat()
    [event] = [
        event
        for event in (await report(client, at(INSIDE) | {"observed_at": late})).json()["events"]
        if event["zone"] == "flash"
    ]
    assert datetime.fromisoformat(event["at"]) <= now_utc()
