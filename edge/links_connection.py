"""Connections that carry bytes, whoever dialled: a Session each, read in turns, answered when durable.

Rules
- An answer is written when what it answers is durable; when the spool does not take it, the connection is ended
  unanswered, so that the device sends again to a Session that knows nothing of it.
- A crash inside a Session costs its connection, never another one.
- A turn of the loop reads FLOOD_BYTES of a connection. One that has more takes turns with its like (edge.turns),
  READ_BYTES_MAX at a time.
- Where a device has one connection at a time (Family.one_connection), a newer one ends the older: that is a dead line
  which nobody has noticed yet. A connection on which other devices have shown themselves, too, stays.
- After QUIET_S without a byte a half frame is given up. A connection that says nothing for twice the silence its family
  allows is ended, and so is one that does not read what it is told (WRITE_BYTES_MAX).
- Bytes that lead to nothing (no report, no notice that names a device, no answer) for `Lines.fruitless_s_max`, one
  after the other, end a connection: a frame that never ends would hold it for ever. Bytes after a longer pause begin
  anew. A device that speaks good frames, however seldom, is never ended.
- A command is written at once to the connection on which its device spoke last.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf

import structlog

from devices.family import Commanded, CommandRefused, DeviceCommand, Family
from devices.observation import DeviceId, Observation, Rejected, Result
from edge import clock
from edge.flow import CRASHED, NO_WAY, Delivery, Flow, NotHere, Seldom, Wiring
from edge.spool_file import SpoolError
from edge.turns import Turns

QUIET_S = 3.0  # mobile networks pause inside a frame
READ_BYTES_MAX = 4_096
FLOOD_BYTES = 512  # more than a device says at once, unless it has much to catch up on
WRITE_BYTES_MAX = 256_000
HELD, WAITS = "the link is held", "waits for its turn"
CLOSE_S_MAX = 2.0

log = structlog.get_logger()

_buffer = bytearray(READ_BYTES_MAX)  # of all connections: what it holds is taken before another one is read
_view = memoryview(_buffer)
_small = _view[:FLOOD_BYTES]


class Lines:
    """The connections of one link, and what they share. While the link holds, all stop: each could bring hundreds of
    rows."""

    def __init__(self, wiring: Wiring, family: Family, turns: Turns, fruitless_s_max: float = inf) -> None:
        self.wiring = wiring
        self.fruitless_s_max = fruitless_s_max
        self.family = family
        self.turns = turns
        self.connections: set[Connection] = set()
        self.flow = Flow(wiring.rows_max, self._hold, self._go_on)
        self._crash = Seldom()
        self._of: dict[DeviceId, Connection] = {}  # where devices spoke last
        self.finds_devices = family.one_connection or bool(family.commands)

    def spoke(self, connection: "Connection", device: DeviceId) -> None:
        """An enrolled device spoke on this connection."""
        older = self._of.get(device)
        if older is connection:
            return
        self._of[device] = connection
        first = device not in connection.devices
        connection.devices.add(device)
        if self.family.one_connection and first and older is not None and older.devices == {device}:
            older.end()

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See edge.flow.Link. A lone connection may lead to devices that have not spoken yet: its session knows."""
        device = DeviceId(f"{self.family.name}:{command.native_id}")
        there = self._of.get(device) or (next(iter(self.connections)) if len(self.connections) == 1 else None)
        if there is None:
            raise NotHere(f"{device} is not connected")
        there.command(command, now)

    def left(self, connection: "Connection") -> None:
        self.connections.discard(connection)
        for device in connection.devices:
            if self._of.get(device) is connection:
                del self._of[device]

    def join(self, connection: "Connection") -> None:
        self.connections.add(connection)
        if self.flow.holding:
            connection.stop(HELD)

    def look(self) -> None:
        """After connections that are quiet."""
        if not self.flow.holding:
            now = clock.monotonic()
            for connection in list(self.connections):
                connection.look(now)

    def crashed(self) -> None:
        """Called where the error is caught. A poison frame may come again and again; it is told once a minute."""
        if self._crash.due():
            log.exception("link_crashed", link=self.wiring.name)

    async def close(self) -> None:
        """End every connection, once its answers are written or CLOSE_S_MAX is over."""
        for connection in list(self.connections):
            connection.end()
        give_up_at = clock.monotonic() + CLOSE_S_MAX
        while self.connections and clock.monotonic() < give_up_at:
            await clock.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()

    def _hold(self) -> None:
        for connection in self.connections:
            connection.stop(HELD)

    def _go_on(self) -> None:
        for connection in self.connections:
            connection.go_on(HELD)


