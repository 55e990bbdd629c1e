"""Changes on their way to the people who watch: one queue a client, none of which can hold up the hub.

Rules
- `publish` never waits. It is called in the event loop, after the commit that it tells of.
- Positions are gathered: at most one `positions` every POSITIONS_S, with the newest position of each device.
- A client that does not keep up loses its queue and gets `resync` in its place: it loads everything again. What it
  would have read late is in the database.
- Clients are bounded, in all and of one session. `end` closes those of one session, `close` all of them.
- Each change is encoded once, however many watch, and not at all when nobody does.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec

from hub import clock

LIVE_QUEUE_MAX = 256
LIVE_CLIENTS_MAX = 200
LIVE_CLIENTS_OF_SESSION_MAX = 16
POSITIONS_S = 0.5
POSITION_ITEMS_MAX = 2_000  # of one change; the rest follows in the next ones

Body = dict[str, Any]


class TooManyClients(Exception):
    """No further client is let in."""


def frame(event: str, body: Body) -> bytes:
    """One change as server-sent events write it."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), msgspec.json.encode(body))


class Subscription:
    """The changes for one client: `async for event, body in subscription`, or `frames()` as they go on the wire."""

    def __init__(self, session: bytes) -> None:
        self.session = session
        self._queue: deque[tuple[str, Body, bytes]] = deque()
        self._arrived = asyncio.Event()
        self.ended = False

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> tuple[str, Body]:
        event, body, _ = await self._next()
        return event, body

    async def next_frame(self) -> bytes:
        """Raises StopAsyncIteration at the end; may be cancelled, nothing is lost then."""
        return (await self._next())[2]

    def put(self, event: str, body: Body, encoded: bytes) -> None:
        if len(self._queue) >= LIVE_QUEUE_MAX:
            self._queue.clear()
            event, body, encoded = "resync", {}, frame("resync", {})
        self._queue.append((event, body, encoded))
        self._arrived.set()

    def end(self) -> None:
        self.ended = True
        self._arrived.set()

    async def _next(self) -> tuple[str, Body, bytes]:
        while not self._queue or self.ended:
            if self.ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()


class Live:
    """Who watches, and what they are told."""

    def __init__(self) -> None:
        self._clients: set[Subscription] = set()
        self._positions: dict[str, Body] = {}
        self._positions_told_at = -POSITIONS_S
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def clients(self) -> int:
        return len(self._clients)

    def publish(self, event: str, body: Body, /) -> None:
        """Tell all who watch; never blocks. Bodies are not changed afterwards."""
        if not self._clients:
            return
        if event == "positions":
            self._gather(body["items"])
        else:
            self._tell(event, body)

    @asynccontextmanager
    async def subscribe(self, session: bytes = b"") -> AsyncIterator[Subscription]:
        """Everything published from now on; raises TooManyClients. `session`: whom `end` closes it with."""
        of_session = sum(client.session == session for client in self._clients)
        if self._closed or len(self._clients) >= LIVE_CLIENTS_MAX or of_session >= LIVE_CLIENTS_OF_SESSION_MAX:
            raise TooManyClients
        client = Subscription(session)
        self._clients.add(client)
        try:
            yield client
        finally:
            client.end()
            self._clients.discard(client)

    def end(self, session: bytes) -> None:
        """Close the streams of one session: it is over."""
        for client in self._clients:
            if client.session == session:
                client.end()

    def close(self) -> None:
        """Close all streams and let nobody in: the hub stops."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for client in self._clients:
            client.end()

    def _tell(self, event: str, body: Body) -> None:
        encoded = frame(event, body)
        for client in self._clients:
            client.put(event, body, encoded)

    def _gather(self, items: Iterable[Body]) -> None:
        for item in items:
            held = self._positions.get(item["device"])
            if held is None or _instant(held) <= _instant(item):
                self._positions[item["device"]] = item
        if self._timer is None and self._positions:
            wait_s = max(0.0, self._positions_told_at + POSITIONS_S - clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tell_positions)

    def _tell_positions(self) -> None:
        self._timer = None
        self._positions_told_at = clock.monotonic()
        told = list(self._positions.values())[:POSITION_ITEMS_MAX]
        for item in told:
            del self._positions[item["device"]]
        self._tell("positions", {"items": told})
        self._gather(())


def _instant(position: Body) -> datetime:
    """Observed, whether it is ready for JSON or still a datetime."""
    at = position["observed_at"]
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)
