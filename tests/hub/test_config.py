"""What is wrong with a hub's files is one line: which file, which key, why. (As a process: test_process.py.)"""

from pathlib import Path
from typing import Any

import pytest

from gridward.toml_text import toml_text
from hub import server, site
from hub.config import (
    NAME_CHARS_MAX,
    PASSWORD_CHARS_MAX,
    URL_CHARS_MAX,
    ConfigError,
    dsn,
    first_password,
    load,
    read_secret,
)

NOT_TEXT = b"secret-\xff\xfe"


def write(home: Path, **changes: Any) -> Path:
    path = home / "hub.toml"
    path.write_text(toml_text({"state_dir": str(home), "database": {"dsn": "postgresql:///x"}, **changes}, "test"))
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line.removeprefix(f"{path}: ")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes() + b'hub_id = "\xff"\n')
    assert refused(path) == "not TOML: not UTF-8"
    with pytest.raises(ConfigError, match="not UTF-8"):
        site.read(path)


def test_a_secret_that_is_not_text_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content in (NOT_TEXT, b"a\0b"):
        file.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            read_secret(file)
        assert str(caught.value) == f"{file}: is not text"


def test_a_dsn_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_bytes(NOT_TEXT)
    config = load(write(tmp_path, database={"dsn_file": str(file)}))
    with pytest.raises(ConfigError, match=f"{file}: is not text"):
        dsn(config)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, ".", "a\0b", "ä" * 64])
def test_a_host_name_that_cannot_be_one(tmp_path: Path, host: str) -> None:
    assert refused(write(tmp_path, listen_host=host)).startswith("listen_host: ")
    assert refused(write(tmp_path, broker={"host": host})).startswith("broker.host: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "", "localhost", "mqtt.example.", "a" * 63, "乌镇.example"])
def test_a_host_name_that_can_be_one(tmp_path: Path, host: str) -> None:
    assert load(write(tmp_path, listen_host=host)).listen_host == host


@pytest.mark.parametrize("key", ["state_dir", "site_file"])
def test_a_path_with_a_nul(tmp_path: Path, key: str) -> None:
    assert refused(write(tmp_path, **{key: "/a\0b"})) == f"{key}: holds a NUL character"


def test_a_nul_anywhere_else(tmp_path: Path) -> None:
    for table, key in (
        ("database", "dsn"),
        ("database", "dsn_file"),
        ("broker", "username"),
        ("broker", "password_file"),
    ):
        changes = {"database": {"dsn": "postgresql:///x"}} | {table: {key: "a\0b"}}
        assert refused(write(tmp_path, **changes)) == f"{table}.{key}: holds a NUL character"


@pytest.mark.parametrize("wrong", ["\0", "\n", "\t", " ", "\x7f", "\x85", "x" * URL_CHARS_MAX])
def test_an_address_of_notices_that_no_alarm_could_carry(tmp_path: Path, wrong: str) -> None:
    """A NUL in it: the database refuses the notice, and with it the alarm."""
    for url in (f"https://pager.example/secret{wrong}", f"https://pager.example/secret{wrong}x"):
        line = refused(write(tmp_path, notify=[{"url": "https://other.example/"}, {"url": url}]))
        assert line.startswith("notify") and "url" in line and "secret" not in line


def test_addresses_of_notices(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:1/", "https://pager.example/hook?key=%20%00", "https://乌镇.example/钩"):
        assert load(write(tmp_path, notify=[{"url": url}])).notify[0].url == url
    for url in ("", "pager.example", "ftp://pager.example", "https://", "https:///hook"):
        assert refused(write(tmp_path, notify=[{"url": url}])).startswith("notify")


@pytest.mark.parametrize("name", ["", "x" * (NAME_CHARS_MAX + 1), "a\0b"])
def test_a_first_user_who_could_never_log_in(tmp_path: Path, name: str) -> None:
    user = {"name": name, "password_file": str(tmp_path / "password")}
    assert refused(write(tmp_path, first_user=user)).startswith("first_user.name: ")


def test_a_first_password_that_nobody_could_type(tmp_path: Path) -> None:
    file = tmp_path / "password"
    user = {"name": "operator", "password_file": str(file)}
    path = write(tmp_path, first_user=user)
    assert refused(path) == f"first_user.password_file: no file {file}"
    file.write_text("x" * (PASSWORD_CHARS_MAX + 1))
    with pytest.raises(ConfigError, match="1000"):
        server.Hub(load(path))


def test_every_mistake_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, listen_port="x", hub_id="Hub 1", broker={"prot": 1}, notify=[{"url": "ftp://a"}])
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()] == [
        "listen_port: expected int, got str",
        "hub_id: expected lower-case letters, digits, _ and - (at most 64, the first a letter or digit)",
        "broker.prot: unknown key; port is meant?",
        "notify[0].url: expected an address that begins with http:// or https://",
    ]
    path = write(tmp_path, site_file="/no/site.toml", broker={"password_file": "/no/password"})
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("password", ["short", "123456789"])
def test_a_first_password_that_is_soon_guessed_is_refused(tmp_path: Path, password: str) -> None:
    file = tmp_path / "password"
    file.write_text(password)
    config = load(write(tmp_path, first_user={"name": "operator", "password_file": str(file)}))
    with pytest.raises(ConfigError, match=f"{file}: has {len(password)} characters, at least 10") as caught:
        first_password(config)
    assert password not in str(caught.value)
