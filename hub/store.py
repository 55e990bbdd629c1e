"""The database: a pool of PostgreSQL connections and the named queries of hub/queries*.sql. The only home of psycopg.

Rules
- Work happens inside `transaction()`: it commits when the block ends and rolls back when the block raises.
- What a transaction raises, by SQLSTATE: `DatabaseUnavailable` (it is gone) and `TryAgain` (it is there and cannot do
  it now: a deadlock, a full disk, a session that the server ended); nothing was stored that we know of. `RowBlamed`,
  and nothing else, says that the rows themselves are at fault: `ValueRefused` (class 22), `Conflict` (class 23).
  `StatementRefused` is the rest: a missing table or privilege, which is never the fault of a row.
- A connection that the network has swallowed ends by itself (KEEPALIVE); the server ends a transaction of a hub that
  was frozen in it (IDLE_IN_TRANSACTION_S_MAX), so that its locks hold up nobody for ever.
- Losing the database and having it back are logged once each, whoever notices first.
- Every session works in UTC.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import structlog
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from hub import queries
from hub.copy_rows import DoubleArray, RealArray, TextArray, TimeArray

POOL_CONNECTIONS_MAX = 16
CONNECT_S_MAX = 5
CHECKOUT_S_MAX = 5.0
IDLE_IN_TRANSACTION_S_MAX = 60
CLOSE_S_MAX = 1.0
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
RECONNECT_S_MAX = 5.0  # then the pool waits for the next one who asks, rather than ever longer

OPTIONS = f"-c timezone=UTC -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S_MAX}s"
TRY_AGAIN = frozenset({"25", "40", "53", "54", "55", "58", "XX"})  # classes of SQLSTATE
CANCELED = "57014"
CHECK_VIOLATION = "23514"

Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Row]

log = structlog.get_logger()


class StoreError(Exception):
    """Base of what the database may answer instead of doing it."""


class DatabaseUnavailable(StoreError):
    """The database cannot be reached, or broke off; the same work may be tried again."""


class TryAgain(DatabaseUnavailable):
    """The database is there; it could not do this now."""


class RowBlamed(StoreError):
    """What the statement was given is at fault."""


class ValueRefused(RowBlamed):
    """A value that its column cannot hold."""


class Conflict(RowBlamed):
    """A constraint of the schema refused the statement."""


class StatementRefused(StoreError):
    """The statement cannot succeed as it is, whatever it is given."""


class Transaction:
    """One open transaction; queries by name, parameters by keyword."""

    def __init__(self, connection: Connection, named: dict[str, str]) -> None:
        self._connection = connection
        self._named = named

    async def rows(self, name: str, /, **parameters: Any) -> list[Row]:
        cursor = await self._run(name, parameters)
        return await cursor.fetchall()

    async def row(self, name: str, /, **parameters: Any) -> Row | None:
        """The first row, if any."""
        cursor = await self._run(name, parameters)
        return await cursor.fetchone()

    async def one(self, name: str, /, **parameters: Any) -> Row:
        """The row of a statement that always has one."""
        row = await self.row(name, **parameters)
        if row is None:
            raise StatementRefused(f"{name} gave no row")
        return row

    async def execute(self, name: str, /, **parameters: Any) -> int:
        """How many rows it touched."""
        return (await self._run(name, parameters)).rowcount

    async def copy(self, name: str, /, *pieces: bytes) -> None:
        """Feed a `COPY … FROM STDIN` query with the pieces of one stream."""
        async with self._connection.cursor() as cursor, cursor.copy(self._text(name)) as copy:
            for piece in pieces:
                await copy.write(piece)

    async def script(self, text: str) -> None:
        """Run a file of statements: migrations only."""
        await self._connection.execute(text.encode())

    async def _run(self, name: str, parameters: dict[str, Any]) -> psycopg.AsyncCursor[Row]:
        return await self._connection.execute(self._text(name), parameters)

    def _text(self, name: str) -> bytes:
        return self._named[name].encode()


class Store:
    """`async with Store(dsn) as store:`, or open() and close()."""

    def __init__(self, dsn: str, *, connections_max: int = POOL_CONNECTIONS_MAX, beside: "Store | None" = None) -> None:
        """`beside`: another store of the same database; an outage of both is said once."""
        self._dsn = dsn
        self._connections_max = connections_max
        self._named: dict[str, str] = queries.load() if beside is None else beside._named
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._outage: _Outage = _Outage() if beside is None else beside._outage
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # we say it once, it says it each time

    @property
    def available(self) -> bool:
        """Whether the last that was asked of the database was answered."""
        return self._outage.since is None

    async def open(self) -> None:
        """Connect; raises DatabaseUnavailable with the one line to show."""
        with _translated():
            first = await psycopg.AsyncConnection.connect(self._dsn, connect_timeout=CONNECT_S_MAX)
            await first.close()
        self._pool = AsyncConnectionPool(
            self._dsn,
            connection_class=psycopg.AsyncConnection[Row],
            kwargs={"row_factory": dict_row, "options": OPTIONS, "connect_timeout": CONNECT_S_MAX, **KEEPALIVE},
            min_size=min(2, self._connections_max),
            max_size=self._connections_max,
            timeout=CHECKOUT_S_MAX,
            reconnect_timeout=RECONNECT_S_MAX,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        await self._pool.open()

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close(timeout=CLOSE_S_MAX)
            self._pool = None

    async def __aenter__(self) -> "Store":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Committed when the block ends, rolled back when it raises."""
        if self._pool is None:
            raise DatabaseUnavailable("the store is not open")
        try:
            with _translated():
                async with self._pool.connection() as connection:
                    yield Transaction(connection, self._named)
        except TryAgain:
            raise
        except DatabaseUnavailable as error:
            self._outage.lost(str(error))
            raise
        except StoreError:
            self._outage.recovered()  # it is there, it only said no
            raise
        self._outage.recovered()

    async def rows(self, name: str, /, **parameters: Any) -> list[Row]:
        """One query in a transaction of its own."""
        async with self.transaction() as tx:
            return await tx.rows(name, **parameters)

    async def execute(self, name: str, /, **parameters: Any) -> int:
        """One statement in a transaction of its own."""
        async with self.transaction() as tx:
            return await tx.execute(name, **parameters)


