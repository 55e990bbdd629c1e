"""TCP-server links: devices dial in.

Rules
- Bounded: connections per link, and rows that are not durable yet (edge.flow): a link that has `rows_max` of them stops
  reading until half are. Each link has its own share, so that terminals that flood, or a disk that hangs under them, do
  not keep a fire panel from being heard.
- When a link is full, or the system has no descriptor left, the connection that was quiet longest and never showed an
  enrolled device gives way.
- A connection whose bytes lead to nothing for FRUITLESS_S_MAX is ended.
"""

import os
from datetime import datetime

import structlog

from devices.family import DeviceCommand, Family
from edge.flow import LinkError, Seldom, Wiring
from edge.links_connection import Connection, Lines
from edge.listener import Listener
from edge.turns import Turns

FRUITLESS_S_MAX = 60.0

log = structlog.get_logger()


class TcpServer:
    """One link: a listening port and the connections on it."""

    def __init__(
        self, wiring: Wiring, family: Family, turns: Turns, *, host: str, port: int, connections_max: int
    ) -> None:
        self.name = wiring.name
        self.lines = Lines(wiring, family, turns, FRUITLESS_S_MAX)
        self.flow = self.lines.flow
        self._address = (host, port)
        self._connections_max = connections_max
        self._full, self._refused = Seldom(), Seldom()
        self._listener = Listener(lambda: Connection(self.lines, self._admit), self._not_taken)

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def connections(self) -> int:
        return len(self.lines.connections)

    async def open(self) -> None:
        host, port = self._address
        try:
            await self._listener.open(host, port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # else it says more
            raise LinkError(f"link {self.name}: cannot listen on {host}:{port}: {reason}") from error

    def stop_reading(self) -> None:
        self._listener.close()
        self.flow.stop()

    async def close(self) -> None:
        await self.lines.close()

    def sweep(self) -> None:
        self.lines.look()

    def command(self, command: DeviceCommand, now: datetime) -> None:
        self.lines.command(command, now)

    def _admit(self, _: Connection) -> bool:
        if self.connections < self._connections_max:
            return True
        if self._full.due():
            log.warning("link_full", link=self.name, connections=self.connections)
        return self._make_room()

    def _not_taken(self, error: OSError) -> None:
        """A device dials and cannot be let in."""
        if self._refused.due():
            log.error("link_cannot_accept", link=self.name, error=error.strerror)
        self._make_room()

    def _make_room(self) -> bool:
        strangers = [connection for connection in self.lines.connections if not connection.known]
        if not strangers:
            return False
        quietest = min(strangers, key=lambda connection: connection.last_byte_at)
        self.lines.connections.discard(quietest)
        quietest.abort()
        return True
