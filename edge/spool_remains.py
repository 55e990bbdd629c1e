"""Spool files that are damaged: what can still be read of one, and where it is kept. Reading raises nothing.

Rows are read in the order of the table itself, past its index; where a page is bad, the numbers behind it are tried one
by one until another page answers. A chunk that is not what was written is left out.
"""

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

from msgspec import Struct

from devices.envelope import LANES, Lane, decode_rows
from edge.spool_sql import NO_CHECKPOINT_ON_CLOSE, SQL, Connection, LaneState, SqlError, lane_state

FILE_NAME = "spool.sqlite"
SUFFIXES = ("", "-wal", "-shm")
SET_ASIDE_MAX = 3
RANGES_SAID_MAX = 20
PROBES_MAX = 20_000  # more rows than hang on one page of the tree
KEPT = "kept:"
ERRORS = (SqlError, UnicodeError)


class Chunk(Struct, frozen=True):
    first: int
    last: int
    body: bytes

    def rows(self) -> list[bytes]:
        """Its observations, as they were encoded."""
        return decode_rows(self.body)


class Remains:
    """`close` it."""

    def __init__(self, path: Path) -> None:
        self._sql = Connection(str(path))
        self._sql.config(NO_CHECKPOINT_ON_CLOSE, 1)  # people may want to look at it as it was

    def close(self) -> None:
        self._sql.close(True)

    def epoch(self) -> str:
        return next((str(value) for (value,) in self._read("get_meta", "epoch")), "")

    def lanes(self) -> dict[Lane, LaneState]:
        """All of them, or none."""
        found: dict[Lane, LaneState] = {}
        for lane in LANES:
            for numbers in self._read("get_lane", lane):
                if not all(isinstance(number, int) for number in numbers):
                    return {}
                found[lane] = lane_state(numbers)
        return found if len(found) == len(LANES) else {}

    def kept(self) -> list[tuple[str, str]]:
        """(name, value) of the small values."""
        return [(name, value) for name, value in self._read("all_meta") if str(name).startswith(KEPT)]

    def reports(self) -> Iterator[bytes]:
        for (body,) in self._read("all_reports"):
            if isinstance(body, bytes):
                yield body

    def chunks(self, lane: Lane) -> Iterator[Chunk]:
        """In order."""
        last = 0
        for number, of_lane in self._numbers():
            chunk = self._chunk(number) if of_lane == lane else None
            if chunk is not None and last < chunk.first <= chunk.last:
                last = chunk.last
                yield chunk

    def _numbers(self) -> Iterator[tuple[int, Any]]:
        """(rowid, lane) of all rows that answer."""
        at = 0
        for _ in range(PROBES_MAX):
            try:
                for at, lane in self._sql.execute(SQL["salvage_numbers"], (at,)):  # noqa: B020 - where to go on
                    yield at, lane
            except ERRORS:
                at += 1
            else:
                return

    def _chunk(self, number: int) -> Chunk | None:
        for first, last, crc, body in self._read("salvage_chunk", number):
            if isinstance(first, int) and isinstance(last, int) and isinstance(body, bytes) and crc32(body) == crc:
                return Chunk(first, last, body)
        return None

    def _read(self, name: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._sql.execute(SQL[name], values)
        except ERRORS:
            return


def keep_aside(broken: Path, epoch: str, now: datetime) -> tuple[Path, tuple[str, ...]]:
    """Give a broken file a name of its own; of those before it only the newest stay. The name, and those removed."""
    name = f"{FILE_NAME}.unreadable-{now:%Y%m%dT%H%M%S}-{epoch or 'unknown'}-{secrets.token_hex(4)}"
    path = broken.with_name(name)
    rename(broken, path)
    all_of_them = (one for one in path.parent.glob(f"{FILE_NAME}.unreadable-*") if not one.name.endswith(SUFFIXES[1:]))
    older = sorted(all_of_them, key=lambda one: (one != path, -one.stat().st_mtime))[SET_ASIDE_MAX:]
    for one in older:
        for suffix in SUFFIXES:
            one.with_name(one.name + suffix).unlink(missing_ok=True)
    return path, tuple(one.name for one in older)


def rename(old: Path, new: Path) -> None:
    """The file, then what SQLite keeps beside it; to be done again when the end was not seen."""
    for suffix in SUFFIXES:
        source, target = old.with_name(old.name + suffix), new.with_name(new.name + suffix)
        if source.exists():
            source.rename(target)
        elif suffix and old.exists():
            target.unlink(missing_ok=True)  # of another file


def ranges(lost: Sequence[tuple[int, int]]) -> str:
    """`3-7 12-12`; the first RANGES_SAID_MAX."""
    told = [f"{first}-{last}" for first, last in lost[:RANGES_SAID_MAX]]
    return " ".join([*told, f"and {len(lost) - len(told)} more"] if len(lost) > len(told) else told)
