"""Alarms through the database: any order, any batches and any duplicates of the same alarms give the same incidents."""

import asyncio
import random
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.envelope import Batch, encode, topic
from devices.observation import BACKLOG, TIME_INVALID, DeviceId, GatewayId, Observation
from gridward.postgres import Postgres
from hub.chain import START
from hub.copy_rows import NAME_CHARS_MAX
from hub.ingest_commit import Stored, store_parcels
from hub.migrations import migrate
from hub.parcel import open_parcel
from hub.registry import Registry
from hub.store import Store, jsonb
from tests.hub.api_world import BAND, GATEWAY, NOON, PANEL, alarm, furnish

SOON = timedelta(seconds=2)
TABLES = (
    "incident_steps, incident_alarms, incident_conditions, alarm_conditions, events, incidents, gateway_cursors, "
    "gaps, outbox"
)


class Hub(NamedTuple):
    """The urgent lane of a hub without its broker."""

    store: Store
    registry: Registry
    seqs: "count[int]"

    async def take(self, *observations: Observation, now: datetime | None = None, urls=(), epoch="e1") -> Stored:
        """One batch in one transaction."""
        rows = tuple((next(self.seqs), found) for found in observations)
        batch = Batch(gateway=GatewayId(GATEWAY), epoch=epoch, lane="urgent", rows=rows)
        parcel = open_parcel(topic(GATEWAY, "up", "urgent"), encode(batch))
        await self.registry.register(self.store, [parcel])
        async with self.store.transaction() as tx:
            return await store_parcels(tx, "urgent", [parcel], urls, now or NOON + SOON)

    async def incidents(self) -> list[dict]:
        async with self.store.transaction() as tx:
            await tx.script("SET LOCAL search_path TO public")
            return await tx.rows("test_incidents")


def new_hub(store: Store) -> Hub:
    store._named["test_incidents"] = "SELECT * FROM incidents ORDER BY opened_at, alarm_group, place, subject"
    store._named["test_steps"] = "SELECT * FROM incident_steps ORDER BY incident, number"
    store._named["test_events"] = "SELECT * FROM events ORDER BY seq"
    return Hub(store, Registry(store), count(1))


@pytest.fixture
async def hub(postgres: str):
    async with Store(postgres) as store:
        await migrate(store)
        await furnish(store)
        yield new_hub(store)


def shape(rows: list[dict]) -> list[tuple]:
    """What people see of the incidents, without their numbers; merged ones are not seen."""
    keys = ("site", "alarm_group", "kind", "priority", "zone", "subject", "phase", "opened_at", "last_alarm_at")
    return sorted(
        (*(str(row[key]) for key in keys), row["alarm_count"], sorted(row["uncleared"]))
        for row in rows
        if row["merged_into"] is None
    )


ALARMS = st.lists(
    st.builds(
        lambda minutes, kind, raised, component, zone: alarm(
            kind,
            device=BAND if kind in ("sos", "fall") else PANEL,
            at=NOON + timedelta(minutes=minutes),
            zone=zone,
            raised=raised,
            component=component,
        ),
        st.sampled_from([0, 1, 9, 10, 14, 15, 16, 29, 30, 31, 60, 90]),
        st.sampled_from(["smoke", "heat", "sos", "fall", "fault"]),
        st.sampled_from([True, True, False]),
        st.sampled_from(["1", "2"]),
        st.sampled_from(["hall", "yard", ""]),
    ),
    min_size=1,
    max_size=12,
    unique_by=repr,
)


@pytest.fixture(scope="module")
def database(postgres_server: Postgres):
    """One database whose tables are emptied for each example."""
    dsn = postgres_server.ensure_database("permutations")

    async def make() -> None:
        async with Store(dsn) as store:
            await migrate(store)
            await furnish(store)

    asyncio.run(make())
    yield dsn
    postgres_server.drop_database("permutations")