class Connection(asyncio.BufferedProtocol):
    """`known`: an enrolled device has shown itself on it. `devices`: which, where the link has to find them again."""

    def __init__(self, lines: Lines, admitted: Callable[["Connection"], bool] = lambda _: True) -> None:
        self.last_byte_at = clock.monotonic()
        self.known = False
        self.devices: set[DeviceId] = set()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines = lines
        self._admitted = admitted
        self._session = lines.family.open_session(lines.wiring.settings, lines.wiring.enrolled)
        self._transport: asyncio.Transport | None = None
        self._given_up = True
        self._fruitless_at = inf  # since when bytes lead to nothing
        self._broken = False
        self._in_turn = False
        self._stops: set[str] = set()  # why it is not read; empty: it is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._admitted(self):
            self._lines.join(self)
            self._ask()
        else:
            self._broken = True
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.left(self)
        self._transport = None
        self.ended.set_result(None)
        if not self._broken:
            self._work(self._session.idle)

    def _ask(self) -> None:
        """The clock of a session that speaks first."""
        every_s = self._lines.family.asks_every_s
        if not every_s or self._transport is None:
            return
        if not self._stops and clock.monotonic() - self.last_byte_at >= every_s:
            self._work(self._session.idle)
        asyncio.get_running_loop().call_later(every_s, self._ask)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _view if self._in_turn else _small

    def buffer_updated(self, nbytes: int) -> None:
        self.received(bytes(_view[:nbytes]))

    def received(self, data: bytes) -> None:
        """Bytes, from a transport that fills no buffer of ours too."""
        now, before = clock.monotonic(), self.last_byte_at
        if self._fruitless_at == inf or now - before > self._lines.fruitless_s_max:
            self._fruitless_at = now
        self.last_byte_at, self._given_up = now, False
        self._work(lambda now: self._session.receive(data, now))
        self._in_turn = len(data) >= FLOOD_BYTES
        if self._in_turn:
            self._wait_for_turn()

    def stop(self, why: str) -> None:
        self._stops.add(why)
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self, why: str) -> None:
        self._stops.discard(why)
        if why == HELD:
            self._fruitless_at = inf  # we did not listen: what came since counts anew
        if why == HELD and self._in_turn and WAITS not in self._stops:
            self._wait_for_turn()  # with all the others that are let go now
        if self._stops or self._transport is None:
            return
        self.last_byte_at = clock.monotonic()  # we did not listen: that was not its silence
        self._transport.resume_reading()

    def _wait_for_turn(self) -> None:
        self.stop(WAITS)
        self._lines.turns.wait(lambda: self.go_on(WAITS))

    def look(self, now: float) -> None:
        quiet_s = now - self.last_byte_at
        fruitless_s = self.last_byte_at - self._fruitless_at
        if quiet_s > 2 * self._lines.family.silence_s_max or fruitless_s > self._lines.fruitless_s_max:
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

    def command(self, command: DeviceCommand, now: datetime) -> None:
        transport, session = self._transport, self._session
        if self._broken or transport is None or transport.is_closing():
            raise NotHere("its connection has just ended")
        if not isinstance(session, Commanded):
            raise CommandRefused(NO_WAY)
        try:
            session.command(command, now)
            if data := self._session.to_send():
                transport.write(data)
        except CommandRefused:
            raise
        except Exception as error:
            self._broken = True
            self._lines.crashed()
            self.abort()
            raise CommandRefused(CRASHED) from error

    def _work(self, read: Callable[[datetime], Sequence[Result]]) -> None:
        """Let the session read, hand over what it found, answer when that is durable."""
        if self._broken:
            return
        delivery = Delivery(0)
        try:
            results = read(clock.now())
            answer = self._session.to_send()
            if answer or any(not isinstance(result, Rejected) or result.device for result in results):
                self._fruitless_at = inf
            if results:
                delivery = self._lines.flow.deliver(len(results))
                wiring = self._lines.wiring
                wiring.intake.take(wiring.name, results, lambda error: self._answer(delivery, answer, error))
            elif answer:
                self._answer(delivery, answer, None)  # nothing was reported that would have to be durable
            self._show(results)
        except Exception:
            self._broken = True
            self._lines.crashed()
            self._lines.flow.settle(delivery)
            self.abort()

    def _show(self, results: Sequence[Result]) -> None:
        if self.known and not self._lines.finds_devices:
            return
        devices = {result.device for result in results if isinstance(result, Observation)}
        self.known = self.known or bool(devices)
        if self._lines.finds_devices and self._transport is not None:
            for device in devices:
                self._lines.spoke(self, device)

    def _answer(self, delivery: Delivery, answer: bytes, error: SpoolError | None) -> None:
        self._lines.flow.settle(delivery)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if error is not None or transport.get_write_buffer_size() > WRITE_BYTES_MAX:
            transport.abort()
        elif answer:
            transport.write(answer)
