"""Conditions that devices keep repeating, or tell us about once: which of what they say is news. Pure; bounded.

A camera says "active" every second while something lasts, and some never say that it is over. (Devices that say a thing
once, and mean it each time: devices/conditions.py.)

Rules
- What begins is news once, until it is over.
- What is over is news once; also when nothing is known yet, since it may have lasted before the link came up.
- More than `keys_max` conditions: the one not heard of for longest is forgotten; its next report is news again.
"""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Held(Generic[Key]):
    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._known: dict[Key, tuple[bool, datetime]] = {}  # whether it lasts, when it was last heard of

    def begin(self, key: Key, now: datetime) -> bool:
        """It lasts; whether that is news."""
        return self._keep(key, True, now) is not True

    def end(self, key: Key, now: datetime) -> bool:
        """It is over; whether that is news."""
        return self._keep(key, False, now) is not False

    def _keep(self, key: Key, lasts: bool, now: datetime) -> bool | None:
        """What was known before."""
        before = self._known.pop(key, None)
        self._known[key] = (lasts, now)
        if len(self._known) > self._keys_max:
            del self._known[next(iter(self._known))]
        return before[0] if before else None

    def lasts(self, key: Key) -> bool:
        return self._known.get(key, (False,))[0]

    def known(self) -> list[Key]:
        """All that were ever heard of and not forgotten."""
        return list(self._known)

    def expired(self, now: datetime, after: timedelta) -> list[Key]:
        """Those that last and were not heard of for `after`: they are over now. A clock set back ends nothing."""
        over = [key for key, (lasts, heard) in self._known.items() if lasts and now - heard > after]
        for key in over:
            self._keep(key, False, now)
        return over