@settings(max_examples=40)
@given(alarms=ALARMS, data=st.data())
def test_order_batches_and_duplicates_do_not_matter(database: str, alarms: list[Observation], data) -> None:
    again = data.draw(st.lists(st.sampled_from(alarms), max_size=5))
    shuffled = data.draw(st.permutations(alarms + again))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    batches = [shuffled[first:last] for first, last in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]

    async def both() -> None:
        async with Store(database, connections_max=1) as store:
            plain = await incidents_of(store, [[one] for one in sorted(alarms, key=lambda one: one.observed_at)])
            lists = await alarm_lists(store)
            assert shape(await incidents_of(store, batches)) == shape(plain)
            assert await alarm_lists(store) == lists

    asyncio.run(both())


async def incidents_of(store: Store, batches: list[list[Observation]]) -> list[dict]:
    async with store.transaction() as tx:
        await tx.script(f"TRUNCATE {TABLES} CASCADE")
    hub = new_hub(store)
    for batch in batches:
        await hub.take(*batch)
    rows = await hub.incidents()
    await every_incident_is_the_fold_of_its_steps(store, rows)
    return rows


async def alarm_lists(store: Store) -> set[tuple]:
    """Each alarm and clear once, with what its incident is known by; delivered twice, it has one place."""
    known = {row["incident"]: shape([row])[0] for row in await store.rows("test_incidents") if not row["merged_into"]}
    keys = ("device", "kind", "component", "observed_at", "raised", "zone")
    rows = await store.rows("test_events")
    found = {(*(row[key] for key in keys), str(known[row["incident"]]) if row["incident"] else None) for row in rows}
    assert len(found) == len({entry[:-1] for entry in found})
    return found


async def every_incident_is_the_fold_of_its_steps(store: Store, rows: list[dict]) -> None:
    steps = await store.rows("test_steps")
    for row in rows:
        mine = [step for step in steps if step["incident"] == row["incident"]]
        assert [step["number"] for step in mine] == list(range(1, row["version"] + 1))
        assert mine[-1]["phase"] == row["phase"]
        raised = {step["cause"] for step in mine if step["action"] == "raise"}
        assert set(row["uncleared"]) <= raised or row["version"] == 0 or "absorb" in {s["action"] for s in mine}


async def test_the_longest_names_still_fit_into_the_indexes(hub: Hub) -> None:
    """Letters of four bytes that cannot be compressed: PostgreSQL refuses an index entry of more than 2,704 bytes."""
    chance = random.Random(7)

    def name() -> str:
        return "".join(chr(chance.randrange(0x20000, 0x2A6D0)) for _ in range(NAME_CHARS_MAX + 9))

    of = {"kind": name(), "device": DeviceId(name()), "zone": name(), "component": name()}
    await hub.take(alarm(**of), alarm(**of, at=NOON + SOON, raised=False))
    [incident] = await hub.incidents()
    assert (incident["alarm_count"], incident["uncleared"]) == (1, [])


async def test_a_clear_that_came_first_clears(hub: Hub) -> None:
    await hub.take(alarm("smoke", at=NOON + timedelta(minutes=2), raised=False, component="1"))
    assert await hub.incidents() == []
    await hub.take(alarm("smoke", component="1"))
    [incident] = await hub.incidents()
    assert incident["phase"] == "open" and incident["uncleared"] == []
    assert [row["incident"] for row in await hub.store.rows("test_events")] == [incident["incident"]] * 2


async def test_a_clock_that_was_ahead_hides_no_fire_once_it_is_right(hub: Hub) -> None:
    """A panel an hour ahead raised and cleared; its clock is set; then it burns."""
    for minutes, raised in ((0, True), (1, False)):
        found = alarm("smoke", at=NOON + timedelta(minutes=minutes), raised=raised, component="1")
        await hub.take(replace(found, observed_at=found.observed_at + timedelta(hours=1)))
    assert [row["uncleared"] for row in await hub.incidents()] == [[]]
    stored = await hub.take(alarm("smoke", at=NOON + timedelta(minutes=20), component="1"))
    assert [row["alarms"] for row in stored.devices] == [["smoke"]]
    assert [len(row["uncleared"]) for row in stored.incidents] == [0, 1]


