"""The spool's SQLite file: rows of two lanes that wait for the hub. Synchronous, used by one thread only.

Rules
- WAL with synchronous FULL: what `write` returned from is on the disk. Forgetting rows needs no sync of its own; a
  delete that is lost makes rows travel twice, and the hub skips what it has.
- Sequence numbers start at 1 for each lane and are never given out twice in one epoch; the epoch is made with the file.
- When more than `rows_max` rows wait, the oldest chunk of the routine lane goes; urgent rows only when no routine row
  is left. What went is counted, and `dropped_through` declares it to the hub.
- Before the disk is full, routine rows are refused, then urgent ones, and enough is left to forget rows: a spool that
  had filled its disk to the last byte could not even do that.
- A file that SQLite cannot read is set aside under another name and a new one, with a new epoch, takes its place.
- Every failure of the disk is a SpoolError; the transaction is rolled back.

A chunk is one group commit's rows of one lane, encoded as they will travel: one insert, one read and one delete stand
for hundreds of rows.
"""

import os
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

import apsw
from msgspec import Struct

from devices.envelope import LANES, Lane, encode_rows
from edge.reports import Reports

FILE_NAME = "spool.sqlite"
PAGE_BYTES = 4096
CACHE_KB = 1024
SEQ_MAX = 2**62
WAL_PAGES_MAX = 2_000
WAL_BYTES_KEPT = 16_000_000
CHUNK_ROWS_MAX = 500
CHUNK_BYTES_MAX = 200_000
# What must be left, of the disk in bytes and of the file in shares, for a lane to be taken. Forgetting needs some, too.
DISK_LEFT_MIN: dict[Lane, int] = {"urgent": 12_000_000, "routine": 24_000_000}
FILE_LEFT_MIN: dict[Lane, float] = {"urgent": 0.0, "routine": 0.1}

_TEXT = (resources.files("edge") / "spool.sql").read_text()
SQL = dict(re.findall(r"-- (\w+) --\n(.*?)(?=\n-- \w+ --|\Z)", _TEXT, re.S))


UNREADABLE = (apsw.CorruptError, apsw.NotADBError)  # what `replace` is the answer to


class SpoolError(Exception):
    """The disk did not take it; nothing of the transaction was stored."""


class LaneState(Struct, kw_only=True):
    """`rows`: how many wait in the file."""

    appended: int = 0
    committed: int = 0
    dropped_through: int = 0
    dropped: int = 0
    rows: int = 0


class Fetched(Struct, frozen=True):
    """Rows first..last of a lane, as pieces of a Batch; no pieces when nothing waits. `dropped_through` as in Batch."""

    first: int
    last: int
    pieces: tuple[bytes, ...]
    dropped_through: int


Rows = dict[Lane, list[bytes]]


