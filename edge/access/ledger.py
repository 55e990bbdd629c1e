"""Who is inside by the gates' own count, and who waits for a second person: what a decision needs to remember. Pure.

Rules
- Somebody is inside from being let in until being let out, or for `anti_passback_s` at most: whoever left by another
  way is not locked out for ever.
- The zone, not the gate, is what somebody is inside of: gates of one zone share it.
- It is a plain value, so that it outlives a restart beside the rows that it explains.
"""

from datetime import datetime, timedelta

from msgspec import Struct, field

INSIDE_MAX = 100_000  # of a zone; beyond it the oldest entry is forgotten, and counted no more


class Waiting(Struct, frozen=True):
    """The first of two who must pass together."""

    subject: str
    until: datetime


class Ledger(Struct):
    """`inside`: zone -> subject -> since. `waiting`: gate -> the first of two."""

    inside: dict[str, dict[str, datetime]] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)

    def since(self, zone: str, subject: str, at: datetime, kept_s: float) -> datetime | None:
        """Since when somebody is inside; None when that is not known or too long ago."""
        since = self.inside.get(zone, {}).get(subject)
        return since if since is not None and at - since < timedelta(seconds=kept_s) else None

    def count(self, zone: str, at: datetime, kept_s: float) -> int:
        """How many are inside; forgets those who came too long ago."""
        there = self.inside.get(zone, {})
        for subject in [one for one, since in there.items() if at - since >= timedelta(seconds=kept_s)]:
            del there[subject]
        return len(there)

    def went_in(self, zone: str, subject: str, at: datetime) -> None:
        there = self.inside.setdefault(zone, {})
        there.pop(subject, None)
        if len(there) >= INSIDE_MAX:
            del there[next(iter(there))]
        there[subject] = at

    def went_out(self, zone: str, subject: str) -> None:
        self.inside.get(zone, {}).pop(subject, None)

    def partner(self, gate: str, subject: str, at: datetime) -> str:
        """The one who waits there for a second person other than themselves; "" when nobody does."""
        waiting = self.waiting.get(gate)
        return waiting.subject if waiting is not None and at < waiting.until and waiting.subject != subject else ""