class _Packed(Dumper):
    """A parameter that is packed already goes out as it is."""

    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


class _TextArray(_Packed):
    oid = 1009


class _TimeArray(_Packed):
    oid = 1185


class _DoubleArray(_Packed):
    oid = 1022


class _RealArray(_Packed):
    oid = 1021


for _type, _dumper in (
    (TextArray, _TextArray),
    (TimeArray, _TimeArray),
    (DoubleArray, _DoubleArray),
    (RealArray, _RealArray),
):
    psycopg.adapters.register_dumper(_type, _dumper)


class _Outage:
    """Loss and recovery of one database, each said once by whoever notices first."""

    def __init__(self) -> None:
        self.since: str | None = None

    def lost(self, error: str) -> None:
        if self.since is None:
            self.since = error
            log.error("database_lost", error=error)

    def recovered(self) -> None:
        if self.since is not None:
            self.since = None
            log.info("database_recovered")


def jsonb(value: Any) -> Jsonb:
    """A parameter for a jsonb column."""
    return Jsonb(value)


class _translated:
    """psycopg's errors as ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, PoolTimeout | PoolClosed):
            raise DatabaseUnavailable("no connection to the database") from error
        if isinstance(error, psycopg.Error):
            raise _ours(error) from error


def _ours(error: psycopg.Error) -> StoreError:
    state, line = error.sqlstate or "", _line(error)
    if state == CHECK_VIOLATION and not error.diag.constraint_name:
        return TryAgain(line)  # no check of ours: the row met its partition while that was being made
    if state[:2] == "22" or (not state and isinstance(error, psycopg.DataError)):
        return ValueRefused(line)
    if state[:2] == "23":
        return Conflict(line)
    if state[:2] in TRY_AGAIN or state == CANCELED:
        return TryAgain(line)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnavailable(line)
    return StatementRefused(line)


def _line(error: Exception) -> str:
    """The first line of the database's own words."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
