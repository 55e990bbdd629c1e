"""The benchmarks' command line: which ran, what a missed goal means, what is written."""

import subprocess
import sys

from bench.__main__ import RESULTS, said_of


def test_a_run_of_some_leaves_the_results_of_a_whole_run_alone() -> None:
    before = RESULTS.read_bytes()
    argv = [sys.executable, "-m", "bench", "--quick", "decode"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "not written: results.json holds whole runs only" in said.stdout, said.stderr
    assert RESULTS.read_bytes() == before


def test_a_missed_goal_says_what_it_means() -> None:
    assert said_of(["siren"]).startswith("missed: siren. Nothing is broken: this machine")
