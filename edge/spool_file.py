"""The spool's SQLite file: rows of two lanes that wait for the hub. Synchronous, used by one thread only.

Rules
- WAL with synchronous FULL: what `write` returned from is on the disk. Forgetting rows needs no sync of its own; a
  delete that is lost makes rows travel twice, and the hub skips what it has.
- Sequence numbers start at 1 for each lane and are never given out twice in one epoch; the epoch is made with the file.
- When more than `rows_max` rows wait, the oldest chunk of the routine lane goes; urgent rows only when no routine row
  is left. What was sent already goes last: the hub may have it. What went is counted, and `dropped_through` declares
  it to the hub.
- Before the disk is full, routine rows are refused, and enough is left to forget rows: a spool that had filled its disk
  to the last byte could not even do that. Urgent rows then take the place of routine ones; without any they are
  refused, too.
- A file that cannot be read, or has a chunk that is not what was written, is set aside. A new one takes its place with
  all that can still be read, urgent rows first. It goes on with the epoch and the numbers, so that the hub takes
  nothing twice, and what is missing is declared like rows that were dropped. Where these are not known any more a
  new epoch begins: rows that the hub had are stored twice then, and only the event tells of what is missing.
- A file that is older than what the hub has of it (a disk that lied about its last syncs, a copy put back) would give
  out numbers again that the hub skips. `begin_anew` makes a new epoch of what waits: rows may be stored twice then.
- Of the files set aside the newest SET_ASIDE_MAX are kept.
- Every failure of the disk is a SpoolError; the transaction is rolled back.

A chunk is one group commit's rows of one lane, encoded as they will travel: one insert, one read and one delete stand
for hundreds of rows.
"""

import os
import secrets
from contextlib import closing, suppress
from copy import copy
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from devices.envelope import LANES, Lane, encode
from devices.observation import DeviceId
from edge.health import event
from edge.reports import Reports
from edge.spool_remains import FILE_NAME, KEPT, Remains, keep_aside, ranges, rename
from edge.spool_sql import SQL, UNREADABLE, Connection, DamagedError, LaneState, SpoolError, SqlError, said
from edge.spool_tables import PAGE_BYTES, Fetched, Tables

__all__ = ("Rows", "SetAside", "SpoolError", "SpoolFile")

CACHE_KB = 1024
WAL_PAGES_MAX = 2_000
WAL_BYTES_KEPT = 16_000_000
SALVAGED_ROUTINE_BYTES_MAX = 200_000_000  # meanwhile nothing is accepted

Rows = dict[Lane, list[bytes]]


class SetAside(Struct, frozen=True):
    """A file that could not be read. `lost` and `kept` of its rows are for people; `removed` are older ones."""

    path: Path
    epoch: str
    kept: dict[Lane, int] = {}
    lost: dict[Lane, str] = {}
    removed: tuple[str, ...] = ()


