"""What every simulated device keeps: it is seeded, refuses what it cannot do, and no noise confirms anything."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulators.device import ActionError, Packet
from simulators.scenario import build, load
from simulators.scripted import Sender
from tests.simulators.venue import CASES, scenario_text

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NOISE = (
    b"\0" * 40,
    b'\n00000000"ACK"0001\r',
    b"2B\0\x01",
    b"AT+CMGS=1,8\r\n8310\x1a",
    b"S\x81\xff\xff" * 9,
    b"@@" * 40,
)


def first_of(name: str, folder: Path) -> tuple[Any, Any]:
    """The first device of the case to which something happens, and what."""
    file = folder / "scenario.toml"
    file.write_text(scenario_text(CASES[name], "", folder, 1883))
    scenario = load(file)
    event = next(event for event in scenario.events)
    return next(spec for spec in scenario.devices if spec.device == event.device), event


def device_of(name: str, folder: Path) -> tuple[Any, Any]:
    spec, event = first_of(name, folder)
    return build(spec, 7), event


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_same_seed_says_the_same(tmp_path: Path, name: str) -> None:
    said = []
    spec, event = first_of(name, tmp_path)
    for device in (build(spec, 7), build(spec, 7)):
        device.connected(START)
        device.act(event.action, event.args, START)
        device.tick(START + timedelta(seconds=5))
        said.append(device.to_send())
    assert said[0] == said[1]


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_action_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    device, _ = device_of(name, tmp_path)
    with pytest.raises(ActionError, match="cannot dance"):
        device.act("dance", {}, START)


@pytest.mark.parametrize("name", sorted(CASES))
def test_noise_confirms_nothing(tmp_path: Path, name: str) -> None:
    device, event = device_of(name, tmp_path)
    device.connected(START)
    device.act(event.action, event.args, START)
    device.tick(START + timedelta(seconds=5))
    device.to_send()
    for noise in NOISE:
        device.receive(Packet("POST /", noise) if isinstance(device, Sender) else noise, START)
    assert device.accepted() == []


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_is_owed_is_told_and_forgotten(tmp_path: Path, name: str) -> None:
    device, event = device_of(name, tmp_path)
    device.act(event.action, event.args, START)
    assert [row.device for row in device.owed() if row.kind not in ("telemetry", "position")] == [event.device]
    assert device.owed() == [] and device.unanswered == 0
