"""`gridward doctor`: what is wrong on this machine, and what to do about it.

Each check is a function that returns Findings and changes nothing. The broker's are in broker_check.py.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata, util
from pathlib import Path
from typing import LiteralString

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gridward import clock
from gridward.broker import HOST, listens, mosquitto
from gridward.broker_check import BrokerConfig, examine_broker
from gridward.finding import Finding
from gridward.postgres import Postgres, rows
from gridward.processes import ProcessError

PYTHON_MIN = (3, 11)
DISK_FREE_MB_MIN = 1_000
DISK_FREE_MB_WARN = 5_000
PORTS = {  # what the demo takes when they are free
    8460: "console and API",
    18830: "demo broker",
    26875: "fire panels",
    26900: "bands",
    26808: "vehicle terminals",
}
CHECK_S_MAX = 30
SET_ASIDE: LiteralString = (
    "SELECT count(*) AS number, count(*) FILTER (WHERE lane = 'urgent') AS urgent, max(received_at) AS newest"
    " FROM refused_rows"
)
TIME_ERROR = 5  # adjtimex: the kernel clock is not kept by a time source


def examine(edge: Path | None, hub: Path | None) -> Iterator[Finding]:
    """Everything, in the order in which a person should mend it."""
    yield python()
    yield from packages()
    yield disk(Path.cwd())
    yield clock_sane()
    if hub is None and edge is None:
        yield from ports()
        yield broker_program()
        yield database_program()
    for program, config in (("edge", edge), ("hub", hub)):
        if config is not None:
            yield config_file(program, config)
            yield from configured(program, config)
    if edge is not None and hub is not None:
        yield from same_keys(edge, hub)


def python() -> Finding:
    found = sys.version.split()[0]
    if sys.version_info >= PYTHON_MIN:
        return Finding("Python", "ok", found)
    return Finding("Python", "failure", found, "install Python 3.11 or newer, then: make clean setup PYTHON=python3.11")


def packages() -> Iterator[Finding]:
    """What pyproject asks for is installed; versions of the ones that matter most."""
    missing = []
    for requirement in metadata.requires("gridward") or ():
        name = requirement.split(";")[0].split("[")[0].strip().rstrip("<>=~!,.0123456789 ")
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "failure", f"missing: {', '.join(sorted(set(missing)))}", "run: make setup")
    else:
        shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("gridward", "aiomqtt", "apsw", "psycopg"))
        yield Finding("packages", "ok", shown)


def disk(folder: Path, name: str = "disk") -> Finding:
    """Of the nearest folder that exists already."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    if not os.access(there, os.W_OK):
        return Finding(name, "failure", f"{there} cannot be written", "run as its owner, or change its owner")
    free_mb = shutil.disk_usage(there).free // 1_000_000
    found = f"{free_mb:,} MB free at {there}"
    if free_mb < DISK_FREE_MB_MIN:
        return Finding(name, "failure", found, f"free at least {DISK_FREE_MB_MIN:,} MB")
    if free_mb < DISK_FREE_MB_WARN:
        return Finding(name, "warning", found, "enough for a demo, little for a site")
    return Finding(name, "ok", found)


def clock_sane() -> Finding:
    """A clock behind its own software is wrong; one without a time source may drift."""
    now = clock.now()
    newest = datetime.fromtimestamp(max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py")), UTC)
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now < newest:
        return Finding("clock", "failure", f"{found}, earlier than this software", "set the clock, then turn on NTP")
    if _unsynchronised():
        return Finding("clock", "warning", f"{found}, no time source", "turn on NTP: timedatectl set-ntp true")
    return Finding("clock", "ok", f"{found}, kept by a time source")


def _unsynchronised() -> bool:
    class Timex(ctypes.Structure):
        _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 512))

    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.byref(Timex()))
    except AttributeError:  # not Linux
        return False
    return state in (TIME_ERROR, -1)


