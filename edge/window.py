"""How far one lane's uplink has come: sent, committed, and how much may be under way. Pure.

Rules
- At most BATCHES_MAX batches are sent and not committed: that is the flow control.
- Only the hub's Committed of the same epoch moves `committed`; one that names rows never given out is ignored.
- When nothing is committed for a while (`stalled`), or the connection was lost, sending goes back to `committed`. The
  wait doubles each time up to STALL_S_MAX, so that a hub without its database is not flooded; any progress resets it.
- A hub that names again what it had committed before is there and has not got what is under way: it has just come
  back, or refuses a batch beyond a hole. Then the wait is AGAIN_S_FIRST only. A batch that was sent twice is answered
  like that, too: so this wait doubles with each use, until there was none for AGAIN_CALM_S.
- `dropped_through` speaks of every row up to it. So it is said only while nothing is under way, and what stands beyond
  a hole waits for that: a hub that lost a batch must not take the next one's word that its rows were dropped.
- A hub that stands behind what it had committed before (restored from a backup) is told by `dropped_through` that the
  rows are gone; it records the gap instead of waiting for ever.
"""

from collections import deque
from math import inf

from msgspec import Struct, field

BATCHES_MAX = 8
STALL_S_FIRST = 10.0
STALL_S_MAX = 160.0
AGAIN_S_FIRST = 1.0
AGAIN_CALM_S = 60.0


class Window(Struct):
    """`in_flight`: last seq of each batch that was sent and is not committed."""

    committed: int = 0
    sent: int = 0
    gone_through: int = 0  # rows the hub had once, and has no more
    in_flight: deque[int] = field(default_factory=deque)
    moved_at: float = 0.0
    stall_s: float = STALL_S_FIRST
    again_s: float = AGAIN_S_FIRST
    again_at: float = -inf

    @property
    def open(self) -> bool:
        return len(self.in_flight) < BATCHES_MAX

    def push(self, last: int, now: float) -> None:
        """A batch that ends with `last` is on its way."""
        if not self.in_flight:
            self.moved_at = now
        self.in_flight.append(last)
        self.sent = max(self.sent, last)

    def published(self, now: float) -> None:
        """The broker has the newest batch: on a thin line that took its time, and only now can the hub answer."""
        if len(self.in_flight) == 1:
            self.moved_at = now

    def declares(self, first: int, dropped_through: int) -> int | None:
        """What a batch that begins at `first` (0: without rows) says was dropped; None when it must not be sent now."""
        through = max(dropped_through, self.gone_through)
        beyond_a_hole = first > self.sent + 1 if first else through > self.sent
        if self.in_flight:
            return 0 if first and not beyond_a_hole else None
        if first:
            return min(through, first - 1)  # rows that are here after all are not dropped
        return through if beyond_a_hole else None

    def commit(self, seq: int, appended: int, now: float, retained: bool = False) -> bool:
        """The hub has everything up to `seq`; whether that is news. `retained`: it was said before now."""
        if seq > appended:
            return False
        if seq <= self.committed and self.in_flight and not retained:
            self.again_s = self.again_s if now - self.again_at < AGAIN_CALM_S else AGAIN_S_FIRST
            self.stall_s = self.again_s
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
        if self.stall_s < STALL_S_FIRST:
            self.again_at, self.again_s = now, min(self.stall_s * 2, STALL_S_FIRST)
            self.stall_s = STALL_S_FIRST
        else:
            self.stall_s = min(self.stall_s * 2, STALL_S_MAX)
        return True

    def wait_s(self, now: float) -> float | None:
        """Until `stalled` can be true; None while nothing is under way."""
        return max(self.moved_at + self.stall_s - now, 0.0) if self.in_flight else None
