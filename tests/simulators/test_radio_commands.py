"""Simulated radios are asked over their real links, as an edge asks them, and answer in their own words."""

import asyncio
from pathlib import Path

import pytest

from devices.family import DeviceCommand
from devices.observation import CommandAnswer
from edge import clock
from edge.mqtt import end
from simulators import commands
from simulators.play import Ledger, Play
from simulators.scenario import load
from tests.edge.site import until
from tests.edge.wired import behind
from tests.simulators.venue import CASES, links_of, scenario_text

TEXT = {"text": "到北门"}
TETRA = (("locate", {}, "confirmed"), ("text", TEXT, "accepted"), ("text", {"text": "Gate 3"}, "accepted"))
HYTERA = (("ping", {}, "confirmed"), ("locate", {}, "confirmed"), ("text", TEXT, "accepted"))
ASKED: dict[str, tuple[tuple[str, dict[str, str], str], ...]] = {
    "dmr": HYTERA,
    "dmr-motorola": (*HYTERA, ("track", {"every_s": "10"}, "accepted"), ("track", {"every_s": "0"}, "accepted")),
    **dict.fromkeys(("tetra", "tetra-tcp", "tetra-tcp_server", "tetra-udp"), TETRA),
}


@pytest.mark.parametrize("name", ASKED)
async def test_a_radio_answers_what_it_is_asked(tmp_path: Path, name: str) -> None:
    file, edge_file = tmp_path / "scenario.toml", tmp_path / "links.toml"
    file.write_text(scenario_text(CASES[name], "", tmp_path, 1883))
    assert commands.run([str(file), "--check", "--edge-file", str(edge_file)], lambda text: None) == 0
    scenario = load(file)
    play = Play(scenario, 1, Ledger(None), lambda text: None)
    radio = play._members[scenario.devices[0].device].device
    async with behind(tmp_path) as made, links_of(edge_file, made) as [link]:
        playing = asyncio.ensure_future(play.run())
        try:
            await until(lambda: made.rows("routine"), "heard")
            for number, (action, args, result) in enumerate(ASKED[name]):
                nonce = f"{number}"
                asked = DeviceCommand(nonce=nonce, native_id=radio.native_id, action=action, args=args)
                link.command(asked, clock.now())
                await until(lambda: len(made.answers) > number, action)  # noqa: B023 - awaited here
                assert made.answers[-1] == CommandAnswer(nonce=nonce, result=result)
        finally:
            await end([playing])
        texts = [args["text"] for action, args, _ in ASKED[name] if action == "text"]
        assert radio.texts == texts
