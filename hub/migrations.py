"""The schema: numbered files hub/schema/NNNN_name.sql, each applied once, in order, under an advisory lock.

Rules
- A file that was applied must stay as it was: its sha256 is kept and compared at every start.
- All files that are missing are applied in one transaction: a failure leaves the schema as it was.
- The extension TimescaleDB is created first when the server has loaded it; 0001 decides by its presence.
- A database that is newer than this program is refused, and one whose encoding cannot hold every alphabet.
"""

import re
from hashlib import sha256
from pathlib import Path

import structlog
from msgspec import Struct

from hub.store import Store, Transaction

FOLDER = Path(__file__).parent / "schema"
CREATE = "createdb -E UTF8 -T template0"
_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")

log = structlog.get_logger()


class MigrationError(Exception):
    """The schema cannot be brought to this program's version; the text is the one line to show."""


class Migration(Struct, frozen=True):
    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()


def load() -> list[Migration]:
    """All migrations of this program in order; numbers run from 1 without a hole."""
    files = [(_FILE.match(file.name), file) for file in FOLDER.iterdir()]
    found = [Migration(int(match[1]), match[2], file.read_text()) for match, file in files if match]
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"hub/schema: numbers {[migration.number for migration in found]} are not 1, 2, 3 …")
    return found


async def migrate(store: Store, migrations: list[Migration] | None = None) -> list[int]:
    """Apply what is missing; the numbers applied now. Raises MigrationError."""
    wanted = load() if migrations is None else migrations
    async with store.transaction() as tx:
        if not (await tx.one("database_fits"))["utf8"]:
            raise MigrationError(f"its encoding is not UTF8: make another with {CREATE}")
        await tx.execute("migration_lock")
        await tx.execute("migration_table")
        held = await tx.rows("migrations_applied")
        missing = check(wanted, [(row["number"], row["sha256"]) for row in held])
        if not held and await tx.row("timescaledb_available"):
            await tx.execute("timescaledb_create")
        for migration in missing:
            await _apply(tx, migration)
    if missing:
        log.info("schema_migrated", applied=[migration.number for migration in missing])
    return [migration.number for migration in missing]


def check(wanted: list[Migration], held: list[tuple[int, str]]) -> list[Migration]:
    """What is missing; raises MigrationError when `held` (number, sha256) is not the beginning of `wanted`."""
    if len(held) > len(wanted):
        raise MigrationError(f"the database has schema {held[-1][0]}, this program knows {len(wanted)}: upgrade it")
    for migration, (number, digest) in zip(wanted, held, strict=False):
        if (migration.number, migration.sha256) != (number, digest):
            raise MigrationError(f"schema {number:04d} was changed after it was applied to this database")
    return wanted[len(held) :]


async def _apply(tx: Transaction, migration: Migration) -> None:
    await tx.script(migration.text)
    await tx.execute("migration_record", number=migration.number, name=migration.name, sha256=migration.sha256)
