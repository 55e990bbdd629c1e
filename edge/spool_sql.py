"""What the spool's file is made of: SQLite, its statements, the state of a lane, the names of its trouble.

The only home of apsw in the edge.
"""

import re
from importlib import resources

import apsw
from msgspec import Struct

Connection = apsw.Connection
SqlError = apsw.Error
NO_CHECKPOINT_ON_CLOSE = apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE

_TEXT = (resources.files("edge") / "spool.sql").read_text()
SQL = dict(re.findall(r"-- (\w+) --\n(.*?)(?=\n-- \w+ --|\Z)", _TEXT, re.S))


class SpoolError(Exception):
    """The disk did not take it; nothing of the transaction was stored."""


class DamagedError(Exception):
    """A chunk is not what was written. SQLite does not see that: it keeps no checksums of rows."""


UNREADABLE = (apsw.CorruptError, apsw.NotADBError, DamagedError)  # what `SpoolFile.replace` is the answer to


class LaneState(Struct, kw_only=True):
    """A row of `lanes`, in its order, and `rows`: how many wait in the file.

    `sent`: the last seq that was read to be sent. `dropped`: rows that went without having been with the hub; of those
    up to `declared` it was told.
    """

    appended: int = 0
    committed: int = 0
    dropped_through: int = 0
    dropped: int = 0
    sent: int = 0
    declared: int = 0
    rows: int = 0


def lane_state(numbers: tuple[int, ...], rows: int = 0) -> LaneState:
    """Of what `get_lane` gives."""
    appended, committed, dropped_through, dropped, sent, declared = numbers
    return LaneState(
        appended=appended,
        committed=committed,
        dropped_through=dropped_through,
        dropped=dropped,
        sent=sent,
        declared=declared,
        rows=rows,
    )


def said(error: Exception) -> str:
    if isinstance(error, apsw.BusyError):
        return "in use by another process"
    if isinstance(error, apsw.FullError):
        return "disk full"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
