"""Incidents through the API: the list, one, looking at it, and the steps of people."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.hub.api_world import BAND, GATEWAY, NAME, NOON, PANEL, World, alarm, every_page, items, problem, world

MINUTE = timedelta(minutes=1)


async def take(client: httpx.AsyncClient, number: int, version: int | str | None, **body: Any) -> httpx.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await client.post(f"/api/v1/incidents/{number}/steps", json=body, headers=headers)


async def walk(client: httpx.AsyncClient, number: int, *actions: str) -> dict[str, Any]:
    """Steps one after the other, each on the newest version."""
    found: dict[str, Any] = (await client.get(f"/api/v1/incidents/{number}")).json()
    for action in actions:
        answer = await take(client, number, found["version"], action=action, reason="seen on site")
        assert answer.status_code == 200, answer.text
        found = answer.json()
    return found


async def test_an_incident_with_its_steps_and_alarms(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke()
        await hub.smoke("2", NOON + MINUTE)
        answer = await client.get(f"/api/v1/incidents/{number}")
        found = answer.json()
        assert answer.headers["etag"] == f'"{found["version"]}"' == '"2"'
        assert [step["action"] for step in found["steps"]] == ["raise", "raise"]
        assert [one["component"] for one in found["alarms"]] == ["2", "1"]
        assert found["alarms"][0]["seen_at"] is None and found["merged_into"] is None
        assert (found["zone_name_en"], found["group"], found["phase"]) == ("Hall", "fire", "open")
        assert found["allowed"] == ["acknowledge", "note"]
        problem(await client.get(f"/api/v1/incidents/{number + 1}"), 404)
        for wrong in ("0", "-1", "x", str(2**63)):
            problem(await client.get(f"/api/v1/incidents/{wrong}"), 422)


async def test_from_open_to_closed_with_everything_said(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke()
        await walk(client, number, "acknowledge", "dispatch", "arrive")
        await hub.observe(alarm("smoke", component="1", raised=False, at=NOON + MINUTE))
        with capture_logs() as logs:
            closed = await walk(client, number, "resolve", "close")
        assert closed["phase"] == "closed" and closed["allowed"] == []
        people = [step for step in closed["steps"] if step["actor"] == NAME]
        assert [step["action"] for step in people] == ["acknowledge", "dispatch", "arrive", "resolve", "close"]
        assert people[-1]["cause"] == "seen on site"
        assert [(line["event"], line["actor"], line["action"]) for line in logs] == [
            ("step", NAME, "resolve"),
            ("step", NAME, "close"),
        ]
        problem(await take(client, number, closed["version"], action="note", reason="too late"), 409)


async def test_a_step_needs_the_version_that_was_looked_at(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke()
        assert "If-Match" in problem(await take(client, number, None, action="acknowledge"), 428)
        for wrong in ("x", "*", "", "-1", "1, 2"):
            problem(await take(client, number, wrong, action="acknowledge"), 422)
        stale = await take(client, number, 0, action="acknowledge")
        assert "version 1" in problem(stale, 412) and stale.headers["etag"] == '"1"'
        assert (await take(client, number, 1, action="acknowledge")).headers["etag"] == '"2"'


async def test_of_two_steps_on_one_version_exactly_one_wins(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as one, hub.client() as two:
        number = await hub.smoke()
        for version in range(1, 6):
            answers = await asyncio.gather(
                take(one, number, version, action="note", reason="first"),
                take(two, number, version, action="note", reason="second"),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 412]
        found = (await one.get(f"/api/v1/incidents/{number}")).json()
        assert found["version"] == len(found["steps"]) == 6


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"action": "close", "reason": "x"}, 409, "open"),
        ({"action": "note"}, 422, "reason"),
        ({"action": "note", "reason": "   "}, 422, "reason"),
        ({"action": "note", "reason": "x" * 501}, 422, "reason"),
        ({"action": "note", "reason": "a\0b"}, 422, "reason"),
        ({"action": "raise"}, 422, "'acknowledge'"),
        ({"action": "merge", "reason": "x"}, 422, "'acknowledge'"),
        ({"action": "acknowledge", "isolated": "yes"}, 422, "isolated"),
        ({"action": "acknowledge", "actor": "somebody"}, 422, "actor"),
        ({}, 422, "action"),
    ],
)
async def test_a_step_that_cannot_be(postgres: str, body: dict[str, Any], status: int, word: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke()
        assert word in problem(await take(client, number, 1, **body), status)
        assert (await client.get(f"/api/v1/incidents/{number}")).json()["version"] == 1


async def test_a_fire_that_is_still_raised_closes_only_as_isolated(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke()
        found = await walk(client, number, "acknowledge", "resolve")
        detail = problem(await take(client, number, found["version"], action="close", reason="x"), 409)
        assert "still raised" in detail
        closed = await take(client, number, found["version"], action="close", reason="removed", isolated=True)
        assert closed.json()["phase"] == "closed" and closed.json()["steps"][-1]["detail"] == {"isolated": True}


async def test_steps_on_what_is_not_there(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        problem(await take(client, 99, 1, action="acknowledge"), 404)
        problem(await client.post("/api/v1/incidents/99/seen", json={"through": NOON.isoformat()}), 404)


async def look(client: httpx.AsyncClient, shown: dict[str, Any]) -> httpx.Response:
    """An operator has this incident on the screen, as it is in `shown`."""
    return await client.post(f"/api/v1/incidents/{shown['incident']}/seen", json={"through": shown["through"]})


async def test_an_alarm_that_came_after_what_was_shown_is_not_seen(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        start = datetime.now(UTC) - MINUTE
        number = await hub.smoke("1", start, now=start)
        path = f"/api/v1/incidents/{number}"
        shown = (await client.get(path)).json()
        await hub.smoke("2", start, now=start + timedelta(microseconds=1))  # while the page is drawn
        assert (await look(client, shown)).status_code == 204
        after = (await client.get(path)).json()
        assert {one["component"]: bool(one["seen_at"]) for one in after["alarms"]} == {"1": True, "2": False}
        await look(client, after)
        assert all(one["seen_at"] for one in (await client.get(path)).json()["alarms"])


@pytest.mark.parametrize("behind", [timedelta(microseconds=1), timedelta(hours=1)])
async def test_an_alarm_that_waited_for_another_hub_is_not_seen(postgres: str, behind: timedelta) -> None:
    """Its hub took the time before it waited, or has a slower clock than the other."""
    async with world(postgres) as hub, hub.client() as client:
        start = datetime.now(UTC) - MINUTE
        path = f"/api/v1/incidents/{await hub.smoke('1', start, now=start)}"
        await look(client, (await client.get(path)).json())
        await hub.smoke("2", start, now=start - behind)
        after = (await client.get(path)).json()
        assert {one["component"]: bool(one["seen_at"]) for one in after["alarms"]} == {"1": True, "2": False}
        await look(client, after)
        assert all(one["seen_at"] for one in (await client.get(path)).json()["alarms"])


async def test_nobody_has_seen_the_future(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke("1", NOON, now=NOON)
        path = f"/api/v1/incidents/{number}"
        for through in ("2026-11-24T04:00:00", 1_800_000_000, "1800000000", "soon", None, ""):
            problem(await client.post(f"{path}/seen", json={"through": through}), 422)
        problem(await client.post(f"{path}/seen"), 422)
        for through, looks in ((NOON - MINUTE, 0), (NOON + timedelta(days=3650), 1)):
            assert (await client.post(f"{path}/seen", json={"through": through.isoformat()})).status_code == 204
            assert hub.count("incident_looks") == looks
        await hub.smoke("2", NOON, now=NOON + MINUTE)
        alarms = (await client.get(path)).json()["alarms"]
        assert {one["component"]: bool(one["seen_at"]) for one in alarms} == {"1": True, "2": False}


async def test_an_alarm_is_seen_at_the_first_look_after_it(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        start = datetime.now(UTC) - MINUTE
        number = await hub.smoke("1", start, now=start)
        path = f"/api/v1/incidents/{number}"

        async def seen() -> dict[str, str | None]:
            return {one["component"]: one["seen_at"] for one in (await client.get(path)).json()["alarms"]}

        assert await seen() == {"1": None}  # reading alone is no look
        for _ in range(3):
            assert (await look(client, (await client.get(path)).json())).status_code == 204
        first = await seen()
        assert first["1"] is not None and hub.count("incident_looks") == 1
        await hub.smoke("2", start + timedelta(seconds=1))
        assert await seen() == first | {"2": None}
        await look(client, (await client.get(path)).json())
        after = await seen()
        assert after["1"] == first["1"] and after["2"] is not None and after["2"] > first["1"]
        await look(client, (await client.get(path)).json())
        assert hub.count("incident_looks") == 2


async def test_the_list_by_phase_and_site(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        fire = await hub.smoke()
        [help_asked] = await hub.observe(alarm("sos", BAND, NOON + MINUTE, zone=""))
        person = help_asked["incident"]
        found = await walk(client, fire, "acknowledge", "resolve")
        for query, expected in (
            ("", [person, fire]),
            ("?phase=active", [person, fire]),
            ("?phase=open", [person]),
            ("?phase=resolved", [fire]),
            ("?phase=closed", []),
            ("?site=wuzhen", [person, fire]),
            ("?site=other", []),
            ("?phase=active&site=other", []),
        ):
            shown = [item["incident"] for item in items(await client.get(f"/api/v1/incidents{query}"))]
            assert shown == expected, query
        await take(client, fire, found["version"], action="close", reason="x", isolated=True)
        assert [item["incident"] for item in items(await client.get("/api/v1/incidents?phase=active"))] == [person]
        detail = problem(await client.get("/api/v1/incidents?phase=dead"), 422)
        assert "'on_scene'" in detail


async def test_incidents_have_pages_also_of_one_instant(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        for number in range(7):
            await hub.observe(alarm("sos", device=type(BAND)(f"watch:{number}"), at=NOON, zone=""))
        for query in ("", "?phase=active", "?phase=open"):
            pages = await every_page(client, f"/api/v1/incidents{query}", 3)
            shown = [item["incident"] for page in pages for item in page]
            assert [len(page) for page in pages] == [3, 3, 1], query
            assert shown == sorted(shown, reverse=True)


async def test_what_was_merged_away_is_shown_when_asked_for(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        first = await hub.smoke("1", NOON)
        second = await hub.smoke("2", NOON + 25 * MINUTE)
        assert first != second
        for minute in (8, 16):  # late alarms between them: one case
            await hub.smoke("3", NOON + minute * MINUTE)

        async def listed(query: str) -> list[int]:
            return sorted(item["incident"] for item in items(await client.get(f"/api/v1/incidents{query}")))

        assert await listed("?merged=true") == [first, second]
        [kept] = await listed("")
        [gone] = {first, second} - {kept}
        whole = (await client.get(f"/api/v1/incidents/{kept}")).json()
        assert whole["merged_into"] is None and len(whole["alarms"]) == 4
        left = (await client.get(f"/api/v1/incidents/{gone}")).json()
        assert (left["merged_into"], left["phase"], left["allowed"], left["alarms"]) == (kept, "closed", [], [])
        assert left["through"] is None
        shown = items(await client.get("/api/v1/incidents?merged=true"))
        assert {item["incident"]: item["merged_into"] for item in shown} == {kept: None, gone: kept}
        detail = f"became part of incident {kept}"
        assert detail in problem(await take(client, gone, left["version"], action="note", reason="x"), 409)
        assert detail in problem(
            await client.post(f"/api/v1/incidents/{gone}/seen", json={"through": whole["through"]}), 409
        )
        assert hub.count("incident_looks") == 0


@pytest.mark.parametrize("behind", [timedelta(), timedelta(hours=1)])
@pytest.mark.parametrize("minutes", [(0, 25), (25, 0)])
async def test_what_a_merge_brought_in_is_not_seen_by_an_earlier_look(
    postgres: str, minutes: tuple[int, int], behind: timedelta
) -> None:
    """`behind`: the clock of the hub that merges."""
    async with world(postgres) as hub, hub.client() as client:
        first, second = [NOON + minute * MINUTE for minute in minutes]
        number = await hub.smoke("1", first)
        await hub.smoke("2", second)
        await hub.smoke("4", first)
        looked_at = (await client.get(f"/api/v1/incidents/{number}")).json()
        assert [one["component"] for one in looked_at["alarms"]] == ["4", "1"]
        await look(client, looked_at)  # newer than all that the other has
        for minute in (8, 16):  # late alarms between them: one case
            await hub.smoke("3", NOON + minute * MINUTE, now=datetime.now(UTC) - behind)
        [kept] = items(await client.get("/api/v1/incidents"))
        path = f"/api/v1/incidents/{kept['incident']}"
        shown = (await client.get(path)).json()
        assert [one["seen_at"] for one in shown["alarms"]] == [None] * 5
        await look(client, shown)
        assert all(one["seen_at"] for one in (await client.get(path)).json()["alarms"])


async def test_a_command_goes_to_the_gateway_with_the_name_of_its_giver(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        path = f"/api/v1/gateways/{GATEWAY}/commands"
        siren = {"action": "actuator.set", "target": "siren", "value": "on"}
        answer = await client.post(path, json=siren)
        assert answer.json() == {"nonce": "abc", "result": "confirmed", "reason": ""}
        assert hub.commands == [(GATEWAY, "actuator.set", "siren", "on", NAME)]
        problem(await client.post("/api/v1/gateways/gw-9/commands", json=siren), 404)
        for wrong in ({"value": "maybe"}, {"target": "../x"}, {"target": ""}, {"action": "reboot"}, {"when": "now"}):
            problem(await client.post(path, json={**siren, **wrong}), 422)
        assert len(hub.commands) == 1


async def test_a_command_to_a_device_goes_to_its_gateway(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        path = f"/api/v1/gateways/{GATEWAY}/commands"
        band = {"action": "device.interval", "target": "watch:8800000015", "value": '{"seconds": 600}'}
        assert (await client.post(path, json=band)).json()["result"] == "confirmed"
        assert hub.commands == [(GATEWAY, "device.interval", "watch:8800000015", '{"seconds": 600}', NAME)]
        for wrong in (
            {"action": "device."},
            {"action": "device.Reboot"},
            {"action": "actuator.set"},
            {"target": "siren"},
            {"target": "watch:"},
            {"target": "watch:1\n"},
            {"value": "x" * 2_001},
            {"value": "\0"},
            {"value": {"seconds": 600}},
        ):
            problem(await client.post(path, json={**band, **wrong}), 422)
        assert len(hub.commands) == 1


async def test_a_device_of_another_panel_is_not_this_incident(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await hub.smoke()
        found: World = hub
        assert found.count("incidents") == 1
        one = (await client.get(f"/api/v1/incidents/{number}")).json()
        assert one["uncleared"] == [{"device": PANEL, "kind": "smoke", "component": "1"}]
