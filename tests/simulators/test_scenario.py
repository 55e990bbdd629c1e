"""Scenario files, faults and the relay."""

import asyncio
import random
from pathlib import Path

import pytest

from devices.families import FAMILIES
from edge import config
from simulators import commands
from simulators.families import SIMULATORS
from simulators.faults import disturbed
from simulators.relay import Relay
from simulators.scenario import ScenarioError, load
from simulators.spec import Faults
from simulators.truth import truth_of

SCENARIOS = Path(__file__).parents[2] / "simulators" / "scenarios"
LARGE = SCENARIOS / "venue-large.toml"
EVENING = SCENARIOS / "wuzhen-evening.toml"
DEVICE = '[[devices]]\nfamily = "gbt26875"\nid = "889"\nhost = "h"\nport = 1\n'


def test_the_default_scenario_can_be_played() -> None:
    scenario = load(EVENING)
    assert {spec.family for spec in scenario.devices} == {"gbt26875", "watch", "jt808"}
    assert {"smoke", "fall", "sos", "emergency"} <= {event.action for event in scenario.events}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("duration_s = 1\n", "devices"),
        (f"duration_s = 1\nsped = 2\n{DEVICE}", "sped"),
        (f"duration_s = 1\n{DEVICE}{DEVICE}", "given twice"),
        (f"duration_s = 1\n{DEVICE.replace('gbt26875', 'morse')}", "unknown family 'morse'"),
        (f"duration_s = 1\n{DEVICE}settings = {{ colour = 1 }}\n", "colour"),
        (f"duration_s = 1\n{DEVICE}[[events]]\nat_s = 1\ndevice = 'x:1'\naction = 'smoke'\n", "no device 'x:1'"),
        (f"duration_s = 1\n{DEVICE}[faults]\ndrop = 2\n", "faults.drop"),
        (f"duration_s = 1\n{DEVICE}link = 'mqtt'\n", r"devices\[0\].link: gbt26875 knows no 'mqtt'; expected tcp"),
        (f"duration_s = 1\n{DEVICE.replace('889', '{n:q}')}count = 2\n", r"devices\[0\].id: .* cannot be written"),
        (f"duration_s = 1\n{DEVICE}count = 2\n", "gbt26875:889 is given twice"),
        (f"duration_s = 1\n{DEVICE}count = 0\n", r"devices\[0\].count: Expected int ≥ 1"),
        (f"duration_s = 1\n{DEVICE}spread_m = 5\n", r"devices\[0\].spread_m: the settings need"),
        (
            f"duration_s = 1\n{DEVICE}[[chances]]\nfamily = 'watch'\naction = 'sos'\ncount = 1\nfrom_s = 0\nto_s = 1\n",
            r"chances\[0\].family: no such devices of family 'watch'",
        ),
        (
            f"duration_s = 1\n{DEVICE}[[chances]]\nfamily = 'gbt26875'\naction = 'smoke'\ncount = 1\nfrom_s = 2\n"
            "to_s = 1\n",
            r"chances\[0\].to_s: before from_s",
        ),
        ("not toml", "not TOML: .*line 1"),
        (f"duration_s = -1\n{DEVICE}", r"scenario.toml: duration_s: Expected float ≥ 0"),
        (f"duration_s = 1\n{DEVICE.replace('889', '0')}", r"devices\[0\].id: the address of a fire device"),
        (f"duration_s = 1\n{DEVICE.replace('889', 'abc')}", r"devices\[0\].id: the address of a fire device"),
        (f"duration_s = 1\n{DEVICE.replace('889', '9' * 20)}", r"devices\[0\].id: the address of a fire device"),
        (f"duration_s = 1\n{DEVICE.replace('gbt26875', 'jt808').replace('889', '9' * 13)}", "has 12 digits at most"),
        (f"duration_s = 1\n{DEVICE}settings = {{ components = [] }}\n", r"devices\[0\].settings.components: "),
    ],
)
def test_a_bad_scenario_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    with pytest.raises(ScenarioError, match=said):
        load(file)


def test_a_large_venue_is_a_few_lines_and_the_same_each_time() -> None:
    scenario = load(LARGE)
    assert {spec.family for spec in scenario.devices} == set(SIMULATORS) == set(FAMILIES)
    assert len(scenario.devices) == 2_000 and scenario == load(LARGE)
    bands = [spec for spec in scenario.devices if spec.family == "watch"]
    assert [spec.id for spec in bands[:2]] == ["8800000001", "8800000002"] and len(bands) == 570
    assert len({(spec.settings["longitude"], spec.settings["latitude"]) for spec in bands}) == 570
    assert [spec.settings["unit"] for spec in scenario.devices if spec.family == "modbus"] == list(range(1, 61))
    assert len({spec.port for spec in scenario.devices if spec.family == "dahua"}) == 10
    sos = [event for event in scenario.events if event.device.startswith("watch:") and event.action == "sos"]
    assert len(sos) == 30 and all(30 <= event.at_s <= 280 for event in sos)
    assert len(truth_of(scenario)) > 200


def test_the_edge_file_of_a_scenario_is_one_that_an_edge_takes(tmp_path: Path) -> None:
    file, told = tmp_path / "edge.toml", []
    assert commands.run([str(LARGE), "--check", "--edge-file", str(file)], told.append) == 0, told
    found = config.load(file, FAMILIES)
    assert len(found.devices) == 2_000
    assert {link.family for link in found.links} == {spec.family for spec in load(LARGE).devices}


def test_faults_do_what_their_shares_say() -> None:
    frames = [b"frame"] * 1000
    assert [piece.data for piece in disturbed(frames, Faults(), random.Random(1))] == frames
    twice = disturbed(frames, Faults(duplicate=0.5), random.Random(1))
    assert 1400 < len(twice) < 1600
    dirty = disturbed(frames, Faults(garbage=0.5), random.Random(1))
    assert 1400 < len(dirty) < 1600
    dropped = disturbed(frames, Faults(drop=0.01), random.Random(1))
    assert dropped[-1].data is None
    assert len(dropped) < 1000
    assert any(piece.wait_s for piece in disturbed(frames, Faults(delay_s=1), random.Random(1)))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def test_the_relay_passes_cuts_and_restores() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, Relay("127.0.0.1", server.sockets[0].getsockname()[1]) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        relay.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            cut_reader, _ = await asyncio.open_connection("127.0.0.1", relay.port)
            await cut_reader.readexactly(1)
        relay.restore()
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        writer.close()
