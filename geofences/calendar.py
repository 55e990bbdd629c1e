"""When a zone is in force: weekly windows in the site's time zone, with days that are exceptions. Pure.

A window that ends before it starts runs over midnight. On the days when clocks change a window is as long as the wall
clock says: 22:00 to 06:00 is seven or nine hours. Times are seconds since 1970, UTC.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import inf
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOWS_MAX = 64
DATES_MAX = 1_000
LOOK_AHEAD_DAYS = 8  # every window comes round within a week
YEARS_AHEAD = 2

Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Day = Annotated[str, Meta(pattern="^(mon|tue|wed|thu|fri|sat|sun)$")]


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """On these days of the week, all when none is named; `on` and `until` by the wall clock."""

    on: Clock
    until: Clock
    days: tuple[Day, ...] = ()


class Schedule(Struct, frozen=True, forbid_unknown_fields=True):
    """In force in any of the windows, on dates from `first` to `last`, not on `except_on`, all day on `also_on`."""

    time_zone: str
    windows: Annotated[tuple[Window, ...], Meta(max_length=WINDOWS_MAX)] = ()
    first: date | None = None
    last: date | None = None
    except_on: Annotated[tuple[date, ...], Meta(max_length=DATES_MAX)] = ()
    also_on: Annotated[tuple[date, ...], Meta(max_length=DATES_MAX)] = ()

    def is_on(self, at: float) -> bool:
        starts, ends = self._spans(at)
        found = bisect_right(starts, at) - 1
        return found >= 0 and at < ends[found]

    def next_change(self, at: float) -> float:
        """The first time after `at` at which it comes into force or goes out of it, or to ask again; inf: never."""
        starts, ends = self._spans(at)
        later = [change for change in (*starts, *ends) if change > at]
        if later:
            return min(later)
        return inf if self._is_over(at) else _midnight(self._day(at) + timedelta(LOOK_AHEAD_DAYS - 1), self.time_zone)

    def _spans(self, at: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Starts and ends of what is in force round `at`, without overlaps, in order."""
        return _spans_round(self, self._day(at))

    def _day(self, at: float) -> date:
        return datetime.fromtimestamp(at, ZoneInfo(self.time_zone)).date()

    def _is_over(self, at: float) -> bool:
        day = self._day(at)
        weekly = bool(self.windows) and (self.last is None or day <= self.last)
        return not weekly and all(day > other for other in self.also_on)


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def wall_time(at: float, clock: str, time_zone: str, days_later: int = 0) -> float:
    """When the clocks of a time zone show `clock` on the day of `at`, or so many days later."""
    day = datetime.fromtimestamp(at, ZoneInfo(time_zone)).date()
    return _instant(day + timedelta(days_later), clock, time_zone)


@lru_cache(maxsize=1_024)
def _spans_round(schedule: Schedule, day: date) -> tuple[tuple[float, ...], tuple[float, ...]]:
    starts: list[float] = []
    ends: list[float] = []
    for start, end in sorted(_windows(schedule, day)):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return tuple(starts), tuple(ends)


def _windows(schedule: Schedule, day: date) -> Iterator[tuple[float, float]]:
    for ahead in range(-1, LOOK_AHEAD_DAYS + 1):
        there = day + timedelta(ahead)
        if there in schedule.also_on:
            yield _midnight(there, schedule.time_zone), _midnight(there + timedelta(1), schedule.time_zone)
        elif _is_within(schedule, there):
            windows = (each for each in schedule.windows if not each.days or DAYS[there.weekday()] in each.days)
            yield from (_span(window, there, schedule.time_zone) for window in windows)


def _is_within(schedule: Schedule, day: date) -> bool:
    if day in schedule.except_on or (schedule.first is not None and day < schedule.first):
        return False
    return schedule.last is None or day <= schedule.last


def _span(window: Window, day: date, time_zone: str) -> tuple[float, float]:
    ends_on = day + timedelta(1) if window.until <= window.on else day
    return _instant(day, window.on, time_zone), _instant(ends_on, window.until, time_zone)


def _midnight(day: date, time_zone: str) -> float:
    return _instant(day, "00:00", time_zone)


def _instant(day: date, clock: str, time_zone: str) -> float:
    if clock == "24:00":
        return _midnight(day + timedelta(1), time_zone)
    wall = datetime.combine(day, time.fromisoformat(clock), ZoneInfo(time_zone))
    return wall.astimezone(UTC).timestamp()
