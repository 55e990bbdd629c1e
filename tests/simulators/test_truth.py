"""The ground truth: made from the scenario alone, the same each time, and what devices then say."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.dictionary import ALARMS, EVENTS
from simulators.families import BUILDERS
from simulators.scenario import ScenarioError, load
from simulators.spec import Scenario
from simulators.truth import truth_of

EVENING = Path(__file__).parents[2] / "simulators" / "scenarios" / "wuzhen-evening.toml"
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def scenario(tmp_path: Path, family: str, device: str, *events: tuple[float, str]) -> Scenario:
    text = f'duration_s = 9\n[[devices]]\nfamily = "{family}"\nid = "{device}"\nhost = "h"\nport = 1\n'
    for at_s, action in events:
        text += f'[[events]]\nat_s = {at_s}\ndevice = "{family}:{device}"\naction = "{action}"\n'
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    return load(file)


def told(played: Scenario) -> list[tuple[float, str, bool | None]]:
    return [(row.at_s, row.kind, row.raised) for row in truth_of(played)]


def test_the_evening_has_a_truth_in_the_words_of_the_dictionary() -> None:
    rows = truth_of(load(EVENING))
    assert rows == truth_of(load(EVENING))
    assert [row.at_s for row in rows] == sorted(row.at_s for row in rows)
    for row in rows:
        assert row.kind in (EVENTS if row.raised is None else ALARMS)
    assert {"smoke", "fall", "sos", "overspeed", "off_wrist", "low_battery", "fault"} <= {row.kind for row in rows}


def test_only_changes_are_told(tmp_path: Path) -> None:
    panel = scenario(tmp_path, "gbt26875", "889", (1, "smoke"), (2, "fault"), (3, "smoke"), (4, "clear"), (5, "reset"))
    assert told(panel) == [(1, "smoke", True), (2, "fault", True), (4, "smoke", False), (5, "reset", None)]
    terminal = scenario(
        tmp_path, "jt808", "1395", (1, "emergency"), (2, "overspeed"), (3, "overspeed_over"), (4, "park")
    )
    assert told(terminal) == [(1, "sos", True), (2, "overspeed", True), (3, "overspeed", False)]


def test_each_press_counts_unless_it_is_a_repetition(tmp_path: Path) -> None:
    band = scenario(
        tmp_path, "watch", "88", (1, "sos"), (20, "sos"), (100, "sos"), (101, "off_wrist"), (102, "on_wrist")
    )
    assert told(band) == [(1, "sos", True), (100, "sos", True), (101, "off_wrist", True), (102, "off_wrist", False)]


def test_events_are_taken_in_the_order_of_time(tmp_path: Path) -> None:
    assert told(scenario(tmp_path, "gbt26875", "889", (5, "clear"), (1, "smoke"))) == [
        (1, "smoke", True),
        (5, "smoke", False),
    ]


FIRST = {"gbt26875": "smoke", "watch": "sos", "jt808": "emergency"}


@pytest.mark.parametrize("family", sorted(FIRST))
def test_what_is_owed_is_forgotten(family: str) -> None:
    device = BUILDERS[family]("8800", {}, 1)
    device.act(FIRST[family], {}, START)
    assert device.owed()
    assert device.owed() == []
    assert device.unanswered == 0


def test_the_truth_is_a_file_and_nothing_is_played(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    words = [sys.executable, "-m", "simulators", str(EVENING), "--check", "--truth", str(file)]
    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    assert (said.returncode, said.stdout) == (0, "")
    assert "16 alarms and events must come" in said.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 16
    assert rows[1] == {
        "at_s": 15.0,
        "device": "gbt26875:889",
        "kind": "smoke",
        "raised": True,
        "component": "1-3-0x00000012",
        "action": "smoke",
    }
    only = [*words, "--only", "jt808"]
    assert subprocess.run(only, capture_output=True, check=False, timeout=30).returncode == 0
    assert {json.loads(line)["device"].partition(":")[0] for line in file.read_text().splitlines()} == {"jt808"}


@pytest.mark.parametrize(
    ("family", "event", "said"),
    [
        ("gbt26875", "action = 'dance'", r"events\[0\].action: a panel cannot dance; it can smoke, "),
        ("gbt26875", "action = 'smoke'\nargs = { component = -1 }", "smoke: Expected `int` >= 0 - at `args.component`"),
        ("gbt26875", "action = 'smoke'\nargs = { componnt = 1 }", "unknown field `componnt`"),
        ("gbt26875", "action = 'smoke'\nargs = { component = 4294967296 }", "<= 4294967295"),
        ("watch", "action = 'heart'\nargs = { bpm = 'fast' }", "Expected `int`, got `str` - at `args.bpm`"),
        ("watch", "action = 'move'\nargs = { longitude = 1.0 }", "missing required field `latitude`"),
        ("jt808", "action = 'sos'", "a terminal cannot sos; it can emergency, "),
    ],
)
def test_what_a_device_cannot_do_is_one_line_before_anything_is_played(
    tmp_path: Path, family: str, event: str, said: str
) -> None:
    file = tmp_path / "scenario.toml"
    device = f'duration_s = 1\n[[devices]]\nfamily = "{family}"\nid = "889"\nhost = "h"\nport = 1\n'
    file.write_text(f"{device}[[events]]\nat_s = 1\ndevice = '{family}:889'\n{event}\n")
    with pytest.raises(ScenarioError, match=said) as refused:
        truth_of(load(file), str(file))
    assert str(refused.value).startswith(f"{file}: events[0].action: ")
    assert "\n" not in str(refused.value)


def test_devices_say_later_what_the_truth_says(tmp_path: Path) -> None:
    """The same actions, with heartbeats and reports between them, lead to rows that hold the truth."""
    played = load(EVENING)
    said: set[tuple[str, str, bool | None]] = set()
    for spec in played.devices:
        device = BUILDERS[spec.family](spec.id, spec.settings, played.seed)
        device.connected(START)
        for event in played.events:
            if event.device == spec.device:
                now = START + timedelta(seconds=event.at_s)
                device.tick(now)
                device.act(event.action, event.args, now)
        said |= {(row.device, row.kind, row.values.get("raised")) for row in device.owed()}
    assert {(row.device, row.kind, row.raised) for row in truth_of(played)} <= said
