"""TCP-server links: devices dial in, each connection has a Session of its own.

Rules
- An answer is written when what it answers is durable; when the spool does not take it, the connection is ended
  unanswered, so that the device sends again to a Session that knows nothing of it.
- A crash inside a Session costs its connection, never another one.
- Bounded: connections per link, bytes that a device does not read (WRITE_BYTES_MAX), and rows that are not durable yet:
  a link that has `rows_max` of them stops reading until half are. Each link has its own share, so that terminals that
  flood, or a disk that hangs under them, do not keep a fire panel from being heard.
- A turn of the loop reads FLOOD_BYTES of a connection. One that has more takes turns with its like (edge.turns),
  READ_BYTES_MAX at a time.
- After QUIET_S without a byte a half frame is given up. A connection that says nothing for twice the silence its family
  allows is ended. When a link is full, or the system has no descriptor left, the one that was quiet longest and never
  showed an enrolled device gives way.
"""

import asyncio
import os
from collections.abc import Callable, Container, Sequence
from datetime import datetime

import structlog
from msgspec import Struct

from devices.family import Family
from devices.observation import Observation, Result
from edge import clock
from edge.intake import Intake
from edge.listener import Listener
from edge.spool_file import SpoolError
from edge.turns import Turns

QUIET_S = 3.0  # mobile networks pause inside a frame
SWEEP_S = 0.5
READ_BYTES_MAX = 4_096
FLOOD_BYTES = 512  # more than a device says at once, unless it has much to catch up on
WRITE_BYTES_MAX = 256_000
HELD, WAITS = "the link is held", "waits for its turn"
SAID_EVERY_S = 60.0  # that a link is full, or that a session crashed
CLOSE_S_MAX = 2.0

log = structlog.get_logger()

_buffer = bytearray(READ_BYTES_MAX)  # of all connections: what it holds is taken before another one is read
_view = memoryview(_buffer)
_small = _view[:FLOOD_BYTES]


class LinkError(Exception):
    """A link that cannot be opened; the text is the one line to show."""


class Address(Struct, frozen=True):
    host: str
    port: int


class Delivery(Struct):
    """Rows of one reading on their way to the disk; `settled` once they are there, or refused."""

    rows: int
    settled: bool = False


