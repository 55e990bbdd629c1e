"""The hub as a process: a polite end, and one line without a traceback for whatever is wrong at its start."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest

from gridward.postgres import rows
from gridward.toml_text import toml_text
from hub.server import listen_on
from tests.conftest import BrokerAddress
from tests.hub.edge_line import SITE

WAIT_S_MAX = 30.0
PASSWORD = "correct horse battery"


class Files:
    """A hub's files in a folder, to be spoilt one at a time."""

    def __init__(self, home: Path, dsn: str, broker: BrokerAddress) -> None:
        self.home = home
        self.path = home / "hub.toml"
        (home / "site.toml").write_text(SITE)
        (home / "password").write_text(PASSWORD)
        self.config: dict = {
            "state_dir": str(home / "state"),
            "listen_port": 0,
            "site_file": str(home / "site.toml"),
            "database": {"dsn": dsn},
            "broker": {"host": broker.host, "port": broker.port},
            "first_user": {"name": "operator", "password_file": str(home / "password")},
        }

    def argv(self, *words: str) -> list[str]:
        self.path.write_text(toml_text(self.config, "test"))
        return [sys.executable, "-m", "hub", "--config", str(self.path), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A hub that should end by itself."""
        return subprocess.run(self.argv(*words), capture_output=True, text=True, timeout=WAIT_S_MAX, check=False)

    def failure(self) -> str:
        """The one line that a start ends with; log lines (JSON) may stand before it."""
        done = self.run()
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr and done.stdout == ""
        [line] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        return line


@pytest.fixture
def files(tmp_path: Path, postgres: str, broker: BrokerAddress) -> Files:
    return Files(tmp_path, postgres, broker)


class Running:
    """A hub that was started; `port` once it listens."""

    def __init__(self, files: Files) -> None:
        self.log = files.home / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(files.argv(), stderr=log)
        self.port = self._until(lambda: [line["port"] for line in self.lines("hub_started")])[0]
        self.url = f"http://127.0.0.1:{self.port}"

    def lines(self, event: str) -> list[dict]:
        whole = self.log.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(msgspec.json.decode, whole) if line["event"] == event]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(WAIT_S_MAX)

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/health", trust_env=False).json()["status"] == "ok"
        except httpx.HTTPError:
            return False

    def _until(self, found):
        give_up_at = time.monotonic() + WAIT_S_MAX
        while not (answer := found()):
            assert self.process.poll() is None and time.monotonic() < give_up_at, self.log.read_text()
            time.sleep(0.02)
        return answer

    def until_healthy(self) -> None:
        self._until(self.healthy)


@pytest.fixture
def running(files: Files):
    hub = Running(files)
    yield hub
    if hub.process.poll() is None:
        hub.process.kill()
        hub.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_politely(running: Running, number: signal.Signals) -> None:
    running.until_healthy()
    assert running.end(number) == 0
    assert running.lines("hub_stopped") and "Traceback" not in running.log.read_text()


def test_a_stored_password_is_expensive_to_guess(running: Running, postgres: str) -> None:
    [user] = rows(postgres, "SELECT password_hash FROM users")
    memory_kb, rounds = re.fullmatch(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$.*", user["password_hash"]).groups()
    assert int(memory_kb) >= 65_536 and int(rounds) >= 3


def test_it_stops_while_somebody_watches(running: Running) -> None:
    running.until_healthy()
    login = {"name": "operator", "password": PASSWORD}
    with httpx.Client(base_url=running.url, trust_env=False, timeout=20) as client:
        token = client.post("/api/v1/login", json=login).raise_for_status().json()["token"]
        with client.stream("GET", "/api/v1/live", headers={"Authorization": f"Bearer {token}"}) as stream:
            chunks = stream.iter_raw()
            assert b"hello" in next(chunks)
            running.process.send_signal(signal.SIGTERM)
            assert b"".join(chunks) is not None  # the stream ends
    assert running.process.wait(WAIT_S_MAX) == 0


def test_every_line_of_its_log_is_json_and_no_secret(running: Running, files: Files) -> None:
    running.until_healthy()
    httpx.post(f"{running.url}/api/v1/login", json={"name": "operator", "password": PASSWORD}, trust_env=False)
    assert running.end(signal.SIGTERM) == 0
    assert all(msgspec.json.decode(line)["event"] for line in running.log.read_text().splitlines())
    assert PASSWORD not in running.log.read_text()


def test_it_starts_without_a_broker_and_says_degraded(files: Files) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        files.config["broker"]["port"] = free.getsockname()[1]
        hub = Running(files)
        answer = httpx.get(f"{hub.url}/api/v1/health", trust_env=False)
        hub._until(lambda: hub.lines("broker_lost"))
        assert answer.status_code in (200, 503)
        hub._until(lambda: httpx.get(f"{hub.url}/api/v1/health", trust_env=False).status_code == 503)
        assert len(hub.lines("broker_lost")) == 1
        assert hub.end(signal.SIGTERM) == 0


def test_check_reads_everything_and_starts_nothing(files: Files) -> None:
    files.config["database"]["dsn"] = "postgresql://nobody@127.0.0.1:1/none"
    done = files.run("--check")
    assert (done.returncode, done.stderr) == (0, "") and "good" in done.stdout
    (files.home / "site.toml").write_text(SITE.replace("Polygon", "Point"))
    done = files.run("--check")
    assert done.returncode == 2 and "site.toml: zone hall" in done.stderr


def test_check_tells_what_is_wrong_in_every_file(files: Files) -> None:
    (files.home / "site.toml").write_text(SITE.replace("Polygon", "Point").replace("Asia/Shanghai", "Asia/Wuzhen"))
    (files.home / "password").write_text("short")
    lines = files.run("--check").stderr.splitlines()
    assert len(lines) == 3 and all(line.startswith(f"hub: {files.home}/") for line in lines), lines


def test_a_key_that_is_not_known(files: Files) -> None:
    files.config["lisen_port"] = 1
    line = files.failure()
    assert str(files.path) in line and "lisen_port" in line


def test_a_value_that_is_not_allowed(files: Files) -> None:
    files.config["listen_port"] = 70_000
    line = files.failure()
    assert str(files.path) in line and "listen_port" in line and "65535" in line


def test_a_file_that_is_not_text(files: Files) -> None:
    (files.home / "site.toml").write_bytes(b'[site]\nid = "\xff"\n')
    assert files.failure() == f"hub: {files.home / 'site.toml'}: not TOML: not UTF-8"
    assert files.run("--check").returncode == 2


@pytest.mark.parametrize(("key", "value"), [("listen_host", "a..b"), ("listen_host", "a" * 64), ("state_dir", "/a\0b")])
def test_a_value_that_python_would_stumble_over(files: Files, key: str, value: str) -> None:
    files.config[key] = value
    assert files.failure().startswith(f"hub: {files.path}: {key}: ")
    assert files.run("--check").returncode == 2


def test_a_file_that_is_not_there(files: Files) -> None:
    files.config["site_file"] = str(files.home / "nowhere.toml")
    assert "site_file" in files.failure()


def test_no_configuration(files: Files) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hub", "--config", str(files.home / "none.toml")],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "none.toml" in done.stderr


def test_a_database_that_is_not_there(files: Files) -> None:
    files.config["database"]["dsn"] = "postgresql://gridward@127.0.0.1:1/none?connect_timeout=2"
    line = files.failure()
    assert line.startswith("hub: database: ") and "port 1" in line


def test_a_user_that_the_database_does_not_know(files: Files, postgres: str) -> None:
    files.config["database"]["dsn"] = postgres.replace("gridward@", "somebody:wrong@")
    line = files.failure()
    assert line.startswith("hub: database: ") and "somebody" in line and "wrong" not in line.replace("wrong user", "")


def test_a_schema_that_is_newer(files: Files, postgres: str) -> None:
    Running(files).end(signal.SIGTERM)
    with psycopg.connect(postgres) as connection:
        connection.execute("INSERT INTO migrations (number, name, sha256) VALUES (99, 'x', 'y')")
    assert "upgrade" in files.failure()


def test_answers_are_not_kept_back_for_an_acknowledgement() -> None:
    with listen_on("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        files.config["listen_port"] = taken.getsockname()[1]
        line = files.failure()
    assert f"127.0.0.1:{files.config['listen_port']}" in line and "in use" in line.lower()


def test_a_key_that_cannot_be_read(files: Files) -> None:
    (files.home / "state").mkdir()
    key = files.home / "state" / "hub.key"
    key.write_text("not a key")
    key.chmod(0o600)
    assert str(key) in files.failure()


def test_a_state_folder_that_is_a_file(files: Files) -> None:
    (files.home / "state").write_text("")
    assert str(files.home / "state") in files.failure()


def test_a_state_folder_in_which_nothing_can_be_made(files: Files) -> None:
    files.config["state_dir"] = "/proc/self/fd"
    assert files.failure().startswith("hub: /proc/self/fd")