async def test_what_a_clock_a_little_ahead_said_in_one_piece_keeps_its_order(hub: Hub) -> None:
    for raised, order in ((False, (0, 1)), (True, (1, 0))):
        pair = [alarm("smoke", at=NOON + timedelta(seconds=20 + n), raised=not n, component=str(raised)) for n in order]
        await hub.take(*[replace(found, received_at=NOON) for found in pair])
    assert [row["uncleared"] for row in await hub.incidents()] == [[]]


async def test_a_clear_belongs_to_the_raise_before_it(hub: Hub) -> None:
    """Two incidents of one condition, the second told last: the clear moves over to it."""
    clear = alarm("smoke", at=NOON + timedelta(minutes=31), raised=False, component="1")
    await hub.take(alarm("smoke", component="1"), clear)
    [first] = await hub.incidents()
    assert [row["incident"] for row in await hub.store.rows("test_events")] == [first["incident"]] * 2
    await hub.take(alarm("smoke", at=NOON + timedelta(minutes=30), component="1"))
    _, second = await hub.incidents()
    expected = [first["incident"], second["incident"], second["incident"]]
    assert [row["incident"] for row in await hub.store.rows("test_events")] == expected
    await hub.take(alarm("smoke", at=NOON + timedelta(minutes=5), raised=False, component="1"))
    assert [row["incident"] for row in await hub.store.rows("test_events")] == [*expected, first["incident"]]


@pytest.mark.parametrize("zones", [("hall", "yard"), ("yard", "hall")])
async def test_one_alarm_that_two_gateways_place_differently_is_one_in_each(hub: Hub, zones: tuple[str, str]) -> None:
    for zone in zones:
        await hub.take(alarm("smoke", zone=zone))
        await hub.take(alarm("smoke", zone=zone))
    found = {(row["place"], row["alarm_count"]) for row in await hub.incidents()}
    assert found == {("hall", 1), ("yard", 1)}


async def test_what_an_incident_costs_does_not_grow_with_its_alarms(hub: Hub) -> None:
    """A detector that repeats itself: the work of one more alarm is by conditions."""
    for second in range(30):
        await hub.take(alarm("smoke", at=NOON + timedelta(seconds=second), component="1"))
    hub.store._named["test_conditions"] = "SELECT * FROM incident_conditions"
    [condition] = await hub.store.rows("test_conditions")
    assert condition["raised_at"] == NOON + timedelta(seconds=29)
    [incident] = await hub.incidents()
    assert (incident["alarm_count"], incident["uncleared"], incident["version"]) == (30, [f"{PANEL} smoke 1"], 1)


async def test_a_cleared_fire_stays_open(hub: Hub) -> None:
    await hub.take(alarm("smoke", component="1"))
    assert (await hub.incidents())[0]["uncleared"] == [f"{PANEL} smoke 1"]
    stored = await hub.take(alarm("smoke", at=NOON + SOON, raised=False, component="1"))
    [incident] = await hub.incidents()
    assert (incident["phase"], incident["uncleared"]) == ("open", [])
    assert [view["uncleared"] for view in stored.incidents] == [[]]
    assert [row["alarms"] for row in stored.devices] == [[]]


async def test_each_row_knows_its_incident_also_after_a_merge(hub: Hub) -> None:
    await hub.take(alarm("smoke"))
    await hub.take(alarm("smoke", at=NOON + timedelta(minutes=28)))
    first, second = await hub.incidents()
    stored = await hub.take(alarm("heat", at=NOON + timedelta(minutes=14)))
    assert {view["incident"] for view in stored.incidents} == {first["incident"], second["incident"]}
    kept, gone = await hub.incidents()
    assert (gone["phase"], gone["merged_into"], kept["alarm_count"]) == ("closed", kept["incident"], 3)
    assert [row["incident"] for row in await hub.store.rows("test_events")] == [kept["incident"]] * 3
    steps = [step["action"] for step in await hub.store.rows("test_steps")]
    assert steps.count("merge") == steps.count("absorb") == 1