class TcpServer:
    """One link: a listening port and the connections on it."""

    def __init__(
        self,
        *,
        name: str,
        address: Address,
        family: Family,
        settings: Struct,
        enrolled: Container[str],
        connections_max: int,
        rows_max: int,
        intake: Intake,
        turns: Turns,
    ) -> None:
        self.name = name
        self.family = family
        self.settings = settings
        self.enrolled = enrolled
        self.intake = intake
        self.turns = turns
        self.holding = False
        self._held_since = self._held_s = 0.0
        self.connections: set[Connection] = set()
        self._address = address
        self._connections_max = connections_max
        self._full_said_at = self._crash_said_at = -SAID_EVERY_S
        self._rows_max = rows_max
        self._rows = 0
        self._stopping = False
        self._refused_said_at = -SAID_EVERY_S
        self._listener = Listener(lambda: Connection(self), self._not_taken)

    @property
    def port(self) -> int:
        return self._listener.port

    async def open(self) -> None:
        """Listen; raises LinkError."""
        host, port = self._address.host, self._address.port
        try:
            await self._listener.open(host, port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # else it says more
            raise LinkError(f"link {self.name}: cannot listen on {host}:{port}: {reason}") from error

    def stop_reading(self) -> None:
        """The end is near: no more devices and no more bytes; what was read may still be answered."""
        self._stopping = True
        self._listener.close()
        self.hold()

    async def close(self) -> None:
        """End every connection, once its answers are written or CLOSE_S_MAX is over."""
        for connection in list(self.connections):
            connection.end()
        give_up_at = clock.monotonic() + CLOSE_S_MAX
        while self.connections and clock.monotonic() < give_up_at:
            await clock.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()

    def admit(self, connection: "Connection") -> bool:
        if len(self.connections) >= self._connections_max:
            self._say_full()
            if not self._make_room():
                return False
        self.connections.add(connection)
        if self.holding:
            connection.stop(HELD)
        return True

    def hold(self) -> None:
        """Stop reading, all connections at once: each could bring hundreds of rows."""
        if not self.holding:
            self.holding = True
            self._held_since = clock.monotonic()
            for connection in self.connections:
                connection.stop(HELD)

    def deliver(self, rows: int) -> Delivery:
        """Rows are on their way to the disk."""
        self._rows += rows
        if self._rows > self._rows_max:
            self.hold()
        return Delivery(rows)

    def settle(self, delivery: Delivery) -> None:
        """They are there, or refused; whoever knows of it first says so."""
        if delivery.settled:
            return
        delivery.settled = True
        self._rows -= delivery.rows
        if self.holding and self._rows <= self._rows_max // 2 and not self._stopping:
            self._count_held()
            self.holding = False
            for connection in self.connections:
                connection.go_on(HELD)

    def take_held_s(self) -> float:
        """For how long it did not read since last asked."""
        self._count_held()
        held_s, self._held_s = self._held_s, 0.0
        return held_s

    def _count_held(self) -> None:
        now = clock.monotonic()
        self._held_s += now - self._held_since if self.holding else 0.0
        self._held_since = now

    def sweep(self) -> None:
        """Look after quiet connections; called every SWEEP_S."""
        if not self.holding:
            now = clock.monotonic()
            for connection in list(self.connections):
                connection.look(now)

    def crashed(self) -> None:
        """Called where the error is caught. A poison frame may come again and again; it is told once a minute."""
        if clock.monotonic() - self._crash_said_at >= SAID_EVERY_S:
            self._crash_said_at = clock.monotonic()
            log.exception("link_crashed", link=self.name)

    def _say_full(self) -> None:
        if clock.monotonic() - self._full_said_at >= SAID_EVERY_S:
            self._full_said_at = clock.monotonic()
            log.warning("link_full", link=self.name, connections=len(self.connections))

    def _not_taken(self, error: OSError) -> None:
        """A device dials and cannot be let in."""
        if clock.monotonic() - self._refused_said_at >= SAID_EVERY_S:
            self._refused_said_at = clock.monotonic()
            log.error("link_cannot_accept", link=self.name, error=error.strerror)
        self._make_room()

    def _make_room(self) -> bool:
        strangers = [connection for connection in self.connections if not connection.known]
        if not strangers:
            return False
        quietest = min(strangers, key=lambda connection: connection.last_byte_at)
        self.connections.discard(quietest)
        quietest.abort()
        return True


class Connection(asyncio.BufferedProtocol):
    """`known`: an enrolled device has shown itself on it."""

    def __init__(self, server: TcpServer) -> None:
        self.last_byte_at = clock.monotonic()
        self.known = False
        self._server = server
        self._session = server.family.open_session(server.settings, server.enrolled)
        self._transport: asyncio.Transport | None = None
        self._given_up = True
        self._broken = False
        self._in_turn = False
        self._stops: set[str] = set()  # why it is not read; empty: it is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.admit(self):
            self._broken = True
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._transport = None
        if not self._broken:
            self._work(self._session.idle)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _view if self._in_turn else _small

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(_view[:nbytes])
        self.last_byte_at = clock.monotonic()
        self._given_up = False
        self._work(lambda now: self._session.receive(data, now))
        self._in_turn = nbytes >= FLOOD_BYTES
        if self._in_turn:
            self._wait_for_turn()

    def stop(self, why: str) -> None:
        self._stops.add(why)
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self, why: str) -> None:
        self._stops.discard(why)
        if why == HELD and self._in_turn and WAITS not in self._stops:
            self._wait_for_turn()  # with all the others that are let go now
        if self._stops or self._transport is None:
            return
        self.last_byte_at = clock.monotonic()  # we did not listen: that was not its silence
        self._transport.resume_reading()

    def _wait_for_turn(self) -> None:
        self.stop(WAITS)
        self._server.turns.wait(lambda: self.go_on(WAITS))

    def look(self, now: float) -> None:
        quiet_s = now - self.last_byte_at
        if quiet_s > 2 * self._server.family.silence_s_max:
            self.end()
        elif quiet_s > QUIET_S and not self._given_up:
            self._given_up = True
            self._work(self._session.idle)

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _work(self, read: Callable[[datetime], Sequence[Result]]) -> None:
        """Let the session read, hand over what it found, answer when that is durable."""
        if self._broken:
            return
        delivery = Delivery(0)
        try:
            results = read(clock.now())
            answer = self._session.to_send()
            if results or answer:
                delivery = self._server.deliver(len(results))
                self._server.intake.take(
                    self._server.name, results, lambda error: self._answer(delivery, answer, error)
                )
            self.known = self.known or any(isinstance(result, Observation) for result in results)
        except Exception:
            self._broken = True
            self._server.crashed()
            self._server.settle(delivery)
            self.abort()

    def _answer(self, delivery: Delivery, answer: bytes, error: SpoolError | None) -> None:
        self._server.settle(delivery)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if error is not None or transport.get_write_buffer_size() > WRITE_BYTES_MAX:
            transport.abort()
        elif answer:
            transport.write(answer)
