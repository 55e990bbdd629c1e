"""The command line as a person meets it: help with examples, one clear line for each mistake, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gridward import doctor

COMMANDS = ("demo", "edge", "hub", "simulate", "decode", "doctor", "version")
POWER_FAULT = (
    "404001000101203A091A090C790300000000385B01000000090002150108023A091A090C422323"  # shared vector gbt26875-002
)


def gridward(*words: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridward", *words], capture_output=True, text=True, input=typed, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_an_example(command: str) -> None:
    said = gridward(command, "--help")
    assert said.returncode == 0
    assert f"Example: gridward {command}" in said.stdout


def test_decode_reads_hex_from_the_option_and_from_stdin() -> None:
    given = gridward("decode", "gbt26875", "--hex", POWER_FAULT)
    typed = gridward("decode", "gbt26875", typed=f"{POWER_FAULT}\n")
    assert given.returncode == typed.returncode == 0, given.stderr
    lines = [json.loads(line) for line in given.stdout.splitlines()]
    assert [line["observation"]["body"]["kind"] for line in lines] == ["power_fault"]
    assert [list(json.loads(line)) for line in typed.stdout.splitlines()] == [["observation"]]


def test_decode_carries_the_id_of_a_jsonl_line_and_shows_rejected_bytes(tmp_path: Path) -> None:
    file = tmp_path / "frames.jsonl"
    file.write_text(f'{{"id": "good", "frame_hex": "{POWER_FAULT}"}}\n{{"id": "bad", "frame_text": "noise"}}\n')
    said = gridward("decode", "gbt26875", "--jsonl", str(file))
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(line["id"], "rejected" in line) for line in lines] == [("good", False), ("bad", True)]
    assert bytes.fromhex(lines[1]["rejected"]["frame"]) == b"noise"


@pytest.mark.parametrize(
    ("words", "typed", "line"),
    [
        (("decode", "nothing", "--hex", "00"), None, "gridward: no family 'nothing'; known: gbt26875, jt808, watch"),
        (("decode", "watch", "--hex", "0g"), None, "gridward: not hex: '0g'"),
        (("decode", "watch"), '{"frame": 1}', "gridward: stdin:1: neither frame_hex nor frame_text"),
        (("decode", "watch", "--jsonl", "/nowhere"), None, "gridward: /nowhere: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], typed: str | None, line: str) -> None:
    said = gridward(*words, typed=typed)
    assert said.returncode == 2
    assert said.stdout == ""
    assert said.stderr.startswith(line)
    assert said.stderr.count("\n") == 1


def test_doctor_finds_a_broker_and_a_database_that_are_not_there(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    dsn = f"postgresql:///gridward?host={tmp_path}"
    config.write_text(f'state_dir = "{tmp_path}"\n[database]\ndsn = "{dsn}"\n[broker]\nhost = "127.0.0.1"\nport = 1\n')
    found = {finding.name: finding for finding in doctor.configured(config)}
    assert found["broker connection"].verdict == "failure"
    assert found["database connection"].verdict == "failure"
    assert found["hub key"].verdict == "ok"


def test_doctor_finds_a_key_that_others_can_read(tmp_path: Path) -> None:
    key = tmp_path / "hub.key"
    key.touch(mode=0o644)
    assert doctor.private_key(key).advice == f"chmod 600 {key}"
    key.chmod(0o600)
    assert doctor.private_key(key).verdict == "ok"


def test_doctor_connects_to_a_database_that_is_there(postgres: str) -> None:
    finding = doctor.database(doctor._Database(dsn=postgres))
    assert finding.verdict == "ok"
    assert "PostgreSQL 18" in finding.found


def test_doctor_is_well_here_and_says_what_the_programs_say_of_their_files(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text("site = 3\n")
    said = gridward("doctor", "--edge", str(config))
    assert said.returncode == 1
    assert "edge config" in said.stdout
    assert "Traceback" not in said.stdout + said.stderr


def test_version() -> None:
    assert gridward("version").stdout == "gridward 0.1.0\n"