async def test_what_is_sent_again_with_the_alarm_that_merges_goes_where_its_incident_went(hub: Hub) -> None:
    again = alarm("smoke", at=NOON + timedelta(minutes=28))
    await hub.take(alarm("smoke"))
    await hub.take(again)
    await hub.take(again, alarm("heat", at=NOON + timedelta(minutes=14)))
    kept, gone = await hub.incidents()
    assert gone["merged_into"] == kept["incident"]
    assert [row["incident"] for row in await hub.store.rows("test_events")] == [kept["incident"]] * 4


async def test_a_late_alarm_is_told_as_late_and_a_fresh_one_after_it_anew(hub: Hub) -> None:
    stored = await hub.take(alarm("smoke"), now=NOON + timedelta(hours=1), urls=("http://example.test",))
    assert [view["late"] for view in stored.incidents] == [True] and stored.notices == 1
    assert await told(hub) == [("opened_late", True)]
    fresh = await hub.take(
        alarm("smoke", at=NOON + timedelta(minutes=10)),
        now=NOON + timedelta(minutes=10, seconds=2),
        urls=("http://a.b",),
    )
    assert [view["late"] for view in fresh.incidents] == [False] and fresh.notices == 1
    assert await told(hub) == [("opened_late", True), ("raised", False)]


@pytest.mark.parametrize(("flags", "late"), [((), False), ((BACKLOG,), True), ((BACKLOG, TIME_INVALID), False)])
async def test_an_alarm_that_its_device_kept_for_hours_is_late(hub: Hub, flags: tuple[str, ...], late: bool) -> None:
    kept = replace(alarm("smoke"), received_at=NOON + timedelta(hours=3), flags=flags)
    stored = await hub.take(kept, now=NOON + timedelta(hours=3, seconds=1))
    assert [view["late"] for view in stored.incidents] == [late]


async def told(hub: Hub) -> list[tuple[str, bool]]:
    hub.store._named["test_outbox"] = "SELECT body FROM outbox ORDER BY id"
    return [(row["body"]["happened"], row["body"]["late"]) for row in await hub.store.rows("test_outbox")]


async def test_a_clock_that_is_wrong_by_years_does_not_make_an_alarm_late(hub: Hub) -> None:
    wrong = alarm("smoke", at=NOON.replace(year=2001))
    stored = await hub.take(wrong, urls=("http://a.b",))
    assert [view["late"] for view in stored.incidents] == [False] and await told(hub) == [("opened", False)]


async def test_a_new_alarm_opens_a_resolved_incident_again_and_tells(hub: Hub) -> None:
    stored = await hub.take(alarm("smoke"), urls=("http://a.b",))
    assert stored.notices == 1
    async with hub.store.transaction() as tx:
        await tx.execute(
            "incident_phase", incident=stored.incidents[0]["incident"], phase="resolved", version=1, head=START
        )
    again = await hub.take(alarm("smoke", at=NOON + SOON), urls=("http://a.b",))
    assert [view["phase"] for view in again.incidents] == ["open"] and again.notices == 1
    assert await told(hub) == [("opened", False), ("raised", False)]


@pytest.mark.parametrize(("skew_s", "late"), [(0.0, True), (-300.0, False), (300.0, True), (-1e300, False)])
async def test_an_edge_whose_clock_is_slow_does_not_make_its_alarms_late(hub: Hub, skew_s: float, late: bool) -> None:
    async with hub.store.transaction() as tx:
        state = jsonb({"clock_skew_s": skew_s})
        await tx.execute("gateway_state", gateway=GATEWAY, online=True, state=state, at=NOON)
    stored = await hub.take(alarm("smoke"), now=NOON + timedelta(minutes=5))
    assert [view["late"] for view in stored.incidents] == [late]


async def test_a_late_alarm_that_opens_a_resolved_incident_again_is_told_as_late(hub: Hub) -> None:
    number = (await hub.take(alarm("smoke"))).incidents[0]["incident"]
    async with hub.store.transaction() as tx:
        await tx.execute("incident_phase", incident=number, phase="resolved", version=1, head=START)
    await hub.take(alarm("smoke", at=NOON + SOON), now=NOON + timedelta(hours=1), urls=("http://a.b",))
    assert await told(hub) == [("raised_late", True)]


