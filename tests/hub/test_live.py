"""The queue of changes by itself: bounded, gathered, ended."""

import asyncio
from typing import Any

import pytest

from hub.live import (
    LIVE_CLIENTS_MAX,
    LIVE_CLIENTS_OF_SESSION_MAX,
    LIVE_QUEUE_MAX,
    POSITION_ITEMS_MAX,
    Live,
    Subscription,
    TooManyClients,
)


def at(device: str, second: int, longitude: float = 120.0) -> dict[str, Any]:
    return {"device": device, "longitude": longitude, "observed_at": f"2026-11-24T04:00:{second:02d}Z"}


async def take(client: Subscription, number: int) -> list[tuple[str, dict[str, Any]]]:
    async with asyncio.timeout(10):
        return [await anext(client) for _ in range(number)]


async def test_each_client_gets_each_change_in_order() -> None:
    live = Live()
    async with live.subscribe() as one, live.subscribe() as two:
        for number in range(3):
            live.publish("incident", {"incident": number})
        expected = [("incident", {"incident": number}) for number in range(3)]
        assert await take(one, 3) == await take(two, 3) == expected


async def test_nobody_watches_and_nothing_is_kept() -> None:
    live = Live()
    live.publish("incident", {"incident": 1})
    live.publish("positions", {"items": [at("a", 0)]})
    async with live.subscribe() as client:
        live.publish("device", {"device": "b"})
        assert await take(client, 1) == [("device", {"device": "b"})]
    assert live.clients == 0


async def test_a_slow_client_gets_resync_in_place_of_its_queue_and_goes_on() -> None:
    live = Live()
    async with live.subscribe() as slow, live.subscribe() as quick:
        for number in range(LIVE_QUEUE_MAX + 5):
            live.publish("incident", {"incident": number})
            assert await take(quick, 1) == [("incident", {"incident": number})]
        found = await take(slow, 5)
        assert found[0] == ("resync", {})
        assert [body["incident"] for _, body in found[1:]] == list(range(LIVE_QUEUE_MAX + 1, LIVE_QUEUE_MAX + 5))


async def test_positions_are_gathered_newest_of_each_device() -> None:
    live = Live()
    async with live.subscribe() as client:
        live.publish("positions", {"items": [at("a", 1, 1.0), at("b", 1)]})
        live.publish("positions", {"items": [at("a", 3, 3.0)]})
        live.publish("positions", {"items": [at("a", 2, 2.0)]})  # came late
        [(event, body)] = await take(client, 1)
        assert event == "positions"
        assert {item["device"]: item["longitude"] for item in body["items"]} == {"a": 3.0, "b": 120.0}


async def test_fractions_of_a_second_are_compared_as_time_and_not_as_text() -> None:
    live = Live()
    older, newer = at("a", 1, 1.0), at("a", 1, 2.0) | {"observed_at": "2026-11-24T04:00:01.25Z"}
    async with live.subscribe() as client:
        live.publish("positions", {"items": [newer]})
        live.publish("positions", {"items": [older]})
        assert await take(client, 1) == [("positions", {"items": [newer]})]


async def test_two_position_changes_are_half_a_second_apart() -> None:
    live = Live()
    loop = asyncio.get_running_loop()
    async with live.subscribe() as client:
        live.publish("positions", {"items": [at("a", 1)]})
        await take(client, 1)
        first = loop.time()
        for second in range(2, 10):
            live.publish("positions", {"items": [at("a", second)]})
            await asyncio.sleep(0)
        assert await take(client, 1) == [("positions", {"items": [at("a", 9)]})]
        assert loop.time() - first > 0.4  # a lower bound: a slow machine only waits longer


async def test_more_devices_than_one_change_holds_follow_in_the_next() -> None:
    live = Live()
    devices = [f"d{number}" for number in range(POSITION_ITEMS_MAX + 5)]
    async with live.subscribe() as client:
        live.publish("positions", {"items": [at(device, 1) for device in devices]})
        (_, first), (_, second) = await take(client, 2)
        assert [item["device"] for item in (*first["items"], *second["items"])] == devices
        assert len(first["items"]) == POSITION_ITEMS_MAX


async def test_clients_are_bounded_in_all_and_of_one_session() -> None:
    live = Live()
    async with asyncio.TaskGroup() as group:
        stop = asyncio.Event()

        async def watch(session: bytes) -> None:
            async with live.subscribe(session):
                await stop.wait()

        for _ in range(LIVE_CLIENTS_OF_SESSION_MAX):
            group.create_task(watch(b"one"))
        await asyncio.sleep(0)
        with pytest.raises(TooManyClients):
            async with live.subscribe(b"one"):
                pass
        for number in range(LIVE_CLIENTS_MAX - LIVE_CLIENTS_OF_SESSION_MAX):
            group.create_task(watch(b"%d" % number))
        await asyncio.sleep(0)
        assert live.clients == LIVE_CLIENTS_MAX
        with pytest.raises(TooManyClients):
            async with live.subscribe(b"last"):
                pass
        stop.set()
    assert live.clients == 0


async def test_ending_a_session_ends_its_clients_at_once_and_no_others() -> None:
    live = Live()
    async with live.subscribe(b"one") as one, live.subscribe(b"two") as two:
        live.publish("incident", {"incident": 1})
        live.end(b"one")
        with pytest.raises(StopAsyncIteration):
            await anext(one)
        assert await take(two, 1) == [("incident", {"incident": 1})]
        waiting = asyncio.create_task(anext(two))
        await asyncio.sleep(0)
        live.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
        with pytest.raises(TooManyClients):
            async with live.subscribe():
                pass


async def test_closing_with_positions_on_their_way_leaves_nothing_behind() -> None:
    live = Live()
    async with live.subscribe() as client:
        live.publish("positions", {"items": [at("a", 1)]})
        await take(client, 1)
        live.publish("positions", {"items": [at("a", 2)]})
        live.close()
        assert [found async for found in client] == []
