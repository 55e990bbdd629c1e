"""What the API shows: every list and object, its filters, its pages, and that each is as the document describes it."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from devices.dictionary import ALARMS, METRICS
from hub.api_lists import cursor_of
from hub.store import jsonb
from tests.hub.api_world import (
    BAND,
    CAR,
    GATEWAY,
    NOON,
    PANEL,
    World,
    alarm,
    devices_of,
    event,
    every_page,
    items,
    position,
    problem,
    values,
    world,
)

SECOND = timedelta(seconds=1)
PERIOD = {"from": "2026-11-24T04:00:00Z", "to": "2026-11-24T05:00:00Z"}


async def lived_in(hub: World) -> int:
    """A little of everything; the number of the incident."""
    number = await hub.smoke()
    await hub.observe(
        event("reset", NOON + SECOND, by="guard"),
        alarm("sos", BAND, NOON + 2 * SECOND),
        values(NOON, heart_rate_bpm=71.0, battery_percent=90.0),
        position(NOON, zone="yard"),
        position(NOON + SECOND, 120.49, BAND),
    )
    state = {
        "version": "0.1.0",
        "clock_skew_s": 0.25,
        "spool_rows": 7,
        "documents": {"zones": 2},
        "actuators": {"s": "on"},
    }
    await hub.store.execute("gateway_state", gateway=GATEWAY, online=True, state=jsonb(state), at=NOON)
    return number


# --- the document --------------------------------------------------------------------------------


async def test_the_document_is_valid_and_behind_the_login(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        validate(document)
        assert document == hub.app.openapi()


async def test_the_document_describes_every_body_and_error(postgres: str) -> None:
    async with world(postgres) as hub:
        for path, operations in hub.app.openapi()["paths"].items():
            for method, operation in operations.items():
                where = f"{method} {path}"
                good = [status for status in operation["responses"] if status.startswith("2")]
                assert len(good) == 1, where
                for status, response in operation["responses"].items():
                    if status == "204":
                        continue
                    [(kind, body)] = response["content"].items()
                    assert body["schema"], f"{where} {status}"
                    bad = status[0] not in "12" and not (path.endswith("/health") and status == "503")
                    assert (kind == "application/problem+json") == bad, f"{where} {status}"
                if method == "post" and path.split("/")[-1] != "logout":
                    assert operation["requestBody"]["required"], where


async def test_every_get_answers_as_the_document_says(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await lived_in(hub)
        shown = (await client.get(f"/api/v1/incidents/{number}")).json()
        await client.post(f"/api/v1/incidents/{number}/seen", json={"through": shown["through"]})
        await client.post("/api/v1/enrolments", json={"device": BAND, "gateway": GATEWAY})
        await hub.observe(event("unknown_device", device=CAR, link="cars", model="GT-20"))
        document = hub.app.openapi()
        called = 0
        for path, operations in document["paths"].items():
            if "get" not in operations or path == "/api/v1/live":  # the stream has tests of its own
                continue
            for device in (PANEL, BAND, CAR) if "{device}" in path else (BAND,):
                answer = await client.get(_filled(path, number, device), params=_required(path))
                assert answer.status_code == 200, f"{path}: {answer.text}"
                fits(document, path, "get", answer)
                called += 1
        assert called >= 20


@pytest.mark.parametrize("device", ["osdp:gate/7", "zigbee2mqtt:hall/door/series", "mapped:a%2Fb"])
async def test_an_id_may_hold_what_paths_are_made_of(postgres: str, device: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await client.post("/api/v1/enrolments", json={"device": device, "gateway": GATEWAY})
        base = f"/api/v1/devices/{quote(device, safe='')}"
        for rest in ("/values", "/series?metric=heart_rate_bpm", f"/track?from={PERIOD['from']}"):
            assert items(await client.get(base + rest)) == []
        if not device.endswith("/series"):  # that one looks like the series of another device
            assert (await client.get(base)).json()["device"] == device


async def test_every_error_is_as_the_document_says(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        document = hub.app.openapi()
        for path in ("/sites/{site}/zones", "/devices/{device}", "/incidents/{incident}", "/devices/{device}/track"):
            answer = await client.get(f"/api/v1{path.format(site='x', device='x:y', incident=99)}")
            problem(answer, 404)
            fits(document, f"/api/v1{path}", "get", answer)


def _filled(path: str, incident: int, device: str) -> str:
    return path.format(site="wuzhen", zone="hall", device=quote(device), incident=incident)


def _required(path: str) -> dict[str, str]:
    if path.endswith("/series"):
        return {"metric": "heart_rate_bpm", **PERIOD}
    if path.startswith("/api/v1/zones/"):
        return {"site": "wuzhen"}
    return PERIOD if path.endswith("/track") else {}


def fits(document: dict[str, Any], path: str, method: str, answer: httpx.Response) -> None:
    """The body has the schema that the document gives for this status."""
    content = document["paths"][path][method]["responses"][str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].split(";")[0]
    schema = content[kind]["schema"]
    body = answer.json() if kind.endswith("json") else answer.text
    validator = Draft202012Validator(
        {**schema, "components": document["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)] == [], path


# --- what each shows -----------------------------------------------------------------------------


async def test_sites_and_zones(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        found = items(await client.get("/api/v1/sites"))
        assert [site["site"] for site in found] == ["other", "wuzhen"] and found[1]["name_zh"] == "乌镇"
        zones = (await client.get("/api/v1/sites/wuzhen/zones")).json()
        assert zones["type"] == "FeatureCollection"
        assert [(zone["id"], zone["properties"]["ring"]) for zone in zones["features"]] == [("hall", 1), ("yard", 2)]
        assert zones["features"][0]["geometry"]["type"] == "Polygon"
        assert (await client.get("/api/v1/sites/other/zones")).json()["features"] == []
        problem(await client.get("/api/v1/sites/nowhere/zones"), 404)


async def test_sites_and_gateways_have_pages(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        async with hub.store.transaction() as tx:
            for name in ("gw-0", "gw-2"):
                await tx.execute("gateway_upsert", gateway=name, site="wuzhen")
        for path, key, names in (
            ("sites", "site", ["other", "wuzhen"]),
            ("gateways", "gateway", ["gw-0", "gw-1", "gw-2"]),
        ):
            pages = await every_page(client, f"/api/v1/{path}", 1)
            assert [[item[key] for item in page] for page in pages] == [[name] for name in names]
            problem(await client.get(f"/api/v1/{path}?limit=201"), 422)
            problem(await client.get(f"/api/v1/{path}?cursor=x"), 422)


async def test_devices_with_what_is_raised_and_where_they_are(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await lived_in(hub)
        found = {item["device"]: item for item in items(await client.get("/api/v1/devices"))}
        assert list(found) == sorted([PANEL, CAR, BAND])
        assert found[PANEL]["alarms"] == ["smoke"] and found[BAND]["alarms"] == ["sos"] and found[CAR]["alarms"] == []
        assert (found[PANEL]["name"], found[PANEL]["name_zh"], found[BAND]["name_zh"]) == ("the panel", "主机", "")
        assert found[PANEL]["position"] is None and found[PANEL]["longitude"] == 120.4839
        assert found[CAR]["position"] == {
            "device": CAR,
            "longitude": 120.48,
            "latitude": 30.74,
            "observed_at": "2026-11-24T04:00:00Z",
            "received_at": "2026-11-24T04:00:01Z",
            "accuracy_m": None,
            "speed_kmh": 12.5,
            "course_deg": None,
            "fix": "gnss",
            "zone": "yard",
        }
        await hub.observe(alarm("smoke", raised=False, component="1", at=NOON + 9 * SECOND))
        assert (await client.get(f"/api/v1/devices/{PANEL}")).json()["alarms"] == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("site=wuzhen", [PANEL, CAR, BAND]),
        ("site=other", []),
        ("family=watch", [BAND]),
        ("kind=panel", [PANEL]),
        ("zone=hall", [PANEL]),
        ("zone=hall&kind=band", []),
    ],
)
async def test_devices_are_filtered(postgres: str, query: str, expected: list[str]) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await lived_in(hub)
        assert devices_of(items(await client.get(f"/api/v1/devices?{query}"))) == expected


async def test_one_device_with_its_values(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await lived_in(hub)
        await hub.observe(values(NOON + SECOND, heart_rate_bpm=80.0))
        found = (await client.get(f"/api/v1/devices/{BAND}")).json()
        pulse = {"metric": "heart_rate_bpm", "component": "", "value": 80.0, "unit": "/min"}
        assert pulse | {"observed_at": "2026-11-24T04:00:01Z"} in found["values"]
        assert (
            items(await client.get(f"/api/v1/devices/{BAND}/values")) == found["values"] and len(found["values"]) == 2
        )
        problem(await client.get("/api/v1/devices/watch:1"), 404)
        problem(await client.get("/api/v1/devices/watch:1/values"), 404)


async def test_a_series_is_made_small_in_buckets(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await hub.observe(*(values(NOON + number * SECOND, heart_rate_bpm=60.0 + number) for number in range(100)))
        path = f"/api/v1/devices/{BAND}/series"
        asked = {"metric": "heart_rate_bpm", "from": "2026-11-24T04:00:00Z", "to": "2026-11-24T04:01:40Z", "points": 10}
        found = (await client.get(path, params=asked)).json()
        assert (found["bucket_s"], found["unit"], len(found["items"])) == (10, "/min", 10)
        first = {"at": "2026-11-24T04:00:00Z", "min": 60.0, "max": 69.0, "mean": 64.5, "count": 10}
        assert found["items"][0] == first
        assert sum(bucket["count"] for bucket in found["items"]) == 100
        other = (await client.get(path, params={**asked, "component": "left"})).json()
        assert other["items"] == []
        nothing = await client.get(
            path, params={"metric": "heart_rate_bpm", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
        )
        assert nothing.json()["items"] == []
        before = await client.get(path, params={**asked, "to": "2026-11-24T04:00:05Z"})
        assert sum(bucket["count"] for bucket in before.json()["items"]) == 5  # `to` is left out


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "metric"),
        ("metric=happiness", "heart_rate_bpm"),
        ("metric=steps&points=1001", "1000"),
        ("metric=steps&points=0", "points"),
        ("metric=steps&from=2026-11-24T05:00:00Z&to=2026-11-24T04:00:00Z", "before"),
        ("metric=steps&from=2026-11-24T05:00:00", "time zone"),
        ("metric=steps&from=yesterday", "from"),
        ("metric=steps&to=0001-01-01T00:00:00%2B14:00", "between"),
        ("metric=steps&metric=spo2_percent", "2 times"),
        ("metric=steps&form=x", "unknown"),
    ],
)
async def test_a_series_asked_wrongly_is_422_and_says_what_is_allowed(postgres: str, query: str, word: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        assert word in problem(await client.get(f"/api/v1/devices/{BAND}/series?{query}"), 422)


async def test_a_series_of_an_unknown_device_is_404(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        problem(await client.get("/api/v1/devices/watch:1/series?metric=steps"), 404)


async def test_a_track_is_newest_first(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await hub.observe(*(position(NOON + number * SECOND, 120 + number / 100) for number in range(5)))
        path = f"/api/v1/devices/{CAR}/track"
        found = items(await client.get(path, params=PERIOD))
        assert [round(place["longitude"], 2) for place in found] == [120.04, 120.03, 120.02, 120.01, 120.0]
        assert len(items(await client.get(path, params={**PERIOD, "limit": 2}))) == 2
        assert items(await client.get(path, params={**PERIOD, "to": "2026-11-24T04:00:00.5Z"}))[0]["longitude"] == 120
        problem(await client.get(path, params={"limit": 5001}), 422)
        problem(await client.get("/api/v1/devices/jt808:1/track"), 404)


async def test_events_are_filtered_and_newest_first(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        number = await lived_in(hub)
        found = items(await client.get("/api/v1/events"))
        assert [item["kind"] for item in found] == ["sos", "reset", "smoke"]
        assert found[2]["incident"] == number and found[2]["raised"] is True and found[2]["late"] in (True, False)
        assert found[1]["attributes"] == {"by": "guard"} and found[1]["raised"] is None
        for query, kinds in (
            ("class=alarm", ["sos", "smoke"]),
            ("class=event", ["reset"]),
            (f"device={BAND}", ["sos"]),
            ("zone=hall", ["reset", "smoke", "sos"]),
            ("from=2026-11-24T04:00:01Z&to=2026-11-24T04:00:02Z", ["reset"]),
        ):
            kinds_found = [item["kind"] for item in items(await client.get(f"/api/v1/events?{query}"))]
            assert sorted(kinds_found) == sorted(kinds), query
        assert "'alarm' or 'event'" in problem(await client.get("/api/v1/events?class=thing"), 422)


async def test_gateways_say_what_they_last_said(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        [silent] = items(await client.get("/api/v1/gateways"))
        assert (silent["online"], silent["actuators"], silent["state_at"]) == (False, {}, None)
        await lived_in(hub)
        [found] = items(await client.get("/api/v1/gateways"))
        assert (found["online"], found["spool_rows"], found["actuators"]) == (True, 7, {"s": "on"})


async def test_the_dictionary_is_the_kernel_s(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        found = (await client.get("/api/v1/dictionary")).json()
        assert [word["name"] for word in found["metrics"]] == list(METRICS)
        assert [word["name"] for word in found["alarms"]] == list(ALARMS) and found["alarms"][0]["priority"] == 0


# --- pages ---------------------------------------------------------------------------------------


async def test_pages_show_everything_once_also_of_one_instant(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        for number in range(7):
            await hub.observe(
                event("test", NOON, n=str(number)), alarm("fault", at=NOON, zone="", component=str(number))
            )
        pages = await every_page(client, "/api/v1/events", 3)
        shown = [item["attributes"].get("n") or f"fault {item['component']}" for page in pages for item in page]
        assert [len(page) for page in pages] == [3, 3, 3, 3, 2] and len(set(shown)) == 14


async def test_rows_that_come_between_two_pages_disturb_nothing(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        for number in range(4):
            await hub.observe(event("test", NOON + number * SECOND, n=str(number)))
        first = (await client.get("/api/v1/events?limit=2")).json()
        await hub.observe(event("test", NOON + 9 * SECOND, n="new"))
        second = (await client.get(f"/api/v1/events?limit=2&cursor={first['next_cursor']}")).json()
        assert [item["attributes"]["n"] for item in second["items"]] == ["1", "0"] and second["next_cursor"] is None


async def test_devices_have_pages(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await lived_in(hub)
        pages = await every_page(client, "/api/v1/devices?site=wuzhen", 2)
        assert [devices_of(page) for page in pages] == [[PANEL, CAR], [BAND]]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5"])
@pytest.mark.parametrize("path", ["devices", "events", "incidents"])
async def test_a_page_has_a_bounded_size(postgres: str, path: str, limit: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        assert "limit" in problem(await client.get(f"/api/v1/{path}?limit={limit}"), 422)


async def test_a_cursor_that_is_not_ours_is_refused(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        await lived_in(hub)
        good = (await client.get("/api/v1/events?limit=1")).json()["next_cursor"]
        flipped = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
        forged = [
            cursor_of("events", (1, 2)),
            cursor_of("events", (NOON, "a", "b", 2**70)),
            cursor_of("events", (NOON, "a\0", "b", 1)),
            cursor_of("devices", (NOON, "a", "b", 1)),
        ]
        for cursor in (flipped, good[:-1], good + "A", good + "=", "x", "é", "A" * 1001, *forged):
            answer = await client.get("/api/v1/events", params={"cursor": cursor})
            assert "cursor" in problem(answer, 422), cursor
        assert (await client.get("/api/v1/events", params={"cursor": good})).status_code == 200


async def test_an_unknown_parameter_is_refused(postgres: str) -> None:
    async with world(postgres) as hub, hub.client() as client:
        assert "phase" in problem(await client.get("/api/v1/incidents?phse=open"), 422)
        assert "none" in problem(await client.get("/api/v1/me?x=1"), 422)