class SpoolFile:
    """Open with `open`; `set_aside` names the file that could not be read, if there was one."""

    def __init__(self, folder: Path, rows_max: int, file_mb_max: int, reports: Reports) -> None:
        self.path = folder / FILE_NAME
        self._rows_max = rows_max
        self._pages_max = file_mb_max * 1_000_000 // PAGE_BYTES
        self._reports = reports
        self._reports_stored = 0
        self._connection: apsw.Connection | None = None
        self.epoch = ""
        self.lanes: dict[Lane, LaneState] = {lane: LaneState() for lane in LANES}
        self.set_aside: Path | None = None

    def open(self, now: datetime) -> None:
        """Raises SpoolError when the file cannot be made, or another process has it."""
        try:
            self._open()
        except UNREADABLE:
            self.replace(now)
        except (apsw.Error, OSError) as error:
            self.close()
            raise SpoolError(f"{self.path}: {_said(error)}") from error

    def reopen(self, now: datetime) -> None:
        """Try again what failed in `replace`; nothing when the file is open."""
        if self._connection is None:
            self.open(now)

    def replace(self, now: datetime) -> None:
        """Set a file aside that cannot be read and begin a new one."""
        self.close()
        self.set_aside = self.path.with_name(f"{FILE_NAME}.unreadable-{now:%Y%m%dT%H%M%S}")
        try:
            for suffix in ("", "-wal", "-shm"):
                old = self.path.with_name(FILE_NAME + suffix)
                if old.exists():
                    old.rename(self.set_aside.with_name(self.set_aside.name + suffix))
            self._open()
            if held := self._reports.whole():
                self._sql.execute(SQL["add_reports"], (held,))
        except (apsw.Error, OSError) as error:
            self.close()
            raise SpoolError(f"{self.path}: {_said(error)}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None

    def write(self, rows: Rows, committed: dict[Lane, int], kept: dict[str, str]) -> None:
        """One durable transaction: new rows (encoded observations), what the hub has, small values. Raises SpoolError
        and changes nothing when the disk does not take it; UNREADABLE passes through."""
        before = {lane: LaneState(**_fields(state)) for lane, state in self.lanes.items()}
        reports_stored = self._reports_stored
        durable = bool(rows or kept)
        try:
            sql = self._sql
            sql.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")
            sql.execute("BEGIN IMMEDIATE")
            for lane, seq in committed.items():
                self._forget(lane, seq)
            for lane, bodies in rows.items():
                self._append(lane, bodies)
            self._evict()
            if fresh := self._reports.fresh():
                self._store_reports(fresh)
            sql.executemany(SQL["put_meta"], ((f"kept:{name}", value) for name, value in kept.items()))
            for lane, state in self.lanes.items():
                if state != before[lane]:
                    self._put_lane(lane, state)
            sql.execute("COMMIT")
            self._reports.settle()
        except (apsw.Error, OSError, SpoolError) as error:
            self._undo(before)
            self._reports_stored = reports_stored
            if isinstance(error, (*UNREADABLE, SpoolError)):
                raise
            raise SpoolError(_said(error)) from error

    def room_for(self, lane: Lane) -> bool:
        """Whether rows of this lane should be taken. True when that cannot be told: `write` will say what is wrong."""
        try:
            [[pages]] = self._sql.execute("PRAGMA page_count")
            [[free]] = self._sql.execute("PRAGMA freelist_count")
            disk = os.statvfs(self.path.parent)
        except (apsw.Error, OSError, SpoolError):
            return True
        if self._pages_max and self._pages_max - pages + free <= self._pages_max * FILE_LEFT_MIN[lane]:
            return False
        return bool(disk.f_bavail * disk.f_frsize + free * PAGE_BYTES >= DISK_LEFT_MIN[lane])

    def fetch(self, lane: Lane, after: int, rows_max: int, bytes_max: int) -> Fetched:
        """The oldest rows that end beyond `after`, at least one chunk. Raises SpoolError."""
        pieces: list[bytes] = []
        first = last = size = 0
        try:
            for chunk_first, chunk_last, body in self._sql.execute(SQL["next_chunks"], (lane, after)):
                gap = bool(pieces) and chunk_first != last + 1
                full = chunk_last - first + 1 > rows_max or size + len(body) > bytes_max
                if pieces and (gap or full):
                    break
                first = first or chunk_first
                last, size = chunk_last, size + len(body)
                pieces.append(body)
        except UNREADABLE:
            raise
        except apsw.Error as error:
            raise SpoolError(_said(error)) from error
        return Fetched(first, last, tuple(pieces), self.lanes[lane].dropped_through)

    def kept(self, name: str) -> str:
        """A small value stored by `write`, "" when there is none."""
        return self._meta(f"kept:{name}")

    @property
    def rows(self) -> int:
        return sum(state.rows for state in self.lanes.values())

    @property
    def _sql(self) -> apsw.Connection:
        if self._connection is None:
            raise SpoolError(f"{self.path}: not open")
        return self._connection

    def _open(self) -> None:
        sql = self._connection = apsw.Connection(str(self.path))
        sql.execute(f"PRAGMA page_size={PAGE_BYTES}")
        sql.execute("PRAGMA locking_mode=EXCLUSIVE")
        sql.execute("PRAGMA journal_mode=WAL")
        sql.execute("PRAGMA synchronous=FULL")
        sql.execute(f"PRAGMA cache_size=-{CACHE_KB}")
        sql.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES_MAX}")
        sql.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
        if self._pages_max:
            sql.execute(f"PRAGMA max_page_count={self._pages_max}")
        sql.execute("BEGIN IMMEDIATE")
        for name in ("create_meta", "create_lanes", "create_chunks", "create_reports"):
            sql.execute(SQL[name])
        self.epoch = self._meta("epoch")
        if not self.epoch:
            self.epoch = secrets.token_hex(8)
            sql.execute(SQL["put_meta"], ("epoch", self.epoch))
        for lane in LANES:
            self.lanes[lane] = self._get_lane(lane)
        self._reports_stored = 0
        for (stored,) in sql.execute(SQL["all_reports"]):
            self._reports.load(stored)
            self._reports_stored += self._reports.entries(stored)
        sql.execute("COMMIT")
        _sync_folder(self.path.parent)

    def _get_lane(self, lane: Lane) -> LaneState:
        [[rows]] = self._sql.execute(SQL["count_rows"], (lane, SEQ_MAX))
        for appended, committed, dropped_through, dropped in self._sql.execute(SQL["get_lane"], (lane,)):
            return LaneState(
                appended=appended, committed=committed, dropped_through=dropped_through, dropped=dropped, rows=rows
            )
        return LaneState()

    def _put_lane(self, lane: Lane, state: LaneState) -> None:
        values = (lane, state.appended, state.committed, state.dropped_through, state.dropped)
        self._sql.execute(SQL["put_lane"], values)

    def _meta(self, name: str) -> str:
        return next((value for (value,) in self._sql.execute(SQL["get_meta"], (name,))), "")

    def _append(self, lane: Lane, bodies: list[bytes]) -> None:
        state = self.lanes[lane]
        for piece in _pieces(bodies):
            first = state.appended + 1
            state.appended += len(piece)
            state.rows += len(piece)
            body = encode_rows(list(enumerate(piece, first)))
            self._sql.execute(SQL["add_chunk"], (lane, first, state.appended, body))

    def _forget(self, lane: Lane, seq: int) -> None:
        state = self.lanes[lane]
        state.committed = max(state.committed, min(seq, state.appended))
        [[rows]] = self._sql.execute(SQL["count_rows"], (lane, state.committed))
        self._sql.execute(SQL["forget_chunks"], (lane, state.committed))
        state.rows -= rows

    def _evict(self) -> None:
        """Drop whole chunks, oldest first, routine before urgent, until rows_max holds."""
        for lane in reversed(LANES):
            while self.rows > self._rows_max and self.lanes[lane].rows:
                self._evict_oldest(lane)

    def _evict_oldest(self, lane: Lane) -> None:
        state = self.lanes[lane]
        [[first, last]] = self._sql.execute(SQL["oldest_chunk"], (lane,))
        self._sql.execute(SQL["forget_chunks"], (lane, last))
        state.rows -= last - first + 1
        state.dropped += last - max(first - 1, state.committed)
        state.dropped_through = last

    def _store_reports(self, fresh: bytes) -> None:
        """Add what is new; when too much is stored, replace everything by what is still held."""
        if self._reports_stored > self._reports.stored_max:
            whole = self._reports.whole()
            self._sql.execute(SQL["clear_reports"])
            self._sql.execute(SQL["add_reports"], (whole,))
            self._reports_stored = self._reports.entries(whole)
        self._sql.execute(SQL["add_reports"], (fresh,))
        self._reports_stored += self._reports.entries(fresh)

    def _undo(self, before: dict[Lane, LaneState]) -> None:
        self._reports.undo()
        self.lanes.update(before)
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error:
                return  # the failure that brought us here is the one to tell


def _fields(state: LaneState) -> dict[str, int]:
    return {name: getattr(state, name) for name in state.__struct_fields__}


def _pieces(bodies: Sequence[bytes]) -> list[list[bytes]]:
    """Cut into chunks of at most CHUNK_ROWS_MAX rows and about CHUNK_BYTES_MAX bytes."""
    pieces: list[list[bytes]] = [[]]
    size = 0
    for body in bodies:
        if len(pieces[-1]) >= CHUNK_ROWS_MAX or (pieces[-1] and size + len(body) > CHUNK_BYTES_MAX):
            pieces.append([])
            size = 0
        pieces[-1].append(body)
        size += len(body)
    return [piece for piece in pieces if piece]


def _said(error: apsw.Error | OSError) -> str:
    if isinstance(error, apsw.BusyError):
        return "in use by another process"
    if isinstance(error, apsw.FullError):
        return "disk full"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
