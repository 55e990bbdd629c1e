"""The tables of the spool's file, inside a transaction that the caller begins and ends: lanes and their chunks."""

import os
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from msgspec import Struct

from devices.envelope import LANES, Lane, decode_rows, encode_rows
from edge.spool_sql import SQL, UNREADABLE, Connection, DamagedError, LaneState, SpoolError, SqlError, lane_state, said

PAGE_BYTES = 4096
SEQ_MAX = 2**62
CHUNK_ROWS_MAX = 500
CHUNK_BYTES_MAX = 200_000
# What must be left, of the disk in bytes and of the file in shares, for a lane to be taken. Forgetting needs some, too.
DISK_LEFT_MIN: dict[Lane, int] = {"urgent": 12_000_000, "routine": 24_000_000}
FILE_LEFT_MIN: dict[Lane, float] = {"urgent": 0.0, "routine": 0.1}
INDEX_BYTES = 40_000  # of a transaction, beside its rows


class Fetched(Struct, frozen=True):
    """Rows first..last of a lane, as pieces of a Batch; no pieces when nothing waits. `dropped_through` as in Batch."""

    first: int
    last: int
    pieces: tuple[bytes, ...]
    dropped_through: int


class Tables:
    """`sql`: the open file, None while there is none. `lanes`: what the file says of them, or is about to."""

    def __init__(self, folder: Path, rows_max: int, pages_max: int) -> None:
        self._folder = folder
        self._rows_max = rows_max
        self._pages_max = pages_max  # 0: as many as the disk holds
        self.sql: Connection | None = None
        self.lanes: dict[Lane, LaneState] = {lane: LaneState() for lane in LANES}

    @property
    def rows(self) -> int:
        return sum(state.rows for state in self.lanes.values())

    @property
    def _sql(self) -> Connection:
        if self.sql is None:
            raise SpoolError("not open")
        return self.sql

    def get_lane(self, lane: Lane) -> LaneState:
        [[rows]] = self._sql.execute(SQL["count_rows"], (lane, SEQ_MAX))
        [numbers] = self._sql.execute(SQL["get_lane"], (lane,))
        return lane_state(numbers, rows)

    def put_lane(self, lane: Lane, state: LaneState) -> None:
        going = (state.dropped_through, state.dropped, state.sent, state.declared)
        self._sql.execute(SQL["put_lane"], (lane, state.appended, state.committed, *going))

    def append(self, lane: Lane, bodies: Sequence[bytes], state: LaneState | None = None) -> None:
        """`state`: when it is not yet the one of `lanes`."""
        state = state or self.lanes[lane]
        for piece in _pieces(bodies):
            first = state.appended + 1
            state.appended += len(piece)
            state.rows += len(piece)
            self.add_chunk(lane, first, state.appended, encode_rows(list(enumerate(piece, first))))

    def renumber(self, lane: Lane, state: LaneState) -> None:
        """All that waits, from 1 on, into `state`. A chunk's new numbers are never above its old ones."""
        at = self.lanes[lane].committed
        self._sql.execute(SQL["forget_chunks"], (lane, at))
        while found := list(self._sql.execute(SQL["oldest_chunk"], (lane, at))):
            [(_, at)] = found
            first, last, crc, body = next(iter(self._sql.execute(SQL["next_chunks"], (lane, at - 1))))
            if crc32(body) != crc:
                raise DamagedError(f"{lane} rows {first} to {last}")
            self._sql.execute(SQL["drop_chunk"], (lane, at))
            self.append(lane, decode_rows(body), state)

    def add_chunk(self, lane: Lane, first: int, last: int, body: bytes) -> None:
        self._sql.execute(SQL["add_chunk"], (lane, first, last, crc32(body), body))

    def fetch(self, lane: Lane, after: int, rows_max: int, bytes_max: int) -> Fetched:
        """The oldest rows that end beyond `after`, at least one chunk. Raises SpoolError; UNREADABLE passes through."""
        state = self.lanes[lane]
        pieces: list[bytes] = []
        first = last = size = 0
        try:
            for chunk_first, chunk_last, crc, body in self._sql.execute(SQL["next_chunks"], (lane, after)):
                gap = bool(pieces) and chunk_first != last + 1
                full = chunk_last - first + 1 > rows_max or size + len(body) > bytes_max
                if pieces and (gap or full):
                    break
                if crc32(body) != crc:
                    raise DamagedError(f"{lane} rows {chunk_first} to {chunk_last}")
                first = first or chunk_first
                last, size = chunk_last, size + len(body)
                pieces.append(body)
        except UNREADABLE:
            raise
        except SqlError as error:
            raise SpoolError(said(error)) from error
        state.sent = max(state.sent, last)
        through = min(state.dropped_through, first - 1) if pieces else state.dropped_through
        if through > after:
            state.declared = max(state.declared, through)
        return Fetched(first, last, tuple(pieces), state.dropped_through)

    def forget(self, lane: Lane, seq: int) -> None:
        state = self.lanes[lane]
        seq = min(seq, state.appended)
        known = max(state.committed, state.declared)
        if seq > known and state.dropped_through > known:  # the hub has rows that were dropped behind their batch
            [[here]] = self._sql.execute(SQL["count_rows_between"], (lane, known, seq))
            state.dropped -= seq - known - here
        state.committed = max(state.committed, seq)
        [[rows]] = self._sql.execute(SQL["count_rows"], (lane, state.committed))
        self._sql.execute(SQL["forget_chunks"], (lane, state.committed))
        state.rows -= rows

    def evict(self) -> None:
        """Drop whole chunks, oldest first, routine before urgent, until rows_max holds."""
        for lane in reversed(LANES):
            while self.rows > self._rows_max and self.lanes[lane].rows:
                self.evict_oldest(lane)

    def make_room(self, size: int) -> None:
        """For urgent rows, at the cost of routine ones. Raises SpoolError when these do not help."""
        routine = self.lanes["routine"]
        while routine.rows and not self.has_room("urgent", size):
            self.evict_oldest("routine")
        if not self.has_room("urgent"):
            raise SpoolError("disk full")

    def has_room(self, lane: Lane, size: int = 0, again: int = 0) -> bool:
        """Beside what is left to others, in bytes; `again`: what is in the log and will be in the file, too. True when
        that cannot be told: `write` will say what is wrong."""
        size += INDEX_BYTES if size else 0
        try:
            [[pages]] = self._sql.execute("PRAGMA page_count")
            [[free]] = self._sql.execute("PRAGMA freelist_count")
            disk = os.statvfs(self._folder)
        except (SqlError, OSError, SpoolError):
            return True
        left = self._pages_max * (1 - FILE_LEFT_MIN[lane]) - pages + free
        if self._pages_max and left * PAGE_BYTES <= size:
            return False
        return bool(disk.f_bavail * disk.f_frsize + free * PAGE_BYTES >= DISK_LEFT_MIN[lane] + size + again)

    def evict_oldest(self, lane: Lane) -> None:
        state = self.lanes[lane]
        oldest = list(self._sql.execute(SQL["oldest_chunk"], (lane, state.sent)))
        [[first, last]] = oldest or self._sql.execute(SQL["oldest_chunk"], (lane, 0))
        self._sql.execute(SQL["drop_chunk"], (lane, last))
        state.rows -= last - first + 1
        state.dropped += last - max(first - 1, state.committed)
        state.dropped_through = max(state.dropped_through, last)


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
