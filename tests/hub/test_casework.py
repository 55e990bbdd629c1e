"""Steps by people: the table, the version they looked at, the log, and what is told."""

from datetime import timedelta

import pytest

from hub.casework import IllegalStep, ReasonMissing, StaleVersion, UnknownIncident, take_step
from tests.hub.api_world import NOON, World, alarm, world

WHO = "guard-7"


class Told(list):
    def publish(self, event: str, body: dict, /) -> None:
        self.append((event, body["phase"], body["version"]))


@pytest.fixture
async def hub(postgres: str):
    async with world(postgres) as found:
        yield found


async def act(  # noqa: PLR0917
    hub: World, number: int, action: str, version: int | None = None, reason: str = "", isolated: bool = False
) -> list:
    told = Told()
    await take_step(hub.store, told, number, action, WHO, reason, isolated, version, NOON)
    return told


async def test_an_incident_is_worked_to_its_end(hub: World) -> None:
    number = await hub.smoke()
    assert await act(hub, number, "acknowledge", 1) == [("incident", "acknowledged", 2)]
    await act(hub, number, "dispatch", 2)
    await act(hub, number, "arrive", 3)
    await act(hub, number, "resolve", 4, "burnt toast")
    await hub.observe(alarm("smoke", at=NOON + timedelta(seconds=1), raised=False, component="1"))
    assert await act(hub, number, "close", 6, "aired") == [("incident", "closed", 7)]
    assert hub.count("incident_steps") == 7


async def test_whoever_looked_at_an_older_version_is_refused(hub: World) -> None:
    number = await hub.smoke()
    await act(hub, number, "acknowledge", 1)
    with pytest.raises(StaleVersion) as stale:
        await act(hub, number, "dispatch", 1)
    assert stale.value.current == 2
    assert hub.count("incident_steps") == 2
    await act(hub, number, "dispatch", None)


async def test_of_two_who_act_at_once_one_is_refused(hub: World) -> None:
    import asyncio

    number = await hub.smoke()
    both = await asyncio.gather(
        act(hub, number, "acknowledge", 1), act(hub, number, "acknowledge", 1), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["StaleVersion", "Told"]


@pytest.mark.parametrize(
    "action", ["dispatch", "arrive", "resolve", "close", "raise", "merge", "absorb", "clear", "", "x"]
)
async def test_what_the_table_does_not_have_is_refused(hub: World, action: str) -> None:
    number = await hub.smoke()
    with pytest.raises(IllegalStep):
        await act(hub, number, action, 1, "because")
    assert hub.count("incident_steps") == 1


async def test_a_burning_fire_is_closed_only_as_isolated(hub: World) -> None:
    number = await hub.smoke()
    await act(hub, number, "acknowledge")
    with pytest.raises(ReasonMissing):
        await act(hub, number, "resolve", None, "  ")
    await act(hub, number, "resolve", None, "nothing there")
    with pytest.raises(IllegalStep, match="still raised"):
        await act(hub, number, "close", None, "done")
    assert await act(hub, number, "close", None, "detector broken", isolated=True) == [("incident", "closed", 4)]


async def test_there_must_be_such_an_incident(hub: World) -> None:
    with pytest.raises(UnknownIncident):
        await act(hub, 10**12, "acknowledge")


async def test_the_log_cannot_be_rewritten(hub: World) -> None:
    from hub.store import StatementRefused

    await hub.smoke()
    for text in ("UPDATE incident_steps SET actor = 'me'", "DELETE FROM incident_steps"):
        with pytest.raises(StatementRefused, match="append-only"):
            async with hub.store.transaction() as tx:
                await tx.script(text)
