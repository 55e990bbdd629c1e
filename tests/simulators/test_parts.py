"""A scenario of several families is played by a process each, and none outlives the one that started them."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EVENING = Path(__file__).parents[2] / "simulators" / "scenarios" / "wuzhen-evening.toml"
DEADLINE_S = 30


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_families_are_processes_that_end_with_the_player(tmp_path: Path, number: signal.Signals) -> None:
    player = subprocess.Popen(
        [sys.executable, "-m", "simulators", str(EVENING), "--ledger", str(tmp_path / "ledger")],
        stderr=subprocess.DEVNULL,
    )
    give_up_at = time.monotonic() + DEADLINE_S
    while len(parts := [pid for pid in children_of(player.pid) if "--only" in words_of(pid)]) < 3:
        assert time.monotonic() < give_up_at, "the families were not started"
        assert player.poll() is None
    assert sorted(words[words.index("--only") + 1] for words in map(words_of, parts)) == ["gbt26875", "jt808", "watch"]
    handles = [os.pidfd_open(pid) for pid in parts]
    player.send_signal(number)
    player.wait(DEADLINE_S)
    for handle in handles:
        assert select.select([handle], [], [], DEADLINE_S)[0], "a family outlived its player"
        os.close(handle)
