"""Conditions that devices keep repeating, or tell us about once: which of them are new. Pure; bounded.

A camera says "active" every second while something lasts, and some never say that it is over.
"""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Held(Generic[Key]):
    """The conditions that last, each with the time at which it was last heard of; at most `keys_max` of them.

    When there are more, the one not heard of for longest is forgotten: its next report is news again.
    """

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._heard: dict[Key, datetime] = {}

    def begin(self, key: Key, now: datetime) -> bool:
        """It lasts; whether that is news."""
        news = self._heard.pop(key, None) is None
        self._heard[key] = now
        if len(self._heard) > self._keys_max:
            del self._heard[next(iter(self._heard))]
        return news

    def end(self, key: Key) -> bool:
        """It is over; whether that is news."""
        return self._heard.pop(key, None) is not None

    def expired(self, now: datetime, after: timedelta) -> list[Key]:
        """Those not heard of for `after`; they are over now. A clock that was set back makes nothing expire."""
        over = [key for key, heard in self._heard.items() if now - heard > after]
        for key in over:
            del self._heard[key]
        return over
