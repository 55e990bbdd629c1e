"""What one transaction stores of the routine lane: rows, newest values and positions, cursors; all or nothing."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from devices.envelope import Batch, encode, topic
from devices.observation import GatewayId, Observation
from hub.ingest_commit import Stored, store_parcels
from hub.parcel import Parcel, open_parcel
from hub.store import Store
from tests.hub.api_world import NOON, World, position, values, world


@pytest.fixture
async def hub(postgres: str):
    async with world(postgres) as found:
        found.store._named["test_values"] = "SELECT * FROM latest_values"
        found.store._named["test_positions"] = "SELECT * FROM latest_positions"
        found.store._named["test_cursors"] = "SELECT * FROM gateway_cursors ORDER BY gateway, epoch"
        yield found


def parcel(first: int, *observations: Observation, gateway: str = "gw-1", epoch: str = "e1") -> Parcel:
    rows = tuple(enumerate(observations, first))
    batch = Batch(gateway=GatewayId(gateway), epoch=epoch, lane="routine", rows=rows)
    return open_parcel(topic(GatewayId(gateway), "up", "routine"), encode(batch))


async def take(store: Store, *parcels: Parcel) -> Stored:
    async with store.transaction() as tx:
        return await store_parcels(tx, "routine", parcels, (), NOON)


def later(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


async def test_a_late_position_is_stored_and_not_shown(hub: World) -> None:
    first = await take(hub.store, parcel(1, position(later(5), 120.5)))
    assert [place.longitude for place in first.moved] == [120.5]
    assert (await take(hub.store, parcel(2, position(later(1), 120.1)))).moved == []
    [held] = await hub.store.rows("test_positions")
    assert held["longitude"] == 120.5 and hub.count("positions") == 2


async def test_the_newest_value_stays_whatever_the_order(hub: World) -> None:
    await take(hub.store, parcel(1, values(later(5), steps=5.0)), parcel(2, values(later(1), steps=1.0)))
    await take(hub.store, parcel(3, values(later(2), steps=2.0)))
    [held] = await hub.store.rows("test_values")
    assert (held["value"], held["observed_at"]) == (5.0, later(5)) and hub.count("telemetry") == 3


@pytest.mark.parametrize("parcels", [1, 2])
async def test_what_a_clock_that_was_ahead_said_does_not_stay_the_newest(hub: World, parcels: int) -> None:
    """In one parcel, in two of one transaction, and in two transactions."""
    years = timedelta(days=9_000)
    wrong = [
        replace(one, observed_at=one.observed_at + years) for one in (position(NOON, 120.1), values(NOON, steps=1.0))
    ]
    right = [position(later(1), 120.2), values(later(1), steps=2.0)]
    if parcels == 1:
        await take(hub.store, parcel(1, *wrong, *right))
    else:
        await take(hub.store, parcel(1, *wrong), parcel(3, *right))
    shown = [(await hub.store.rows(f"test_{what}"))[0] for what in ("positions", "values")]
    assert (shown[0]["longitude"], shown[1]["value"]) == (120.2, 2.0)
    await take(hub.store, parcel(5, *wrong))
    await take(hub.store, parcel(7, position(later(2), 120.3), values(later(2), steps=3.0)))
    shown = [(await hub.store.rows(f"test_{what}"))[0] for what in ("positions", "values")]
    assert (shown[0]["longitude"], shown[1]["value"]) == (120.3, 3.0)


async def test_several_gateways_and_epochs_in_one_transaction(hub: World) -> None:
    stored = await take(
        hub.store,
        parcel(1, values(later(0), steps=1.0)),
        parcel(1, values(later(0), steps=2.0), gateway="gw-2"),
        parcel(1, values(later(0), steps=3.0), epoch="e2"),
        parcel(2, values(later(1), steps=4.0)),
        parcel(9, values(later(1), steps=5.0), gateway="gw-3"),
    )
    assert stored.committed == {("gw-1", "e1"): 2, ("gw-2", "e1"): 1, ("gw-1", "e2"): 1, ("gw-3", "e1"): 0}
    assert [one.gateway for one in stored.refused] == ["gw-3"] and (stored.rows, stored.values) == (4, 4)
    assert {(row["gateway"], row["epoch"]): row["committed_seq"] for row in await hub.store.rows("test_cursors")} == (
        stored.committed
    )


async def test_a_transaction_that_breaks_off_leaves_nothing(hub: World) -> None:
    with pytest.raises(ZeroDivisionError):
        async with hub.store.transaction() as tx:
            await store_parcels(tx, "routine", [parcel(1, values(later(0), steps=1.0))], (), NOON)
            raise ZeroDivisionError
    assert hub.count("telemetry") == hub.count("gateway_cursors") == hub.count("latest_values") == 0
    assert (await take(hub.store, parcel(1, values(later(0), steps=1.0)))).rows == 1
