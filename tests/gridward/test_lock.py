"""One demo a folder, also after a demo that was killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridward.lock import LOCK, only_demo
from gridward.processes import ProcessError

HOLD = """
import sys, pathlib
from gridward.lock import only_demo
with only_demo(pathlib.Path(sys.argv[1])):
    print('held', flush=True)
    input()
"""


def test_a_folder_that_a_demo_runs_in_is_refused_and_free_when_it_was_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        refused = rf"a demo runs here \(pid {holder.pid}\): stop it or use --directory"
        with pytest.raises(ProcessError, match=refused), only_demo(tmp_path):
            pass
        holder.kill()
    assert (tmp_path / LOCK).read_text() == f"{holder.pid}\n"
    with only_demo(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("words", [(), ("--keep",), ("--check",)])
def test_a_second_demo_is_one_line_and_leaves_the_first_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    precious = tmp_path / "operator-password"
    precious.write_text("of the first")
    with only_demo(tmp_path):
        argv = [sys.executable, "-m", "gridward", "demo", "--directory", str(tmp_path), *words]
        said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, precious.read_text()) == (2, "", "of the first")
    assert said.stderr == f"gridward: a demo runs here (pid {os.getpid()}): stop it or use --directory ({tmp_path})\n"


def test_a_folder_that_cannot_be_is_one_line() -> None:
    argv = [sys.executable, "-m", "gridward", "demo", "--directory", "/proc/x"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (2, "gridward: --directory /proc/x: No such file or directory\n")
