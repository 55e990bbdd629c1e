"""`gridward demo` as a person runs it: it ends clean, and never leaves a process behind."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance
END_S_MAX = 20_000  # milliseconds that a process may take to go
CHECK_S_MAX = 300


def demo(directory: Path, *words: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "gridward", "demo", "--directory", str(directory), *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in map(int, (task / "children").read_text().split()):
            yield child
            yield from descendants(child)


def read_until(running: "subprocess.Popen[str]", words: str) -> str:
    """Everything printed up to the line with `words`."""
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"ended without {words!r}:\n{''.join(lines)}")


def ended(handles: list[int]) -> bool:
    """Whether every process behind its pidfd ends in time."""
    gone = [bool(select.select([handle], [], [], END_S_MAX / 1000)[0]) for handle in handles]
    for handle in handles:
        os.close(handle)
    return all(gone)


@pytest.fixture
def home(server_home: Path, request: pytest.FixtureRequest) -> Path:
    folder = server_home / request.node.name
    folder.mkdir(mode=0o755)
    return folder


def test_the_check_is_clean(home: Path) -> None:
    running = demo(home, "--check", "--speed", "4")
    said, _ = running.communicate(timeout=CHECK_S_MAX)
    assert running.returncode == 0, said
    assert "clean: nothing lost, nothing twice, every incident closed" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_demo(home: Path, number: signal.Signals) -> None:
    running = demo(home)
    said = read_until(running, "press Ctrl-C")
    assert "password" in said
    handles = [os.pidfd_open(pid) for pid in descendants(running.pid)]
    assert len(handles) >= 5  # PostgreSQL, broker, hub, edge, simulators
    running.send_signal(number)
    assert ended(handles)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == (0 if number != signal.SIGKILL else -number), rest
    assert "Traceback" not in rest


@pytest.mark.parametrize("part", ["hub", "edge", "broker", "simulators"])
def test_the_crash_of_one_part_is_said_and_stops_all(home: Path, part: str) -> None:
    running = demo(home)
    read_until(running, "press Ctrl-C")
    pids = list(descendants(running.pid))
    handles = [os.pidfd_open(pid) for pid in pids]
    words = {"broker": ("mosquitto", "IotCoreBroker")}.get(part, (f"-m\0{part}\0",))
    victim = next(pid for pid in pids if any(word in Path(f"/proc/{pid}/cmdline").read_text() for word in words))
    os.kill(victim, signal.SIGKILL)
    rest, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert f"stopped: {part}" in rest
    assert "was killed by SIGKILL" in rest
    assert ended(handles)


def test_the_password_is_new_each_time_and_readable_by_its_owner_only(home: Path) -> None:
    seen = []
    for _ in range(2):
        running = demo(home, "--port", "0")
        assert re.search(r"http://127\.0\.0\.1:[1-9]", read_until(running, "press Ctrl-C"))
        file = home / "operator-password"
        assert file.stat().st_mode & 0o077 == 0
        seen.append(file.read_text())
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert seen[0] != seen[1]


def test_a_directory_of_someone_else_is_left_alone(home: Path) -> None:
    precious = home / "edge" / "precious.py"
    precious.parent.mkdir()
    precious.write_text("mine")
    running = demo(home)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "was not made by gridward demo" in said
    assert precious.read_text() == "mine"
