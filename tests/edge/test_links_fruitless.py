"""Bytes that lead to nothing do not hold a connection of a server for ever: real sockets, every family with a port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from devices.families import FAMILIES
from devices.family import Family
from edge import clock
from edge.links import FRUITLESS_S_MAX, TcpServer
from edge.links_connection import HELD, Connection
from edge.links_dialled import over_tcp
from edge.turns import Turns
from tests.devices.frames import GOOD
from tests.edge.site import Device, until
from tests.edge.test_links_dialled import FarEnd, dialled
from tests.edge.wired import Behind, behind

SERVED = sorted(name for name in GOOD if "tcp_server" in FAMILIES[name].links)
HALF_S = FRUITLESS_S_MAX / 2 + 1


class Talk(NamedTuple):
    made: Behind
    device: Device
    connection: Connection

    async def say(self, data: bytes, after_s: float = 0.0) -> None:
        """As if so much time had gone by on this connection since it spoke last."""
        self.connection.last_byte_at -= after_s
        self.connection._fruitless_at -= after_s
        before = self.connection.last_byte_at
        self.device.send(data)
        await until(lambda: self.connection.last_byte_at > before, "the bytes arrived")
        self.connection.look(clock.monotonic())


@asynccontextmanager
async def talk(folder: Path, name: str) -> AsyncIterator[Talk]:
    family = FAMILIES[name]
    assert isinstance(family, Family)
    async with behind(folder) as made:
        wiring = made.wiring(family.settings(), GOOD[name][0])
        link = TcpServer(wiring, family, Turns(), host="127.0.0.1", port=0, connections_max=10)
        await link.open()
        async with Device(link.port) as device:
            await until(lambda: link.connections, "connected")
            [connection] = link.lines.connections
            yield Talk(made, device, connection)
        link.stop_reading()
        await link.close()


@pytest.mark.parametrize("name", SERVED)
async def test_a_frame_that_never_ends_is_ended(tmp_path: Path, name: str) -> None:
    async with talk(tmp_path, name) as talking:
        data = GOOD[name][1]
        await talking.say(data[:1])
        await talking.say(data[1:2], after_s=HALF_S)
        assert not talking.device.ended, "it may still become a frame"
        await talking.say(data[2:3], after_s=HALF_S)
        await until(lambda: talking.device.ended, "ended")


async def test_noise_is_ended_too(tmp_path: Path) -> None:
    async with talk(tmp_path, "gbt26875") as talking:
        for _ in range(3):
            await talking.say(b"x", after_s=HALF_S)
        await until(lambda: talking.device.ended, "ended")


@pytest.mark.parametrize("name", SERVED)
async def test_a_device_that_speaks_slowly_is_heard_for_ever(tmp_path: Path, name: str) -> None:
    async with talk(tmp_path, name) as talking:
        data = GOOD[name][1]
        for _ in range(4):
            await talking.say(data[:5], after_s=HALF_S)
            await talking.say(data[5:], after_s=HALF_S)
        await until(talking.made.rows, "told")
        assert not talking.device.ended


async def test_half_a_frame_of_long_ago_does_not_count(tmp_path: Path) -> None:
    """A line that was cut inside a frame is no trickle."""
    async with talk(tmp_path, "gbt26875") as talking:
        data = GOOD["gbt26875"][1]
        await talking.say(data[:5])
        await talking.say(data[:5], after_s=FRUITLESS_S_MAX + 1)
        await talking.say(data[5:], after_s=1)
        assert not talking.device.ended


async def test_time_in_which_we_did_not_listen_does_not_count(tmp_path: Path) -> None:
    async with talk(tmp_path, "gbt26875") as talking:
        await talking.say(b"@")
        talking.connection.stop(HELD)
        talking.connection._fruitless_at -= FRUITLESS_S_MAX + 1
        talking.connection.go_on(HELD)
        talking.connection.look(clock.monotonic())
        await talking.say(b"@")
        assert not talking.device.ended


async def test_a_stranger_that_speaks_well_is_not_ended(tmp_path: Path) -> None:
    """Its notice is what an installer waits for."""
    async with talk(tmp_path, "gbt26875") as talking:
        data = bytearray(GOOD["gbt26875"][1])
        data[12], data[-3] = data[12] + 1, data[-3] + 1  # another source, and the sum
        for _ in range(4):
            await talking.say(bytes(data), after_s=HALF_S)
        assert not talking.device.ended


async def test_what_we_dialled_ourselves_is_not_ended(tmp_path: Path) -> None:
    """It would only be dialled again."""
    far = FarEnd()
    async with behind(tmp_path) as made, dialled(made, over_tcp("127.0.0.1", await far.open())) as link:
        await until(lambda: link.connections and far.lines, "connected")
        [connection] = link.lines.connections
        for _ in range(3):
            connection.last_byte_at -= HALF_S
            connection._fruitless_at -= HALF_S
            before = connection.last_byte_at
            far.say(b"@")
            await until(lambda: connection.last_byte_at > before, "the byte arrived")  # noqa: B023
            link.sweep()
        assert far.dialled == 1 and not connection.ended.done()
        await far.close()
