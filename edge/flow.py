"""What every kind of link keeps count of: rows that are not durable yet, and what is worth a line in the log.

A link that has `rows_max` rows on their way to the disk holds: it takes nothing more until half of them are settled.
Each link has its own share, so that one that floods does not keep another from being heard.
"""

import asyncio
from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from devices.family import CommandRefused, DeviceCommand
from devices.observation import Result
from edge import clock
from edge.spool_file import SpoolError

SAID_EVERY_S = 60.0
NO_WAY, CRASHED = "this kind of link carries no commands", "the gateway could not write it"
SWEEP_S = 0.5


class LinkError(Exception):
    """A link that cannot be opened; the text is the one line to show."""


class NotHere(CommandRefused):
    """The device of a command is not on this link; it may be on another."""


class Link(Protocol):
    """One link of any kind. `port` is the one it listens on or dials; `connections` how many devices are heard on it,
    or for HTTP how many connections are open."""

    name: str
    flow: "Flow"

    @property
    def port(self) -> int: ...

    @property
    def connections(self) -> int: ...

    async def open(self) -> None:
        """Raises LinkError when it cannot be without a person; a far end that is away is no such thing."""

    def stop_reading(self) -> None:
        """The end is near: no more devices and no more bytes; what was read may still be answered."""

    async def close(self) -> None:
        """End every connection, once its answers are written or a few seconds are over."""

    def sweep(self) -> None:
        """Look after quiet connections; called every SWEEP_S."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """Write it to the device now; what that says to it goes to the intake. Raises NotHere, CommandRefused."""


class Taker(Protocol):
    """Where results go: the edge's intake (edge.intake.Intake)."""

    def take(self, link: str, results: Sequence[Result], done: Callable[[SpoolError | None], None]) -> None:
        """`done` is called once they are durable, or with what kept them from it."""


class Wiring(Struct, frozen=True):
    """What a link of any kind is given: its name, its family's settings, who is enrolled, and where results go."""

    name: str
    settings: Struct
    enrolled: Container[str]
    intake: Taker
    rows_max: int


class Delivery(Struct):
    """Rows of one reading on their way to the disk; `settled` once they are there, or refused with `error`. A reading
    without rows may be the second delivery of one of those that are still on their way (`behind`): it is refused when
    any of them is."""

    rows: int
    settled: bool = False
    error: SpoolError | None = None
    behind: "tuple[Delivery, ...]" = ()

    def outcome(self, error: SpoolError | None) -> SpoolError | None:
        """What to answer by, when its own outcome is `error`."""
        return error or next((before.error for before in self.behind if before.error is not None), None)


class Flow:
    def __init__(self, rows_max: int, hold: Callable[[], None], go_on: Callable[[], None]) -> None:
        """`hold` is called when the link must stop taking, `go_on` when it may again."""
        self.holding = False
        self.rows = 0
        self._under_way: dict[int, Delivery] = {}  # those with rows, oldest first
        self._held_since = self._held_s = 0.0
        self._rows_max = rows_max
        self._hold = hold
        self._go_on = go_on
        self._stopped = False

    def stop(self) -> None:
        """The end is near: nothing more is taken; what was may still be answered."""
        self._stopped = True
        self._start_holding()

    def deliver(self, rows: int) -> Delivery:
        """Rows are on their way to the disk."""
        self.rows += rows
        if self.rows > self._rows_max:
            self._start_holding()
        if not rows:
            return Delivery(rows, behind=tuple(self._under_way.values()))
        delivery = Delivery(rows)
        self._under_way[id(delivery)] = delivery
        return delivery

    def settle(self, delivery: Delivery, error: SpoolError | None = None) -> SpoolError | None:
        """They are there, or refused; whoever knows of it first says so. Returns what to answer by."""
        if delivery.settled:
            return delivery.error
        delivery.settled = True
        delivery.error = delivery.outcome(error)
        delivery.behind = ()
        self._under_way.pop(id(delivery), None)
        self.rows -= delivery.rows
        if self.holding and self.rows <= self._rows_max // 2 and not self._stopped:
            self._count_held()
            self.holding = False
            self._go_on()
        return delivery.error

    def take_held_s(self) -> float:
        """For how long the link did not listen since last asked: so long nobody was silent."""
        self._count_held()
        held_s, self._held_s = self._held_s, 0.0
        return held_s

    def _start_holding(self) -> None:
        if not self.holding:
            self.holding = True
            self._held_since = clock.monotonic()
            self._hold()

    def _count_held(self) -> None:
        now = clock.monotonic()
        self._held_s += now - self._held_since if self.holding else 0.0
        self._held_since = now


async def hand_over(wiring: Wiring, flow: Flow, results: Sequence[Result]) -> SpoolError | None:
    """Give results to the intake and wait until they are durable; the error when the spool does not take them."""
    durable: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
    delivery = flow.deliver(len(results))

    def done(error: SpoolError | None) -> None:
        error = flow.settle(delivery, error)
        if not durable.done():
            durable.set_result(error)

    taken = False
    try:
        wiring.intake.take(wiring.name, results, done)
        taken = True
    finally:
        if not taken:  # a bug came in between
            flow.settle(delivery)
    return await durable  # who waits no longer has rows on their way to the disk all the same


class Seldom:
    """Lets a line into the log once in SAID_EVERY_S."""

    def __init__(self) -> None:
        self._said_at = -SAID_EVERY_S

    def due(self) -> bool:
        now = clock.monotonic()
        if now - self._said_at < SAID_EVERY_S:
            return False
        self._said_at = now
        return True
