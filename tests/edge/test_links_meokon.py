"""Pressure terminals on real links: they dial in or send a datagram, tell what they have and are gone, unanswered."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from devices.families import meokon, meokon_wire
from devices.observation import Alarm, Telemetry
from edge.links import TcpServer
from edge.links_udp import UdpServer
from edge.turns import Turns
from tests.devices.frames import PRESSURE
from tests.edge.site import Device, until
from tests.edge.test_links_udp import peer
from tests.edge.wired import Behind, behind

Opens = Callable[[Any], AbstractAsyncContextManager[Any]]


def told(made: Behind) -> list[tuple[str, bool]]:
    """Pressure out of its limits, raised and ended."""
    bodies = [row.body for row in made.rows()]
    return [(body.component, body.raised) for body in bodies if isinstance(body, Alarm) and body.component]


def measured(made: Behind) -> list[float]:
    bodies = [row.body for row in made.rows("routine")]
    values = [body.values for body in bodies if isinstance(body, Telemetry)]
    return [value["pressure_mpa"] for value in values if "pressure_mpa" in value]


@asynccontextmanager
async def tcp(made: Behind) -> AsyncIterator[int]:
    wiring = made.wiring(meokon.Settings(), PRESSURE.id)
    link = TcpServer(wiring, meokon.FAMILY, Turns(), host="127.0.0.1", port=0, connections_max=10)
    await link.open()
    yield link.port
    link.stop_reading()
    await link.close()


@asynccontextmanager
async def udp(made: Behind) -> AsyncIterator[int]:
    wiring = made.wiring(meokon.Settings(), PRESSURE.id)
    link = UdpServer(wiring, meokon.FAMILY, host="127.0.0.1", port=0, peers_max=10)
    await link.open()
    yield link.port
    link.stop_reading()
    await link.close()


@pytest.mark.parametrize(("link", "dial"), [(tcp, Device), (udp, peer)], ids=["tcp", "udp"])
async def test_what_a_terminal_tells_is_stored_once(tmp_path: Path, link: Opens, dial: Opens) -> None:
    high = meokon_wire.write_frame(replace(PRESSURE, records=(530, 538)))
    normal = meokon_wire.write_frame(replace(PRESSURE, alarms=0, now=400, records=(400,), epoch=PRESSURE.epoch + 60))
    async with behind(tmp_path) as made, link(made) as port:
        for _ in range(2):  # it is not answered, so it wakes and tells the same again
            async with dial(port) as terminal:
                terminal.send(high)
                await until(lambda: len(measured(made)) == 2, "measured")
        async with dial(port) as terminal:
            terminal.send(normal)
            await until(lambda: len(measured(made)) == 3, "measured again")
        assert measured(made) == [0.53, 0.538, 0.4]
        about_high = [raised for component, raised in told(made) if component == "pressure_high"]
        assert about_high == [True, False]
