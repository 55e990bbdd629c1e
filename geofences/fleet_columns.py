"""What geofences.fleet knows of its tracks, as columns: one row a track, and one a zone that a track waits for."""

from collections.abc import Iterable, Sequence
from math import isnan, nan
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from geofences.batch import Flags, Floats, Ints, Points
from geofences.track import RECENT_MAX, Fix

FIX_NUMBERS = 7
GROWTH = 1_024
Scalar = TypeVar("Scalar", bound=np.generic)


class Fixes(NamedTuple):
    """Equally long columns, as geofences.track.Fix; NaN for what is not known."""

    at: Floats
    longitude: Floats
    latitude: Floats
    accuracy_m: Floats
    level: Floats
    altitude_m: Floats
    speed_m_s: Floats

    def of(self, which: Ints | Flags) -> "Fixes":
        return Fixes._make(column[which] for column in self)

    def fixes(self) -> list[Fix]:
        return [fix_of(numbers) for numbers in zip(*(column.tolist() for column in self), strict=True)]

    def fix(self, row: int) -> Fix:
        return fix_of([float(column[row]) for column in self])


def fixes_of(fixes: list[Fix]) -> Fixes:
    return Fixes._make(np.array([numbers_of(fix) for fix in fixes], np.float64).reshape(-1, FIX_NUMBERS).T.copy())


def numbers_of(fix: Fix) -> tuple[float, ...]:
    level = nan if fix.level is None else float(fix.level)
    altitude = nan if fix.altitude_m is None else fix.altitude_m
    speed = nan if fix.speed_m_s is None else fix.speed_m_s
    return fix.at, fix.longitude, fix.latitude, fix.accuracy_m, level, altitude, speed


def fix_of(numbers: Sequence[float]) -> Fix:
    at, longitude, latitude, accuracy_m, level, altitude, speed = numbers
    return Fix(
        at,
        longitude,
        latitude,
        accuracy_m,
        None if isnan(level) else int(level),
        None if isnan(altitude) else altitude,
        None if isnan(speed) else speed,
    )


class Rows:
    """Of each track its last fix and where it is in the cells, and what makes a fix of it worth a closer look:
    `due`; not `plain`: see geofences.track.State; not `known` under the plan in force. `new`: it had no fix yet.
    `told`: as Track."""

    def __init__(self) -> None:
        self.count = 0
        self.last = Fixes._make(np.zeros(0) for _ in Fixes._fields)
        self.points = Points._make(
            np.zeros(0, kind) for kind in (np.int64, np.int64, float, float, float, float, np.uint64, np.bool_)
        )
        self.due: Floats = np.zeros(0)
        self.told: Floats = np.zeros(0)
        self.plain: Flags = np.zeros(0, np.bool_)
        self.known: Flags = np.zeros(0, np.bool_)
        self.waits: Flags = np.zeros(0, np.bool_)
        self.new: Flags = np.zeros(0, np.bool_)
        self._recent: Floats = np.zeros((0, RECENT_MAX, FIX_NUMBERS))
        self._written: Ints = np.zeros(0, np.int64)

    def add(self) -> int:
        if self.count == len(self.due):
            self._grow()
        self.count += 1
        return self.count - 1

    def put(self, row: int, numbers: Iterable[float]) -> None:
        """The last fix and its point, number by number."""
        for column, number in zip((*self.last, *self.points), numbers, strict=True):
            column[row] = number

    def push(self, rows: Ints, fixes: Fixes) -> None:
        """Among the recent fixes of these tracks, each once."""
        self._recent[rows, self._written[rows] % RECENT_MAX] = np.column_stack(fixes)
        self._written[rows] += 1

    def recent(self, row: int) -> tuple[Fix, ...]:
        written = int(self._written[row])
        return tuple(
            fix_of(self._recent[row, at % RECENT_MAX].tolist()) for at in range(max(written - RECENT_MAX, 0), written)
        )

    def set_recent(self, row: int, fixes: tuple[Fix, ...]) -> None:
        for at, fix in enumerate(fixes):
            self._recent[row, at] = numbers_of(fix)
        self._written[row] = len(fixes)

    def _grow(self) -> None:
        size = len(self.due) + max(GROWTH, len(self.due) // 2)
        self.last = Fixes._make(_grown(column, size) for column in self.last)
        self.points = Points._make(_grown(column, size) for column in self.points)
        self.due, self.told = _grown(self.due, size), _grown(self.told, size)
        self.plain, self.known = _grown(self.plain, size), _grown(self.known, size)
        self.waits, self.new = _grown(self.waits, size), _grown(self.new, size)
        self._recent, self._written = _grown(self._recent, size), _grown(self._written, size)


def _grown(column: NDArray[Scalar], size: int) -> NDArray[Scalar]:
    return np.concatenate([column, np.zeros((size - len(column), *column.shape[1:]), column.dtype)])


class Waits:
    """Zones waited for, in no order: track, zone, whether it `enters`, and as geofences.track.Pending (`since` NaN: not
    surely)."""

    def __init__(self) -> None:
        self.track, self.zone = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.enters = np.zeros(0, np.bool_)
        self.since, self.fixes = np.zeros(0), np.zeros(0, np.int64)

    def taken(self, is_of: Flags) -> "Waits":
        """Those of the tracks for which `is_of` is true, taken out."""
        chosen = is_of[self.track]
        found, kept = Waits(), ~chosen
        for name in ("track", "zone", "enters", "since", "fixes"):
            column = getattr(self, name)
            setattr(found, name, column[chosen])
            setattr(self, name, column[kept])
        return found

    def add(self, track: Ints, zone: Ints, enters: Flags, since: Floats, fixes: Ints) -> None:
        self.track, self.zone = np.concatenate([self.track, track]), np.concatenate([self.zone, zone])
        self.enters = np.concatenate([self.enters, enters])
        self.since, self.fixes = np.concatenate([self.since, since]), np.concatenate([self.fixes, fixes])
