"""How far one lane's uplink has come: sent, committed, and how much may be under way. Pure.

Rules
- At most BATCHES_MAX batches are sent and not committed: that is the flow control.
- Only the hub's Committed of the same epoch moves `committed`; one that names rows never given out is ignored.
- When nothing is committed for a while (`stalled`), or the connection was lost, sending goes back to `committed`. The
  wait doubles each time up to STALL_S_MAX, so that a hub without its database is not flooded; any progress resets it.
- A hub that stands behind what it had committed before (restored from a backup) is told by `dropped_through` that the
  rows are gone; it records the gap instead of waiting for ever.
"""

from collections import deque

from msgspec import Struct, field

BATCHES_MAX = 8
STALL_S_FIRST = 10.0
STALL_S_MAX = 160.0


class Window(Struct):
    """`in_flight`: last seq of each batch that was sent and is not committed."""

    committed: int = 0
    sent: int = 0
    gone_through: int = 0  # rows the hub had once, and has no more
    in_flight: deque[int] = field(default_factory=deque)
    moved_at: float = 0.0
    stall_s: float = STALL_S_FIRST

    @property
    def open(self) -> bool:
        return len(self.in_flight) < BATCHES_MAX

    def push(self, last: int, now: float) -> None:
        """A batch that ends with `last` is on its way."""
        if not self.in_flight:
            self.moved_at = now
        self.in_flight.append(last)
        self.sent = max(self.sent, last)

    def commit(self, seq: int, appended: int, now: float) -> bool:
        """The hub has everything up to `seq`; whether that is news."""
        if seq > appended:
            return False
        if seq < self.committed:
            self.gone_through = self.committed
            return False
        news = seq > self.committed
        self.committed = seq
        self.sent = max(self.sent, seq)
        while self.in_flight and self.in_flight[0] <= seq:
            self.in_flight.popleft()
        if news:
            self.moved_at, self.stall_s = now, STALL_S_FIRST
        return news

    def rewind(self) -> None:
        """Send again from what the hub has."""
        self.in_flight.clear()
        self.sent = self.committed

    def stalled(self, now: float) -> bool:
        """Whether to send again; takes note that it was said."""
        if not self.in_flight or now - self.moved_at < self.stall_s:
            return False
        self.moved_at = now
        self.stall_s = min(self.stall_s * 2, STALL_S_MAX)
        return True

    def wait_s(self, now: float) -> float | None:
        """Until `stalled` can be true; None while nothing is under way."""
        return max(self.moved_at + self.stall_s - now, 0.0) if self.in_flight else None