def ports() -> Iterator[Finding]:
    for port, purpose in PORTS.items():
        if listens(HOST, port):
            advice = "a running Gridward, or another program: the demo will take a free port instead"
            yield Finding(f"port {port}", "warning", f"in use ({purpose})", advice)
        else:
            yield Finding(f"port {port}", "ok", f"free ({purpose})")


def broker_program() -> Finding:
    program = mosquitto()
    if program:
        return Finding("broker", "ok", program)
    if util.find_spec("iotcore"):
        return Finding("broker", "ok", "rumqttd (package iotcore); mosquitto would be used when installed")
    return Finding("broker", "failure", "none", "apt-get install mosquitto, or: make setup")


def database_program() -> Finding:
    """The embedded PostgreSQL can be run by this user."""
    try:
        server = Postgres(Path("var/doctor"))
    except (ProcessError, KeyError) as error:
        return Finding("PostgreSQL", "failure", str(error), "run: make setup")
    said = _said([str(server.psql.with_name("postgres")), "--version"])
    if said.returncode:
        return Finding("PostgreSQL", "failure", said.stderr.strip(), "run: make clean setup")
    return Finding("PostgreSQL", "ok", f"embedded {said.stdout.split()[-1]}")


def config_file(program: str, config: Path) -> Finding:
    """What the program itself says about its file."""
    if not config.exists():
        return Finding(f"{program} config", "failure", f"{config}: no such file", "give the path of its TOML file")
    said = _said([sys.executable, "-m", program, "--config", str(config), "--check"])
    if said.returncode == 0:
        return Finding(f"{program} config", "ok", str(config))
    lines = (said.stderr or said.stdout).strip().splitlines() or ["refused"]
    return Finding(f"{program} config", "failure", "\n".join(lines), "mend what is named")


class _Database(msgspec.Struct):
    dsn: str = ""
    dsn_file: str = ""


class _Link(msgspec.Struct):
    name: str = ""
    host: str = HOST
    port: int = 0


class _Configured(msgspec.Struct):
    """The few keys of an edge or hub file that doctor tries out; the rest is the program's own business."""

    state_dir: str = ""
    hub_public_key_file: str = ""
    listen_host: str = HOST
    listen_port: int = 8460
    database: _Database | None = None
    broker: BrokerConfig = BrokerConfig()
    links: tuple[_Link, ...] = ()


def configured(program: str, config: Path) -> Iterator[Finding]:
    """The things that a config file points at: disk, ports, broker, database, keys."""
    read = _decoded(config)
    if not read.state_dir or "\0" in read.state_dir:
        return  # config_file has said what is wrong
    yield disk(Path(read.state_dir), f"{program} disk")
    listening = [(link.name, link.host, link.port) for link in read.links]
    if program == "hub":
        listening.append(("console and API", read.listen_host, read.listen_port))
    for purpose, host, port in listening:
        if port:
            yield configured_port(program, purpose, host, port)
    yield from examine_broker(read.broker)
    if read.database is not None:
        reached = database(read.database)
        yield reached
        if reached.verdict == "ok":
            yield from set_aside(read.database)
        yield private_key(Path(read.state_dir) / "hub.key")
    if read.hub_public_key_file:
        yield public_key(Path(read.hub_public_key_file))


def configured_port(program: str, purpose: str, host: str, port: int) -> Finding:
    reached = HOST if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound
    if listens(reached, port):
        advice = f"right when this {program} runs; else find who has it: ss -ltnp | grep :{port}"
        return Finding(f"port {port}", "warning", f"in use ({purpose})", advice)
    return Finding(f"port {port}", "ok", f"free ({purpose})")


