"""TCP-server links: devices dial in, each connection has a Session of its own. The only code that knows their sockets.

Rules
- An answer is written when what it answers is durable; when the spool does not take it, the connection is ended
  unanswered, so that the device sends again to a Session that knows nothing of it.
- A crash inside a Session costs its connection, never another one.
- Bounded: connections per link, bytes that a device does not read (WRITE_BYTES_MAX), and rows in flight: while the
  spool is behind, no link reads.
- After QUIET_S without a byte a half frame is given up. A connection that says nothing for twice the silence its family
  allows is ended.
"""

import asyncio
from collections.abc import Callable, Container
from datetime import datetime

import structlog
from msgspec import Struct

from devices.family import Family
from edge import clock
from edge.intake import Intake
from edge.spool_file import SpoolError

QUIET_S = 3.0  # mobile networks pause inside a frame
SWEEP_S = 0.5
WRITE_BYTES_MAX = 256_000
FULL_SAID_EVERY_S = 60.0
CLOSE_S_MAX = 2.0

log = structlog.get_logger()


class LinkError(Exception):
    """A link that cannot be opened; the text is the one line to show."""


class Address(Struct, frozen=True):
    host: str
    port: int


class TcpServer:
    """One link: a listening port and the connections on it."""

    def __init__(  # noqa: PLR0917 - what a link is made of
        self,
        name: str,
        address: Address,
        family: Family,
        settings: Struct,
        enrolled: Container[str],
        connections_max: int,
        intake: Intake,
        now: Callable[[], datetime],
    ) -> None:
        self.name = name
        self.family = family
        self.settings = settings
        self.enrolled = enrolled
        self.intake = intake
        self.now = now
        self.connections: set[Connection] = set()
        self._address = address
        self._connections_max = connections_max
        self._full_said_at = -FULL_SAID_EVERY_S
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "not open"
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Listen; raises LinkError."""
        host, port = self._address.host, self._address.port
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        except OSError as error:
            raise LinkError(f"link {self.name}: cannot listen on {host}:{port}: {error.strerror or error}") from error

    def close(self) -> None:
        """No more devices; what they sent is on its way to the spool."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end()

    def admit(self, connection: "Connection") -> bool:
        if len(self.connections) < self._connections_max:
            self.connections.add(connection)
            return True
        if clock.monotonic() - self._full_said_at >= FULL_SAID_EVERY_S:
            self._full_said_at = clock.monotonic()
            log.warning("link_full", link=self.name, connections=len(self.connections))
        return False

    def sweep(self) -> None:
        """Look after quiet connections; called every SWEEP_S."""
        now = clock.monotonic()
        for connection in list(self.connections):
            connection.look(now, reading=not self.intake.behind)


class Connection(asyncio.Protocol):
    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._session = server.family.open_session(server.settings, server.enrolled)
        self._transport: asyncio.Transport | None = None
        self._last_byte_at = clock.monotonic()
        self._given_up = True
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._server.connections:
            self._server.connections.discard(self)
            self._work(self._session.idle)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._last_byte_at = clock.monotonic()
        self._given_up = False
        self._work(lambda now: self._session.receive(data, now))
        if self._server.intake.behind and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def look(self, now: float, reading: bool) -> None:
        quiet_s = now - self._last_byte_at
        if self._paused and reading and self._transport is not None:
            self._transport.resume_reading()
            self._paused = False
        elif quiet_s > 2 * self._server.family.silence_s_max:
            self.end()
        elif quiet_s > QUIET_S and not self._given_up and not self._paused:
            self._given_up = True
            self._work(self._session.idle)

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _work(self, read: Callable[[datetime], list]) -> None:  # type: ignore[type-arg]
        """Let the session read, hand over what it found, answer when that is durable."""
        try:
            results = read(self._server.now())
            answer = self._session.to_send()
            if results or answer:
                self._server.intake.take(self._server.name, results, lambda error: self._answer(answer, error))
        except Exception:
            log.exception("link_crashed", link=self._server.name)
            if self._transport is not None:
                self._transport.abort()

    def _answer(self, answer: bytes, error: SpoolError | None) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if error is not None or transport.get_write_buffer_size() > WRITE_BYTES_MAX:
            transport.abort()
        elif answer:
            transport.write(answer)
