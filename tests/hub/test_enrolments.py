"""Enrolling over the API: who knocked, one call that does it, what the gateway is told, and who did what."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from devices.documents import Document, verify_document
from devices.envelope import topic
from devices.observation import DeviceId, Event, Observation
from hub import enrolments as enrolling
from hub.store import jsonb
from tests.hub.api_world import BAND, GATEWAY, PANEL, World, every_page, items, now_utc, problem, values, world

NEW = "jt808:13900000777"
READER = "osdp:bus/7"
API = "/api/v1"


@pytest.fixture
async def hub(postgres: str) -> AsyncIterator[World]:
    async with world(postgres) as found:
        yield found


@pytest.fixture
async def client(hub: World) -> AsyncIterator[httpx.AsyncClient]:
    async with hub.client() as found:
        yield found


def notice(device: str = NEW, at: datetime | None = None, link: str = "vehicles", **said: str) -> Observation:
    """What an edge says of a device that knocked."""
    at = at or now_utc()
    own = {"device": device, "link": link, "frame": "7e0100", "frames": said.pop("frames", "1")}
    body = Event(kind="unknown_device", attributes=own | said)
    return Observation(device=DeviceId(f"gateway:{GATEWAY}"), observed_at=at, received_at=at, body=body)


def told(hub: World) -> list[Document]:
    """The documents "devices" that were published, checked as the gateway does."""
    of_gateway = [content for name, content in hub.published if name == topic(GATEWAY, "down", "devices")]
    return [verify_document(content, hub.key.public_key(), GATEWAY, 0, now_utc()) for content in of_gateway]


async def enrol(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await client.post(f"{API}/enrolments", json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def say(hub: World, **state: Any) -> None:
    await hub.store.execute("gateway_state", gateway=GATEWAY, online=True, state=jsonb(state), at=now_utc())


# --- who knocked ---


async def test_who_knocked_is_shown_once_with_what_it_said(hub: World, client: httpx.AsyncClient) -> None:
    first, last = now_utc() - timedelta(hours=2), now_utc()
    await hub.observe(notice(at=first, maker="70001", model="GT-20"), notice(BAND, at=first))
    await hub.observe(notice(at=last, frames="12"), notice("watch:1", at=last - timedelta(seconds=1), frames="a lot"))
    newest, other, band = items(await client.get(f"{API}/strangers"))
    assert (newest["device"], newest["family"], newest["link"], newest["frames"]) == (NEW, "jt808", "vehicles", 13)
    assert newest["said"] == {"maker": "70001", "model": "GT-20"} and newest["frame"] == "7e0100"
    assert (newest["gateway"], newest["site"]) == (GATEWAY, "wuzhen")
    assert newest["first_seen"] < newest["last_seen"] and (other["device"], band["device"]) == ("watch:1", BAND)
    pages = await every_page(client, f"{API}/strangers", 1)
    assert [page[0]["device"] for page in pages] == [NEW, "watch:1", BAND]
    assert items(await client.get(f"{API}/strangers?site=other")) == []
    assert len(items(await client.get(f"{API}/strangers?gateway={GATEWAY}"))) == 3


async def test_who_is_heard_since_or_knocked_long_ago_is_no_stranger(hub: World, client: httpx.AsyncClient) -> None:
    long_ago = now_utc() - enrolling.KNOCKED_WITHIN - timedelta(minutes=1)
    await hub.observe(notice("watch:1"), now=long_ago)
    await hub.observe(notice(BAND, at=now_utc() - timedelta(minutes=5)))
    assert [one["device"] for one in items(await client.get(f"{API}/strangers"))] == [BAND]
    await hub.observe(values(now_utc(), BAND, heart_rate_bpm=70.0))
    await hub.seen(BAND, now_utc())
    assert items(await client.get(f"{API}/strangers")) == [], "the gateway's file has it now"


async def test_who_makes_names_up_makes_no_query_slow(
    hub: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.api_enrolments.NOTICES_MAX", 3)
    for number in range(5):
        await hub.observe(notice(f"watch:{number}"))
    assert [one["device"] for one in items(await client.get(f"{API}/strangers"))] == ["watch:4", "watch:3", "watch:2"]


# --- enrol ---


async def test_one_call_enrols_and_tells_the_gateway(hub: World, client: httpx.AsyncClient) -> None:
    await hub.observe(notice(model="GT-20"))
    found = await enrol(client, device=NEW)
    own = ("gateway", "family", "link", "name", "zone", "document", "state", "actor", "reason")
    expected = (GATEWAY, "jt808", "vehicles", NEW, None, 1, "waiting", "operator", "")
    assert tuple(found[key] for key in own) == expected
    [document] = told(hub)
    assert (document.name, document.version) == ("devices", 1)
    [device] = document.body["devices"]
    assert device == {
        "id": NEW, "link": "vehicles", "name": NEW, "zone": "", "floor": "", "longitude": None, "latitude": None
    }  # fmt: skip
    assert items(await client.get(f"{API}/strangers")) == []
    shown = (await client.get(f"{API}/devices/{quote(NEW)}")).json()
    assert (shown["kind"], shown["gateway"], shown["site"]) == ("vehicle", GATEWAY, "wuzhen")
    await say(hub, documents={"devices": 1})
    [held] = items(await client.get(f"{API}/enrolments"))
    assert held == found | {"state": "held"}


async def test_what_is_said_later_is_told_too_and_the_same_again_changes_nothing(
    hub: World, client: httpx.AsyncClient
) -> None:
    await hub.observe(notice())
    first = await enrol(client, device=NEW)
    place = {"zone": "hall", "floor": "2", "longitude": 120.4839, "latitude": 30.7436}
    named = await enrol(client, device=NEW, gateway=GATEWAY, name="巡逻车 7", **place)
    assert (named["name"], named["zone"], named["document"], named["link"]) == ("巡逻车 7", "hall", 2, "vehicles")
    for again in ({"device": NEW}, {"device": NEW, "gateway": GATEWAY, "name": "巡逻车 7", "link": "vehicles"}):
        assert await enrol(client, **again) == named
    assert (named["at"], named["actor"]) == (first["at"], "operator")
    assert [document.version for document in told(hub)] == [1, 2]
    [device] = told(hub)[-1].body["devices"]
    assert device == {"id": NEW, "link": "vehicles", "name": "巡逻车 7"} | place
    assert (await enrol(client, device=NEW, zone=""))["zone"] is None


@pytest.mark.parametrize("device", [NEW, PANEL], ids=["new", "known"])
async def test_two_at_once_enrol_once(hub: World, client: httpx.AsyncClient, device: str) -> None:
    await hub.observe(notice(device))
    found = await asyncio.gather(*(enrol(client, device=device) for _ in range(4)))
    assert {one["document"] for one in found} == {1} and [document.version for document in told(hub)] == [1]
    assert hub.count("enrolment_steps") == 1


async def test_a_device_that_has_not_knocked_can_be_enrolled_too(hub: World, client: httpx.AsyncClient) -> None:
    found = await enrol(client, device=READER, gateway=GATEWAY, link="gate", name="Gate")
    assert (found["link"], found["name"]) == ("gate", "Gate")
    found = await enrol(client, device=PANEL, gateway=GATEWAY)
    assert (found["zone"], found["floor"], found["link"]) == ("hall", "1", ""), "what the site file says of it stays"


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [
        ({"device": NEW}, 404, "has knocked at none"),
        ({"device": NEW, "gateway": "gw-none"}, 404, "no gateway gw-none"),
        ({"device": NEW, "gateway": "homeless"}, 409, "belongs to no site"),
        ({"device": NEW, "gateway": GATEWAY, "zone": "attic"}, 422, "body zone: there is no zone attic in site wuzhen"),
        ({"device": NEW, "gateway": GATEWAY, "longitude": 1.0}, 422, "belong together"),
        ({"device": NEW, "gateway": GATEWAY, "longitude": 181.0, "latitude": 1.0}, 422, "longitude"),
        ({"device": "no family", "gateway": GATEWAY}, 422, "device"),
        ({"device": "watch:a\nb", "gateway": GATEWAY}, 422, "device"),
        ({"device": "watch:" + "9" * 65, "gateway": GATEWAY}, 422, "device"),
        ({"device": NEW, "gateway": "GW 1"}, 422, "gateway"),
        ({"device": NEW, "gateway": GATEWAY, "name": "a\u0000b"}, 422, "name"),
        ({"device": NEW, "gateway": GATEWAY, "name": ""}, 422, "name"),
        ({"device": NEW, "gateway": GATEWAY, "owner": "me"}, 422, "owner"),
        ({}, 422, "device"),
    ],
)
async def test_what_cannot_be_is_a_problem_and_changes_nothing(
    hub: World, client: httpx.AsyncClient, asked: dict[str, Any], status: int, detail: str
) -> None:
    async with hub.store.transaction() as tx:
        await tx.execute("gateways_register", gateways=["homeless"])
    assert detail in problem(await client.post(f"{API}/enrolments", json=asked), status)
    assert hub.count("enrolments") == hub.count("enrolment_steps") == 0 and not hub.published
    assert hub.count("devices") == 2


async def test_a_gateway_takes_only_so_many(
    hub: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolling, "ENROLMENTS_MAX", 1)
    await enrol(client, device=NEW, gateway=GATEWAY)
    assert "all it takes" in problem(
        await client.post(f"{API}/enrolments", json={"device": BAND, "gateway": GATEWAY}), 409
    )
    await enrol(client, device=NEW, gateway=GATEWAY, name="renamed all the same")


# --- what the gateway makes of it ---


async def test_a_refusal_of_the_gateway_is_shown(hub: World, client: httpx.AsyncClient) -> None:
    await enrol(client, device=READER, gateway=GATEWAY)
    await enrol(client, device=NEW, gateway=GATEWAY)
    refused = {READER: "settings_lack: readers: address 7"}
    await say(hub, documents={"devices": 1}, devices_refused=refused)
    states = {one["device"]: (one["state"], one["reason"]) for one in items(await client.get(f"{API}/enrolments"))}
    assert states == {READER: ("refused", refused[READER]), NEW: ("waiting", "")}
    await say(hub, documents={"devices": 10**30}, devices_refused=refused)
    states = {one["device"]: one["state"] for one in items(await client.get(f"{API}/enrolments?gateway={GATEWAY}"))}
    assert states == {READER: "refused", NEW: "held"}
    assert len(await every_page(client, f"{API}/enrolments", 1)) == 2
    assert items(await client.get(f"{API}/enrolments?site=other")) == []


# --- withdraw, and the record ---


async def test_withdrawn_it_is_a_stranger_again(hub: World, client: httpx.AsyncClient) -> None:
    await enrol(client, device=READER, gateway=GATEWAY)
    assert (await client.delete(f"{API}/enrolments/{GATEWAY}/{quote(READER, safe='')}")).status_code == 204
    assert [document.body["devices"] for document in told(hub)][-1] == [] and told(hub)[-1].version == 2
    assert "is not enrolled here" in problem(await client.delete(f"{API}/enrolments/{GATEWAY}/{READER}"), 404)
    await hub.observe(notice(READER))
    assert [one["device"] for one in items(await client.get(f"{API}/strangers"))] == [READER]


async def test_who_did_what_is_kept(hub: World, client: httpx.AsyncClient) -> None:
    await enrol(client, device=NEW, gateway=GATEWAY, link="vehicles")
    await enrol(client, device=NEW, gateway=GATEWAY, name="Car 7")
    await client.delete(f"{API}/enrolments/{GATEWAY}/{NEW}")
    await enrol(client, device=READER, gateway=GATEWAY)
    steps = items(await client.get(f"{API}/enrolments/steps?device={NEW}"))
    assert [(step["action"], step["detail"]) for step in steps] == [
        ("withdraw", {}),
        ("change", {"name": "Car 7"}),
        ("enrol", {"link": "vehicles"}),
    ]
    assert {step["actor"] for step in steps} == {"operator"} and len(
        await every_page(client, f"{API}/enrolments/steps", 3)
    ) == 2
    with pytest.raises(Exception, match="append-only"):
        async with hub.store.transaction() as tx:
            await tx.script("DELETE FROM enrolment_steps")


async def test_who_watches_hears_of_it(hub: World, client: httpx.AsyncClient) -> None:
    async with hub.live.subscribe(b"s") as watching:
        await enrol(client, device=NEW, gateway=GATEWAY)
        await enrol(client, device=NEW, gateway=GATEWAY)
        await client.delete(f"{API}/enrolments/{GATEWAY}/{NEW}")
        heard = [await anext(watching) for _ in range(2)]
    assert heard == [("enrolments", {"gateway": GATEWAY})] * 2


async def test_only_those_who_are_logged_in(hub: World) -> None:
    async with hub.stranger() as nobody:
        for path in ("strangers", "enrolments", "enrolments/steps"):
            problem(await nobody.get(f"{API}/{path}"), 401)
        problem(await nobody.post(f"{API}/enrolments", json={"device": NEW, "gateway": GATEWAY}), 401)
        problem(await nobody.delete(f"{API}/enrolments/{GATEWAY}/{NEW}"), 401)
