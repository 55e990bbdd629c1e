"""The command line as a person meets it: help with examples, one clear line for each mistake, no traceback."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vectors import SHARED, lines_of

COMMANDS = ("demo", "edge", "hub", "simulate", "decode", "devices", "fence", "evidence", "doctor", "version")
README = Path(__file__).parents[2] / "README.md"
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


def test_the_front_page_has_an_example_and_whole_sentences() -> None:
    said = gridward("--help")
    assert "Example: gridward demo" in said.stdout
    commands = said.stdout.partition("Commands:")[2]
    assert "..." not in commands
    assert all(f"  {command} " in commands for command in COMMANDS)


def test_decode_reads_hex_from_the_option_and_from_stdin() -> None:
    given = gridward("decode", "gbt26875", "--hex", POWER_FAULT)
    typed = gridward("decode", "gbt26875", typed=f"{POWER_FAULT}\n")
    assert given.returncode == typed.returncode == 0, given.stderr
    found = [json.loads(line)["observation"] for line in given.stdout.splitlines()]
    assert [one["body"]["kind"] for one in found if one["body"].get("raised", True)] == ["power_fault"]
    assert found[0]["observed_at"] == "2012-09-26T01:58:02Z"  # the device's own time, long ago
    assert found[0]["flags"] == ["time_invalid"]
    bodies = [one["body"] for one in found]
    assert [json.loads(line)["observation"]["body"] for line in typed.stdout.splitlines()] == bodies


def test_the_frame_of_the_readme_is_whole() -> None:
    found = re.search(r'decode gbt26875 --hex "([^"]+)"', README.read_text())
    assert found
    said = gridward("decode", "gbt26875", "--hex", found[1])
    assert said.returncode == 0, said.stderr
    assert said.stdout and all("observation" in json.loads(line) for line in said.stdout.splitlines())


def test_decode_carries_the_id_of_a_jsonl_line_and_shows_rejected_bytes(tmp_path: Path) -> None:
    file = tmp_path / "frames.jsonl"
    file.write_text(f'{{"id": "good", "frame_hex": "{POWER_FAULT}"}}\n{{"id": "bad", "frame_text": "noise"}}\n')
    said = gridward("decode", "gbt26875", "--jsonl", str(file))
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert {(line["id"], "rejected" in line) for line in lines} == {("good", False), ("bad", True)}
    assert bytes.fromhex(lines[-1]["rejected"]["frame"]) == b"noise"


def test_decode_reads_whole_messages_with_their_topic_under_settings(tmp_path: Path) -> None:
    """A detector behind a network server whose device profile has a name of the site's own."""
    smoke = {"deviceInfo": {"devEui": "24e12422115a212f", "deviceProfileName": "Hall"}, "fPort": 85, "data": "IhFaIS8j"}
    topic = "application/a/device/24e12422115a212f/event/up"
    settings = tmp_path / "lorawan.toml"
    settings.write_text('[profiles]\n"Hall" = "milesight/gs524n"\n')
    line = json.dumps({"id": "one", "topic": topic, "frame_json": smoke})
    said = gridward("decode", "lorawan", "--settings", str(settings), typed=line)
    assert said.returncode == 0, said.stderr
    found = [json.loads(line)["observation"]["body"] for line in said.stdout.splitlines()]
    assert {"type": "alarm", "kind": "smoke", "raised": True, "component": "", "description": ""} in found
    settings.write_text('[profiles]\n"Hall" = "gs524n"\n')
    refused = gridward("decode", "lorawan", "--settings", str(settings), typed=line)
    assert refused.returncode == 2
    assert "gridward: settings of lorawan: profiles: 'Hall' has no codec 'gs524n'" in refused.stderr


def test_decode_is_told_where_a_message_came() -> None:
    report = "0D0F22042468ACE066118ECD8D118AD47B"
    said = gridward("decode", "dmr", "--hex", report, "--channel", "udp/4001/12.0.0.11:4001")
    [found] = [json.loads(line)["observation"] for line in said.stdout.splitlines()]
    assert (found["device"], found["body"]["type"]) == ("dmr:11", "position")
    typed = gridward("decode", "dmr", "--channel", "udp/4001/12.0.0.11:4001", typed=f"{report}\n")
    assert json.loads(typed.stdout)["observation"]["device"] == "dmr:11"


@pytest.mark.parametrize("family", ["gbt26875", "watch", "jt808"])
def test_decode_says_something_of_every_line_of_the_shared_vectors(family: str) -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not beside this checkout")
    said = gridward("decode", family, "--jsonl", str(SHARED / f"{family}.jsonl"))
    assert (said.returncode, said.stderr) == (0, "")
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert all(len(line) == 2 and ("observation" in line or "rejected" in line) for line in lines)
    assert {line["id"] for line in lines} == {line["id"] for line in lines_of(SHARED / f"{family}.jsonl")}


@pytest.mark.parametrize(
    ("words", "typed", "line"),
    [
        (("decode", "nothing", "--hex", "00"), None, "gridward: no family 'nothing'; known: "),
        (("decode", "watch", "--hex", "0g"), None, "gridward: not hex: '0g'"),
        (("decode", "watch", "--hex", "40 40 …"), None, "gridward: not hex: '40 40 …'"),
        (("decode", "watch"), '{"frame": 1}', "gridward: stdin:1: neither frame_hex nor frame_text"),
        (("decode", "watch", "--jsonl", "/nowhere"), None, "gridward: /nowhere: No such file or directory"),
        (("decode", "watch"), "5b33\n5g33\n", "gridward: stdin:2: not hex: '5g33"),
        (("decode", "watch"), "", "gridward: stdin: nothing to decode"),
        (("decode", "watch", "--hex", " "), None, "gridward: nothing to decode"),
        (("decode", "watch", "--hex", "00", "--jsonl", "/nowhere"), None, "gridward: --hex or --jsonl, not both"),
        (("simulate", "/nowhere.toml"), None, "gridward simulate: /nowhere.toml: No such file or directory"),
        (("edge", "--config", "/nowhere.toml", "--check"), None, "/nowhere.toml: No such file or directory"),
        (("hub", "--config", "/nowhere.toml", "--check"), None, "/nowhere.toml: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], typed: str | None, line: str) -> None:
    said = gridward(*words, typed=typed)
    assert said.returncode == 2
    assert said.stderr.removeprefix("hub: ").removeprefix("edge: ").startswith(line), said.stderr
    assert not said.stdout or "5b33" in (typed or "")
    assert said.stderr.count("\n") == 1


def test_version() -> None:
    assert gridward("version").stdout == gridward("--version").stdout == "gridward 0.1.0\n"


@pytest.mark.parametrize("program", ["edge", "hub"])
def test_check_is_an_option_that_help_lists_and_a_slip_of_the_pen_finds(program: str) -> None:
    assert "--check" in gridward(program, "--help").stdout.partition("Example")[0]
    said = gridward(program, "--config", "/nowhere.toml", "--chek")
    assert said.returncode == 2 and "--check" in said.stderr.partition("No such option: --chek")[2]