def database(named: _Database) -> Finding:
    try:
        dsn = _dsn(named)
        version = rows(dsn, "SELECT split_part(version(), ' on ', 1) AS version")[0]["version"]
        hypertables = rows(dsn, "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")
        [fits] = rows(dsn, "SELECT current_setting('server_encoding') = 'UTF8' AS utf8")
    except (OSError, ProcessError) as error:
        advice = "start PostgreSQL, check [database] dsn"
        return Finding("database connection", "failure", str(error).removeprefix("database: ").splitlines()[0], advice)
    except ValueError:
        found = f"{named.dsn_file or 'dsn'}: is not text"
        return Finding("database connection", "failure", found, "check [database] dsn, dsn_file")
    if not fits["utf8"]:
        advice = "make another: createdb -E UTF8 -T template0 NAME"
        return Finding("database connection", "failure", "its encoding is not UTF8", advice)
    extension = "with TimescaleDB" if hypertables else "native partitions (no TimescaleDB)"
    return Finding("database connection", "ok", f"{version}, {extension}")


def set_aside(named: _Database) -> Iterator[Finding]:
    """Rows that the hub could neither read nor store."""
    name = "rows set aside"
    try:
        if not rows(_dsn(named), "SELECT 1 WHERE to_regclass('refused_rows') IS NOT NULL"):
            return  # the hub makes its tables at its first start
        [held] = rows(_dsn(named), SET_ASIDE)
    except (OSError, ProcessError) as error:
        yield Finding(name, "failure", str(error).removeprefix("database: ").splitlines()[0], "grant SELECT on it")
        return
    if not held["number"]:
        yield Finding(name, "ok", "none")
        return
    found = f"{held['number']:,} rows in refused_rows, {held['urgent']:,} of them of the urgent lane"
    found += f", the newest of {held['newest'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    advice = "an alarm among them made no incident: read them now, as docs/operate.md says, then delete them"
    yield Finding(name, "warning", found, advice)


def _dsn(named: _Database) -> str:
    """Raises OSError, and ValueError for a file that is not text."""
    return Path(named.dsn_file).read_text().strip() if named.dsn_file else named.dsn


def private_key(path: Path) -> Finding:
    if not path.exists():
        return Finding("hub key", "ok", f"{path} is made at the hub's first start")
    if path.stat().st_mode & 0o077:
        return Finding("hub key", "failure", f"{path} can be read by others", f"chmod 600 {path}")
    beside = path.with_suffix(".pub")
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), None)
        public = serialization.load_pem_public_key(beside.read_bytes()) if beside.exists() else None
    except (OSError, ValueError, TypeError) as error:
        return Finding("hub key", "failure", f"{path}: {error}", "put the key back from its backup")
    if not isinstance(private, Ed25519PrivateKey):
        return Finding("hub key", "failure", f"{path} is no Ed25519 key", "put the key back from its backup")
    if public is not None and public != private.public_key():
        return Finding(
            "hub key", "warning", f"{beside} does not belong to {path}", "the hub writes it anew when it starts"
        )
    return Finding("hub key", "ok", str(path))


def public_key(path: Path) -> Finding:
    """Of the hub, as an edge holds it."""
    advice = "copy hub.pub from the hub's state_dir; without it no documents and commands are taken"
    try:
        held = serialization.load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        return Finding("hub public key", "failure", f"{path} is not there", advice)
    except (OSError, ValueError) as error:
        return Finding("hub public key", "failure", f"{path}: {str(error).splitlines()[0]}", advice)
    if not isinstance(held, Ed25519PublicKey):
        return Finding("hub public key", "failure", f"{path} is no Ed25519 key", advice)
    return Finding("hub public key", "ok", str(path))


def same_keys(edge: Path, hub: Path) -> Iterator[Finding]:
    """Whether the edge takes what this hub signs, when both are looked at on one machine."""
    held = _decoded(edge).hub_public_key_file
    pair = Path(_decoded(hub).state_dir) / "hub.pub"
    if held and Path(held).exists() and pair.exists() and _key(Path(held)) != _key(pair):
        yield Finding("keys", "failure", f"{held} is not the key of this hub", f"copy {pair} to {held}")


def _key(path: Path) -> object:
    try:
        return serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        return None  # public_key has said so


def _decoded(config: Path) -> _Configured:
    try:
        return msgspec.toml.decode(config.read_bytes(), type=_Configured)
    except (OSError, ValueError, msgspec.DecodeError):
        return _Configured()  # config_file has said so


def _said(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=CHECK_S_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))
