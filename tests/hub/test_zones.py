"""Zones drawn over the API: judged, versioned, told to every gateway of the site, restored, and who did what."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from devices.documents import verify_document
from devices.envelope import topic
from devices.observation import GatewayId
from edge.downlink import read_zones
from edge.fences import Drawn
from hub import site
from hub.store import StatementRefused, jsonb
from tests.hub.api_world import GATEWAY, SQUARE, World, items, now_utc, problem, world
from tests.hub.edge_line import SITE

API = "/api/v1/sites/wuzhen/zones"
NAMES = {"name_zh": "临时管控", "name_en": "Flash", "purpose": "flash"}
FLASH = NAMES | {"circle": {"centre": [120.4855, 30.7455], "radius_m": 80}}


@pytest.fixture
async def hub(postgres: str) -> AsyncIterator[World]:
    async with world(postgres) as found:
        yield found


@pytest.fixture
async def client(hub: World) -> AsyncIterator[httpx.AsyncClient]:
    async with hub.client() as found:
        yield found


async def put(client: httpx.AsyncClient, asked: Any = FLASH, version: int = 0, zone: str = "flash-1") -> Any:
    headers = {"If-Match": f'"{version}"'} if version else {}
    return await client.put(f"{API}/{zone}", json=asked, headers=headers)


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code >= 400, answer.text
    return answer.status_code, problem(answer, answer.status_code)


def told(hub: World, gateway: str = GATEWAY) -> list[Drawn]:
    """The documents "zones" that were published, as the gateway reads them."""
    name = topic(GatewayId(gateway), "down", "zones")
    found = [content for where, content in hub.published if where == name]
    return [read_zones(verify_document(one, hub.key.public_key(), gateway, 0, now_utc())) for one in found]


async def test_flash_zone_is_one_call_and_every_gateway_of_the_site_is_told(
    hub: World, client: httpx.AsyncClient
) -> None:
    await hub.store.execute("gateway_upsert", gateway="gw-2", site="wuzhen")
    answer = await put(client, FLASH | {"rules": {"dwelt_s": 60}})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert answer.headers["ETag"] == '"1"'
    assert (shown["id"], shown["properties"]["source"], shown["properties"]["version"]) == ("flash-1", "api", 1)
    assert shown["properties"]["rules"] == {"dwelt_s": 60.0} and shown["warnings"] == []
    assert {each["gateway"]: each["state"] for each in shown["gateways"]} == {GATEWAY: "waiting", "gw-2": "waiting"}
    for gateway in (GATEWAY, "gw-2"):
        [drawn] = told(hub, gateway)
        assert drawn.plan.zone_at(120.4855, 30.7455) == "flash-1"
        assert drawn.plan.rules[drawn.plan.index["flash-1"]].dwelt_s == 60
    listed = (await client.get(API)).json()["features"]
    assert "flash-1" in {each["id"] for each in listed}


async def test_gateway_that_works_by_it_or_refuses_it_is_shown(hub: World, client: httpx.AsyncClient) -> None:
    await put(client)
    held = [each async for each in states(hub, client, {"documents": {"zones": 1}}, {"documents": {"zones": 0}})]
    assert held == ["held", "waiting"]
    refused = {"documents": {"zones": 0}, "documents_refused": {"zones": "zone x: has no area"}}
    assert [each async for each in states(hub, client, refused)] == ["refused"]
    [gateway] = (await client.get("/api/v1/zones/held?site=wuzhen")).json()["gateways"]
    assert gateway["reason"] == "zone x: has no area" and gateway["issued"] == 1


async def states(hub: World, client: httpx.AsyncClient, *said: dict[str, Any]) -> AsyncIterator[str]:
    for state in said:
        await hub.store.execute("gateway_state", gateway=GATEWAY, online=True, state=jsonb(state), at=now_utc())
        [gateway] = (await client.get(f"{API}/flash-1")).json()["gateways"]
        yield gateway["state"]


async def test_change_names_the_version_it_saw(client: httpx.AsyncClient) -> None:
    await put(client)
    wider = FLASH | {"circle": {"centre": [120.4855, 30.7455], "radius_m": 200}}
    assert refused(await put(client, wider)) == (428, 'say which version you looked at: If-Match: "1"')
    assert (await put(client, wider, 1)).headers["ETag"] == '"2"'
    stale = await put(client, FLASH, 1)
    assert refused(stale) == (412, "the zone is at version 2 now") and stale.headers["ETag"] == '"2"'
    assert refused(await put(client, FLASH, 7, "flash-9")) == (412, "there is no such zone now")


async def test_what_changes_nothing_tells_nobody(hub: World, client: httpx.AsyncClient) -> None:
    await put(client)
    assert (await put(client, FLASH, 1)).headers["ETag"] == '"1"'
    assert len(told(hub)) == 1
    assert len(items(await client.get("/api/v1/zones/steps?site=wuzhen"))) == 1


async def test_two_at_once_and_one_of_them_learns_of_it(client: httpx.AsyncClient) -> None:
    await put(client)
    asked = [FLASH | {"circle": {"centre": [120.4855, 30.7455], "radius_m": metres}} for metres in (100, 120)]
    answers = await asyncio.gather(*(put(client, each, 1) for each in asked))
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_withdrawn_zone_is_gone_and_can_be_had_back(hub: World, client: httpx.AsyncClient) -> None:
    await put(client)
    assert refused(await client.delete(f"{API}/flash-1"))[0] == 428
    assert (await client.delete(f"{API}/flash-1", headers={"If-Match": '"1"'})).status_code == 204
    assert (await client.get(f"{API}/flash-1")).status_code == 404
    assert "flash-1" not in told(hub)[-1].plan.ids
    back = await client.post(f"{API}/flash-1/restore", json={"version": 1})
    assert back.status_code == 200 and back.headers["ETag"] == '"3"'
    assert "flash-1" in told(hub)[-1].plan.ids
    steps = items(await client.get("/api/v1/zones/steps?site=wuzhen&zone=flash-1"))
    assert [(step["action"], step["version"], step["actor"]) for step in steps] == [
        ("restore", 3, "operator"),
        ("withdraw", 2, "operator"),
        ("draw", 1, "operator"),
    ]
    assert steps[1]["after"] is None and steps[1]["before"] == steps[0]["after"] == steps[2]["after"]
    assert (
        refused(await client.post(f"{API}/flash-1/restore", json={"version": 2}, headers={"If-Match": '"3"'}))[0] == 404
    )


async def test_earlier_version_is_had_back_as_a_new_one(client: httpx.AsyncClient) -> None:
    await put(client)
    await put(client, FLASH | {"name_en": "Other"}, 1)
    back = await client.post(f"{API}/flash-1/restore", json={"version": 1}, headers={"If-Match": '"2"'})
    assert back.json()["properties"]["name_en"] == "Flash" and back.headers["ETag"] == '"3"'


RING = SQUARE["coordinates"][0]
BOW = [[120.48, 30.74], [120.49, 30.75], [120.49, 30.74], [120.48, 30.75], [120.48, 30.74]]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"shape": {"type": "Polygon", "coordinates": [BOW]}}, "body shape: ring 0, position 0"),
        ({"shape": {"type": "Polygon", "coordinates": [[*RING[:-1], RING[1]]]}}, "not closed"),
        (
            {"shape": {"type": "Polygon", "coordinates": [[list(reversed(one)) for one in RING]]}},
            "latitude stands before longitude",
        ),
        ({"shape": {"type": "GeometryCollection", "geometries": [SQUARE, SQUARE]}}, "body shape"),
        ({"shape": {"type": "Polygon", "coordinates": []}}, "body shape"),
        ({"shape": {"type": "Point", "coordinates": [120.48, 30.74]}}, "radius_m"),
        ({"shape": {"coordinates": 5}}, "body shape"),
        ({"circle": {"centre": [120.48, 91], "radius_m": 5}}, "body circle"),
        ({"circle": {"centre": [120.48, 30.74], "radius_m": 0}}, "radius_m"),
        ({"corridor": {"line": [[120.48, 30.74]], "width_m": 5}}, "body corridor"),
        ({"shape": SQUARE, "circle": {"centre": [120.48, 30.74], "radius_m": 5}}, "one of shape, circle and corridor"),
        ({}, "one of shape, circle and corridor"),
        ({"shape": SQUARE, "rules": {"dwelt": 5}}, "body rules.dwelt"),
        ({"shape": SQUARE, "rules": {"speed_max_kmh": -5}}, "body rules.speed_max_kmh"),
        ({"shape": SQUARE, "rules": {"parent": "nowhere"}}, "rules.parent: nowhere is not there"),
        ({"shape": SQUARE, "rules": {"parent": "flash-1"}}, "go round"),
        ({"shape": SQUARE, "rules": {"altitude_m": [9, 1]}}, "rules.altitude_m"),
        ({"shape": SQUARE, "ring": -1}, "ring"),
        ({"shape": SQUARE, "purpose": "A Purpose"}, "purpose"),
        ({"shape": SQUARE, "colour": "red"}, "colour"),
    ],
)
async def test_what_is_no_zone_is_refused_and_says_where(
    hub: World, client: httpx.AsyncClient, asked: dict[str, Any], words: str
) -> None:
    status, detail = refused(await put(client, NAMES | asked))
    assert status == 422 and words in detail, detail
    assert hub.published == [] and items(await client.get("/api/v1/zones/steps?site=wuzhen")) == []


async def test_corridor_is_drawn_by_its_line_and_warnings_are_told(hub: World, client: httpx.AsyncClient) -> None:
    line = [[120.48, 30.74], [120.49, 30.745]]
    answer = await put(client, NAMES | {"corridor": {"line": line, "width_m": 30}})
    assert answer.status_code == 200 and answer.json()["geometry"]["type"] == "Polygon"
    far = NAMES | {"circle": {"centre": [10.0, 50.0], "radius_m": 30}}
    assert any("far" in warning or "km" in warning for warning in (await put(client, far, 1)).json()["warnings"])


async def test_zone_of_the_file_is_left_to_it_and_one_of_people_survives_it(
    hub: World, client: httpx.AsyncClient, tmp_path: Any
) -> None:
    status, detail = refused(await put(client, FLASH, 1, "hall"))
    assert status == 409 and "belongs to the site file" in detail
    assert refused(await client.delete(f"{API}/hall", headers={"If-Match": '"1"'}))[0] == 409
    await put(client)
    path = tmp_path / "site.toml"
    path.write_text(SITE.replace('id = "s"', 'id = "wuzhen"'))
    await site.write(hub.store, site.read(path))
    assert (await client.get(f"{API}/flash-1")).status_code == 200
    versions = {each["id"]: each["properties"]["version"] for each in (await client.get(API)).json()["features"]}
    await site.write(hub.store, site.read(path))
    again = {each["id"]: each["properties"]["version"] for each in (await client.get(API)).json()["features"]}
    assert versions == again, "what the file does not change keeps its version"


async def test_zone_in_use_is_not_withdrawn(hub: World, client: httpx.AsyncClient) -> None:
    await put(client)
    await put(client, FLASH | {"rules": {"parent": "flash-1"}}, 0, "flash-2")
    status, detail = refused(await client.delete(f"{API}/flash-1", headers={"If-Match": '"1"'}))
    assert (status, detail) == (409, "it is the parent of flash-2; change them first")
    enrolled = {"device": "jt808:13900000777", "gateway": GATEWAY, "zone": "flash-2"}
    assert (await client.post("/api/v1/enrolments", json=enrolled)).status_code == 200
    status, detail = refused(await client.delete(f"{API}/flash-2", headers={"If-Match": '"1"'}))
    assert status == 409 and "jt808:13900000777" in detail


async def test_cell_of_a_grid_is_not_drawn_alone(client: httpx.AsyncClient) -> None:
    assert refused(await put(client, FLASH | {"purpose": "grid"}))[0] == 409


async def test_unknown_site_and_strangers_are_turned_away(hub: World, client: httpx.AsyncClient) -> None:
    assert (await client.put("/api/v1/sites/nowhere/zones/z", json=FLASH)).status_code == 404
    assert (await client.get("/api/v1/zones/held?site=nowhere")).status_code == 404
    assert (await client.get("/api/v1/zones/steps?site=nowhere")).status_code == 404
    async with hub.stranger() as stranger:
        assert (await stranger.put(f"{API}/flash-1", json=FLASH)).status_code == 401


async def test_the_log_cannot_be_changed(hub: World, client: httpx.AsyncClient) -> None:
    await put(client)
    hub.store._named["test_change"] = "UPDATE zone_steps SET actor = 'somebody else'"
    with pytest.raises(StatementRefused, match="append-only"):
        await hub.store.execute("test_change")
