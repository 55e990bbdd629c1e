"""Links on which the edge is the one who calls: it dials, or opens a line, and does so again for ever.

Lost and found again are a line each; between attempts it waits with full jitter. How a connection is made is told by
who makes the link: `over_tcp` here, `over_serial` in edge.links_serial.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from devices.family import DeviceCommand, Family
from edge import clock
from edge.flow import Wiring
from edge.links_connection import Connection, Lines
from edge.mqtt import end
from edge.pause import Pause
from edge.turns import Turns

CONNECT_S_MAX = 10.0

log = structlog.get_logger()

Connect = Callable[[Callable[[], Connection]], Awaitable[Connection]]  # raises OSError


class DialledLink:
    """One link: one connection that is made again when it ends. `port`: what it dials, 0 when that has none."""

    def __init__(self, wiring: Wiring, family: Family, turns: Turns, connect: Connect, port: int = 0) -> None:
        self.name = wiring.name
        self.lines = Lines(wiring, family, turns)
        self.flow = self.lines.flow
        self.port = port
        self._connect = connect
        self._lost = False
        self._dialling: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return len(self.lines.connections)

    async def open(self) -> None:
        self._dialling = asyncio.create_task(self._dial())

    def stop_reading(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        self.flow.stop()

    async def close(self) -> None:
        if self._dialling is not None:
            await end([self._dialling])
        await self.lines.close()

    def sweep(self) -> None:
        self.lines.look()

    def command(self, command: DeviceCommand, now: datetime) -> None:
        self.lines.command(command, now)

    async def _dial(self) -> None:
        pause = Pause()
        while True:
            pause.begin()
            try:
                await self._connected()
            except (OSError, TimeoutError) as error:
                self._say_lost(str(error) or type(error).__name__)
            await clock.sleep(pause.seconds())

    async def _connected(self) -> None:
        """From dialling to the end of the connection; raises what the system says."""
        async with asyncio.timeout(CONNECT_S_MAX):
            connection = await self._connect(lambda: Connection(self.lines))
        if self._lost:
            self._lost = False
            log.info("link_recovered", link=self.name)
        await asyncio.shield(connection.ended)
        self._say_lost("the other side hung up")

    def _say_lost(self, error: str) -> None:
        if not self._lost:
            self._lost = True
            log.warning("link_lost", link=self.name, error=error)


def over_tcp(host: str, port: int, tls: ssl.SSLContext | None = None, server_name: str = "") -> Connect:
    """With `tls` the server's certificate must be for `server_name`, or `host` when that is ""."""

    async def connect(made: Callable[[], Connection]) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            made, host, port, ssl=tls, server_hostname=server_name or host if tls else None
        )
        return connection

    return connect
