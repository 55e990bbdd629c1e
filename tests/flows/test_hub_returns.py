"""A hub that was away and is back: what waits at the edge flows at once, alarms first, and is stored exactly once.
Real hub, database and broker; the edge's uplink and spool in this process.
"""

from pathlib import Path

import pytest

from edge.window import STALL_S_MAX
from tests.conftest import BrokerAddress
from tests.edge.site import BAND, alarm, steps, until
from tests.edge.test_uplink import Site, opened
from tests.hub.edge_line import RunningHub, running, write_config

ROWS = 200


async def into_the_void(edge: Site) -> None:
    """Rows that are sent while no hub listens, after so long that the edge asks seldom."""
    await until(lambda: edge.uplink.connected, "connected")
    for number in range(3):
        await edge.append(alarm(BAND, "sos", f"away-{number}"))
        await edge.append(*[steps(BAND, row) for row in range(ROWS)])
    for sender in edge.uplink._senders.values():
        await until(lambda window=sender.window: window.in_flight, "sent")  # type: ignore[misc]
        sender.window.stall_s = STALL_S_MAX


def components(hub: RunningHub) -> list[str]:
    return sorted(row["component"] for row in hub.rows("SELECT component FROM events WHERE kind = 'sos'"))


@pytest.mark.parametrize("known", [True, False], ids=["known spool", "new spool"])
async def test_a_hub_that_comes_back_gets_what_waits_at_once_and_once(
    postgres: str, broker: BrokerAddress, tmp_path: Path, known: bool
) -> None:
    config, gateway = write_config(tmp_path, postgres, broker), f"returns-{known}".lower()
    folder = tmp_path / "edge"
    async with running(config) as hub, opened(folder, gateway, broker.port) as edge:
        await edge.append(alarm(BAND, "sos", "before"), steps(BAND, 0))
        await until(lambda: edge.spool.rows == 0, "the first rows are committed")
    if not known:
        (folder / "spool.sqlite").unlink()
    async with opened(folder, gateway, broker.port) as edge:
        await into_the_void(edge)
        async with running(config) as hub:
            await edge.append(alarm(BAND, "sos", "behind-a-hole"))
            await until(lambda: edge.spool.lane("urgent").rows == 0, "alarms are committed")
            await until(lambda: edge.spool.rows == 0, "the rest, too")
            assert components(hub) == ["away-0", "away-1", "away-2", "before", "behind-a-hole"]
            [counted] = hub.rows("SELECT count(*) AS rows FROM telemetry WHERE metric = 'steps'")
            assert counted["rows"] == 1 + 3 * ROWS and hub.rows("SELECT * FROM gaps") == []


async def test_an_edge_that_the_hub_never_heard_of_is_asked_at_once_too(
    postgres: str, broker: BrokerAddress, tmp_path: Path
) -> None:
    """Commissioned while the hub was away."""
    async with opened(tmp_path / "edge", "returns-stranger", broker.port) as edge:
        await into_the_void(edge)
        async with running(write_config(tmp_path, postgres, broker)) as hub:
            await until(lambda: edge.spool.rows == 0, "all is committed")
            assert components(hub) == ["away-0", "away-1", "away-2"]
            [counted] = hub.rows("SELECT count(*) AS rows FROM telemetry WHERE metric = 'steps'")
            assert counted["rows"] == 3 * ROWS and hub.rows("SELECT * FROM gaps") == []