async def test_after_closing_a_new_incident_points_to_the_old_one(hub: Hub) -> None:
    first = (await hub.take(alarm("smoke"))).incidents[0]["incident"]
    async with hub.store.transaction() as tx:
        await tx.execute("incident_phase", incident=first, phase="closed", version=1, head=START)
    again = await hub.take(alarm("smoke", at=NOON + SOON))
    assert again.incidents[0]["incident"] != first and again.incidents[0]["previous"] == first


async def test_a_person_who_acts_while_alarms_wait_is_seen(hub: Hub) -> None:
    """Two incidents that an alarm would merge; a person takes the younger at this very moment."""
    await hub.take(alarm("smoke"))
    await hub.take(alarm("smoke", at=NOON + timedelta(minutes=28)))
    young = (await hub.incidents())[1]
    async with hub.store.transaction() as tx:
        await tx.row("incident_lock", incident=young["incident"])
        merging = asyncio.create_task(hub.take(alarm("heat", at=NOON + timedelta(minutes=14))))
        hub.store._named["test_waiting"] = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted"
        while (await hub.store.rows("test_waiting"))[0]["n"] == 0:
            assert not merging.done()
        step = {"number": 2, "action": "note", "actor": "a", "at": NOON, "cause": "mine", "phase": "open"}
        await tx.execute("incident_step", incident=young["incident"], **step, detail=jsonb({}), hash=START)
        await tx.execute("incident_phase", incident=young["incident"], phase="open", version=2, head=START)
    await merging
    rows = {row["incident"]: row for row in await hub.incidents()}
    assert rows[young["incident"]]["merged_into"] is None
    assert rows[young["incident"]]["alarm_count"] == 3


async def test_of_two_hubs_at_once_the_second_joins_what_the_first_opened(hub: Hub) -> None:
    other = Hub(hub.store, hub.registry, count(1))
    hub.store._named["test_waiting"] = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted"
    rows = ((1, alarm("smoke", component="1")),)
    parcel = open_parcel(
        topic(GATEWAY, "up", "urgent"), encode(Batch(gateway=GATEWAY, epoch="a", lane="urgent", rows=rows))
    )
    async with hub.store.transaction() as tx:
        await store_parcels(tx, "urgent", [parcel], (), NOON + SOON)
        second = asyncio.create_task(other.take(alarm("heat", component="2"), epoch="b"))
        while not second.done() and (await hub.store.rows("test_waiting"))[0]["n"] == 0:
            pass
    await second
    [incident] = await hub.incidents()
    assert incident["alarm_count"] == 2


async def test_a_device_shows_what_is_raised_whatever_came_last(hub: Hub) -> None:
    await hub.take(alarm("smoke", at=NOON + 2 * SOON, component="1"))
    await hub.take(alarm("smoke", at=NOON + SOON, raised=False, component="1"))
    stored = await hub.take(alarm("smoke", at=NOON, component="1"))
    assert [row["alarms"] for row in stored.devices] == [["smoke"]]


async def test_lanes_and_people_at_once_do_not_lock_each_other_out(hub: Hub) -> None:
    """Many transactions at once, all of them alarms of the same few conditions, in every order."""
    others = [Hub(hub.store, hub.registry, count(1)) for _ in range(6)]

    async def many(which: int, other: Hub) -> None:
        for minute in range(12):
            at = NOON + timedelta(minutes=(minute * 7 + which * 5) % 60)
            zones = ("hall", "yard") if which % 2 else ("yard", "hall")
            await other.take(*(alarm("smoke", at=at, zone=zone, component=zone) for zone in zones), epoch=f"e{which}")

    await asyncio.gather(*(many(which, other) for which, other in enumerate(others)))
    zones = sorted(row["zone"] for row in await hub.incidents() if row["merged_into"] is None)
    assert set(zones) == {"hall", "yard"}
    await every_incident_is_the_fold_of_its_steps(hub.store, await hub.incidents())