class SpoolFile:
    """Open with `open`; `set_aside` names a file that could not be read, if there was one. `device`: the gateway's."""

    def __init__(self, folder: Path, rows_max: int, file_mb_max: int, reports: Reports, device: DeviceId) -> None:
        self.path = folder / FILE_NAME
        self._broken = folder / f"{FILE_NAME}.broken"  # while what it has is brought over
        self._device = device
        self._pages_max = file_mb_max * 1_000_000 // PAGE_BYTES
        self._tables = Tables(folder, rows_max, self._pages_max)
        self._reports = reports
        self._reports_stored = 0
        self._sure = False  # of epoch and lanes
        self.epoch = ""
        self.set_aside: SetAside | None = None

    def open(self, now: datetime) -> None:
        """Raises SpoolError when the file cannot be made, or another process has it."""
        try:
            self._open(now)
        except UNREADABLE:
            self.replace(now)
        except (SqlError, OSError) as error:
            self.close()
            raise SpoolError(f"{self.path}: {said(error)}") from error

    def reopen(self, now: datetime) -> None:
        """Try again what failed in `replace`; nothing when the file is open."""
        if self._tables.sql is None:
            self.open(now)

    def replace(self, now: datetime) -> None:
        """Set a file aside that cannot be read and begin a new one with what is left of it."""
        self.close()
        try:
            if self._broken.exists():  # nothing could be brought over from that one: no new file came about
                self._keep_aside(now, SetAside(self._broken, ""))
            rename(self.path, self._broken)
            self._open(now)
        except (SqlError, OSError, DamagedError) as error:
            self.close()
            raise SpoolError(f"{self.path}: {said(error)}") from error

    def close(self) -> None:
        if self._tables.sql is not None:
            self._tables.sql.close(True)
            self._tables.sql = None

    def write(self, rows: Rows, committed: dict[Lane, int], kept: dict[str, str]) -> None:
        """One durable transaction: new rows (encoded observations), what the hub has, small values. Raises SpoolError
        and changes nothing when the disk does not take it; UNREADABLE passes through."""
        before = {lane: copy(state) for lane, state in self.lanes.items()}
        reports_stored = self._reports_stored
        durable = bool(rows or kept)
        try:
            sql = self._sql
            sql.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")
            sql.execute("BEGIN IMMEDIATE")
            for lane, seq in committed.items():
                self._tables.forget(lane, seq)
            if urgent := rows.get("urgent"):
                self._tables.make_room(sum(map(len, urgent)))
            for lane, bodies in rows.items():
                self._tables.append(lane, bodies)
            self._tables.evict()
            if fresh := self._reports.fresh():
                self._store_reports(fresh)
            sql.executemany(SQL["put_meta"], ((KEPT + name, value) for name, value in kept.items() if value))
            sql.executemany(SQL["drop_meta"], ((KEPT + name,) for name, value in kept.items() if not value))
            for lane, state in self.lanes.items():
                if state != before[lane]:
                    self._tables.put_lane(lane, state)
            sql.execute("COMMIT")
            self._reports.settle()
        except (SqlError, OSError, SpoolError) as error:
            self._undo(before)
            self._reports_stored = reports_stored
            if isinstance(error, (*UNREADABLE, SpoolError)):
                raise
            raise SpoolError(said(error)) from error

    def begin_anew(self, now: datetime) -> None:
        """A new epoch, and numbers from 1 for all that waits. Raises SpoolError; UNREADABLE passes through."""
        before = {lane: copy(state) for lane, state in self.lanes.items()}
        fresh = {lane: LaneState(dropped=state.dropped) for lane, state in before.items()}
        notice = encode(
            event(self._device, now, "spool_set_aside", {"epoch": self.epoch, "reason": "older than the hub"})
        )
        epoch = secrets.token_hex(8)
        try:
            self._sql.execute("PRAGMA synchronous=FULL")
            self._sql.execute("BEGIN IMMEDIATE")
            for lane, state in fresh.items():
                self._tables.renumber(lane, state)
            self._tables.append("urgent", [notice], fresh["urgent"])
            self._name(epoch, fresh)
            self._sql.execute("COMMIT")
        except (SqlError, OSError, SpoolError, DamagedError) as error:
            self._undo(before)
            if isinstance(error, (*UNREADABLE, SpoolError)):
                raise
            raise SpoolError(said(error)) from error
        self.epoch = epoch
        self.lanes.update(fresh)

    def takes(self, lane: Lane) -> bool:
        """Whether rows of this lane should be given to `write`."""
        return self._tables.has_room(lane) or (lane == "urgent" and self.lanes["routine"].rows > 0)

    def fetch(self, lane: Lane, after: int, rows_max: int, bytes_max: int) -> Fetched:
        """The oldest rows that end beyond `after`, at least one chunk. Raises SpoolError; UNREADABLE passes through."""
        before = copy(self.lanes[lane])
        found = self._tables.fetch(lane, after, rows_max, bytes_max)
        if self.lanes[lane] != before:
            self._note_sent(lane)
        return found

    def _note_sent(self, lane: Lane) -> None:
        """Not synced; without it only the count of what was dropped could be wrong."""
        with suppress(SqlError):
            self._sql.execute("PRAGMA synchronous=NORMAL")
            self._tables.put_lane(lane, self.lanes[lane])

    def kept(self, name: str) -> str:
        """A small value stored by `write`, "" when there is none."""
        return self._meta(KEPT + name)

    def all_kept(self, prefix: str) -> dict[str, str]:
        """Those whose name begins so."""
        start = KEPT + prefix
        found = ((str(name), str(value)) for name, value in self._sql.execute(SQL["all_meta"]))
        return {name.removeprefix(KEPT): value for name, value in found if name.startswith(start)}

    @property
    def rows(self) -> int:
        return sum(state.rows for state in self.lanes.values())

    @property
    def lanes(self) -> dict[Lane, LaneState]:
        return self._tables.lanes

    @property
    def _sql(self) -> Connection:
        if self._tables.sql is None:
            raise SpoolError(f"{self.path}: not open")
        return self._tables.sql

    def _open(self, now: datetime) -> None:
        if self._broken.exists() and not self.path.exists():
            rename(self.path, self._broken)  # the end of the last time was not seen
        sql = self._tables.sql = Connection(str(self.path))
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
        brought = None if self._meta("epoch") else self._begin(now)
        self.epoch = self._meta("epoch")
        for lane in LANES:
            self.lanes[lane] = self._tables.get_lane(lane)
        self._reports_stored = 0
        for (stored,) in sql.execute(SQL["all_reports"]):
            self._reports.load(stored)
            self._reports_stored += self._reports.entries(stored)
        sql.execute("COMMIT")
        self._sure = True
        if self._broken.exists():  # it was brought over in the transaction that named the epoch
            self._keep_aside(now, brought or SetAside(self._broken, self.epoch))
        _sync_folder(self.path.parent)

    def _meta(self, name: str) -> str:
        return next((value for (value,) in self._sql.execute(SQL["get_meta"], (name,))), "")

    def _store_reports(self, fresh: bytes) -> None:
        """Add what is new; when too much is stored, replace everything by what is still held."""
        if self._reports_stored > self._reports.stored_max:
            whole = self._reports.whole()
            self._sql.execute(SQL["clear_reports"])
            self._sql.execute(SQL["add_reports"], (whole,))
            self._reports_stored = self._reports.entries(whole)
        self._sql.execute(SQL["add_reports"], (fresh,))
        self._reports_stored += self._reports.entries(fresh)

    # --- a new file, and what is left of the one before ---

    def _begin(self, now: datetime) -> SetAside | None:
        """Fill an empty file, in the transaction that makes it."""
        fresh = {lane: LaneState() for lane in LANES}
        if not self._broken.exists():
            self._name(secrets.token_hex(8), fresh)
            return None
        with closing(Remains(self._broken)) as remains:
            old = self.epoch if self._sure else remains.epoch()
            lanes = {lane: copy(state) for lane, state in (self.lanes if self._sure else remains.lanes()).items()}
            numbered = bool(old and lanes)
            lanes = lanes if numbered else fresh
            lost = {lane: ranges(self._bring_over(remains, lane, lanes[lane], numbered)) for lane in LANES}
            kept = {lane: state.rows for lane, state in lanes.items()}
            self._sql.executemany(SQL["put_meta"], remains.kept())
            for stored in () if self._sure else remains.reports():
                self._reports.load(stored)
        self._sql.execute(SQL["add_reports"], (self._reports.whole(),))
        attributes = {"epoch": old, **{f"{lane}_lost": lost[lane] for lane in LANES if lost[lane]}}
        notice = encode(event(self._device, now, "spool_set_aside", attributes))
        self._tables.append("urgent", [notice], lanes["urgent"])
        self._name(old if numbered else secrets.token_hex(8), lanes)
        return SetAside(self._broken, old, kept, lost)

    def _name(self, epoch: str, lanes: dict[Lane, LaneState]) -> None:
        self._sql.execute(SQL["put_meta"], ("epoch", epoch))
        for lane, state in lanes.items():
            self._tables.put_lane(lane, state)

    def _bring_over(self, remains: Remains, lane: Lane, state: LaneState, numbered: bool) -> list[tuple[int, int]]:
        """Rows of one lane into this file; which are lost. `numbered`: under the numbers that they had."""
        size, seen = 0, max(state.committed, state.dropped_through)
        state.rows = 0
        lost: list[tuple[int, int]] = []
        for chunk in remains.chunks(lane):
            room = self._tables.has_room(lane, len(chunk.body), again=size)
            size += len(chunk.body)
            if not room or (lane == "routine" and size > SALVAGED_ROUTINE_BYTES_MAX):
                break
            if chunk.first > seen + 1 and (numbered or seen):
                lost.append((seen + 1, chunk.first - 1))
            seen = max(seen, chunk.last)
            if numbered:
                self._tables.add_chunk(lane, chunk.first, chunk.last, chunk.body)
                state.rows += chunk.last - chunk.first + 1
            else:
                self._tables.append(lane, chunk.rows(), state)
        if numbered:
            state.appended = max(state.appended, seen)
            if seen < state.appended:
                lost.append((seen + 1, state.appended))
            state.dropped += sum(last - first + 1 for first, last in lost)
            state.dropped_through = max([state.dropped_through, *(last for _, last in lost)])
        return lost

    def _keep_aside(self, now: datetime, aside: SetAside) -> None:
        path, removed = keep_aside(self._broken, aside.epoch, now)
        self.set_aside = msgspec.structs.replace(aside, path=path, removed=removed)

    def _undo(self, before: dict[Lane, LaneState]) -> None:
        self._reports.undo()
        self.lanes.update(before)
        if self._tables.sql is not None and self._tables.sql.in_transaction:
            try:
                self._tables.sql.execute("ROLLBACK")
            except SqlError:
                return  # the failure that brought us here is the one to tell


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
