"""Configuration of one hub: a TOML file parsed once, strictly, into frozen values that are passed by argument.

Rules
- An unknown key, a wrong type or a value out of range stops the start; each mistake is a line: file, key, what is
  wrong or allowed.
- Secrets stand in files of their own, named here by path. Relative paths are relative to the working directory.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from devices.envelope import NAME_PATTERN, NAME_WORDS
from devices.mistakes import mistakes

Port = Annotated[int, Meta(ge=1, le=65535)]
ListenPort = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free one (tests)
Days = Annotated[int, Meta(ge=1, le=36_500)]
Hours = Annotated[float, Meta(gt=0, le=24 * 31)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description=NAME_WORDS)]
NAME_CHARS_MAX = 64  # what a login takes
PASSWORD_CHARS_MIN = 10
PASSWORD_CHARS_MAX = 1_000
UserName = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
URL_CHARS_MAX = 2_000
Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^/]",
        max_length=URL_CHARS_MAX,
        description="an address that begins with http:// or https://",
    ),
]

_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0]")
Found = TypeVar("Found", bound=Struct)


class ConfigError(Exception):
    """A configuration that cannot be used; the text is what to show, a line for each mistake."""


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days that each time series is kept, counted from when the hub stored a row."""

    telemetry: Days = 90
    positions: Days = 90
    events: Days = 3650


class Database(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `dsn` and `dsn_file` (a file that holds only the dsn)."""

    dsn: str = ""
    dsn_file: str = ""
    retention_days: Retention = Retention()


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 1883
    username: str = ""
    password_file: str = ""
    tls: bool = False


class FirstUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: UserName
    password_file: str


class Notify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Url


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state_dir: str
    database: Database
    listen_host: str = "127.0.0.1"
    listen_port: ListenPort = 8460
    site_file: str = ""
    hub_id: Name = "hub-1"
    session_hours: Hours = 12
    broker: Broker = Broker()
    first_user: FirstUser | None = None
    notify: tuple[Notify, ...] = ()

    @property
    def state(self) -> Path:
        return Path(self.state_dir)


def load(path: Path) -> Config:
    """The configuration in `path`; raises ConfigError."""
    config = read_toml(path, Config)
    refuse(path, _cross_checks(config))
    return config


def refuse(path: Path, wrong: Iterable[str]) -> None:
    """Raises ConfigError when anything is wrong, with a line for each."""
    if lines := [f"{path}: {one}" for one in wrong]:
        raise ConfigError("\n".join(lines))


def _cross_checks(config: Config) -> Iterator[str]:
    """What the types cannot show."""
    if bool(config.database.dsn) == bool(config.database.dsn_file):
        yield "database: give either dsn or dsn_file"
    if nuls := list(_texts(msgspec.to_builtins(config))):
        yield from nuls
        return  # no file and no host can be asked for with them
    yield from _host("listen_host", config.listen_host)
    yield from _host("broker.host", config.broker.host)
    yield from _urls(config.notify)
    files = {
        "database.dsn_file": config.database.dsn_file,
        "broker.password_file": config.broker.password_file,
        "site_file": config.site_file,
        "first_user.password_file": config.first_user.password_file if config.first_user else "",
    }
    yield from (f"{key}: no file {file}" for key, file in files.items() if file and not Path(file).is_file())


def _texts(table: dict[str, Any], where: str = "") -> Iterator[str]:
    """No text that is used as a path, a name or an address has a NUL."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _texts(value, f"{where}{key}.")
        elif isinstance(value, str) and "\0" in value:
            yield f"{where}{key}: holds a NUL character"


def _host(key: str, host: str) -> Iterator[str]:
    """What Python cannot even ask for."""
    try:
        host.encode("idna")
    except UnicodeError as error:
        yield f"{key}: {host[:80]} is not a host name: {error.__cause__ or error}"


def _urls(notify: tuple[Notify, ...]) -> Iterator[str]:
    """An address travels beside each notice, in the transaction of its alarm. Shows no secret."""
    for number, one in enumerate(notify, 1):
        if found := _NOT_IN_URL.search(one.url):
            yield f"notify {number}: url: holds {found[0]!r}: write it as %{ord(found[0]):02X}"


def dsn(config: Config) -> str:
    """The database address, from its file when it has one; raises ConfigError."""
    return config.database.dsn or read_secret(Path(config.database.dsn_file))


def first_password(config: Config) -> str:
    """The first user's, empty without one; raises ConfigError."""
    if config.first_user is None:
        return ""
    path = Path(config.first_user.password_file)
    password = read_secret(path)
    if len(password) > PASSWORD_CHARS_MAX:
        raise ConfigError(f"{path}: has {len(password)} characters, a login takes at most {PASSWORD_CHARS_MAX}")
    if len(password) < PASSWORD_CHARS_MIN:
        raise ConfigError(f"{path}: has {len(password)} characters, at least {PASSWORD_CHARS_MIN} are asked for")
    return password


def read_secret(path: Path) -> str:
    """The text of a one-line secret file; raises ConfigError."""
    try:
        text = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text") from None  # its words would show the secret
    if "\0" in text:
        raise ConfigError(f"{path}: is not text")
    if not text:
        raise ConfigError(f"{path}: is empty")
    return text


def read_toml(path: Path, kind: type[Found]) -> Found:
    """`path` as a `kind`; raises ConfigError with file, key and what is allowed, for each mistake."""
    try:
        given = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not TOML: not UTF-8") from error
    refuse(path, mistakes(given, kind))
    return msgspec.convert(given, kind)
