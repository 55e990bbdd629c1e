"""The command line of `python -m simulators`: play a scenario's devices, or replay recorded frames, against an edge."""

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from simulators.parts import play_parts
from simulators.play import Ledger, Play
from simulators.replay import ReplayError, replay
from simulators.scenario import Scenario, ScenarioError, load

REFUSED = 2
EXAMPLE = """examples:
  python -m simulators simulators/scenarios/wuzhen-evening.toml --speed 10
  python -m simulators --replay vectors/watch.jsonl --host 127.0.0.1 --port 26900
"""

Tell = Callable[[str], None]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="gridward simulate",
        description="Simulated fire panels, bands and vehicle terminals on their real wire.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("scenario", nargs="?", type=Path, help="scenario file (TOML)")
    made.add_argument("--speed", type=float, default=1.0, help="times as fast as life (default 1)")
    made.add_argument("--only", default="", metavar="FAMILY", help="play only the devices of this family")
    made.add_argument("--ledger", type=Path, help="append what was accepted, as JSON lines")
    made.add_argument("--replay", type=Path, metavar="FILE", help="send the frames of a vector file instead")
    made.add_argument("--host", default="127.0.0.1", help="with --replay: where to")
    made.add_argument("--port", type=int, default=0, help="with --replay: where to")
    return made


def run(words: Sequence[str], tell: Tell) -> int:
    """The exit code."""
    options = parser().parse_args(words)
    try:
        if options.replay is not None:
            sent = asyncio.run(replay(options.replay, options.host, options.port, tell))
            tell(f"{sent} frames sent")
            return 0
        if options.scenario is None or options.speed <= 0:
            parser().error("give a scenario file and a speed above 0")
        return _play(options, words, tell)
    except (ScenarioError, ReplayError) as error:
        tell(f"gridward simulate: {error}")
        return REFUSED
    except KeyboardInterrupt:
        return 0


def _play(options: argparse.Namespace, words: Sequence[str], tell: Tell) -> int:
    scenario = load(options.scenario)
    families = sorted({spec.family for spec in scenario.devices})
    if options.only and options.only not in families:
        raise ScenarioError(
            f"{options.scenario}: no devices of family {options.only!r}; there are {', '.join(families)}"
        )
    if not options.only and len(families) > 1:
        return play_parts(families, words)
    family = options.only or families[0]
    return asyncio.run(_play_family(_part(scenario, family), options, tell))


async def _play_family(scenario: Scenario, options: argparse.Namespace, tell: Tell) -> int:
    play = Play(scenario, options.speed, Ledger(options.ledger), tell)
    playing = asyncio.ensure_future(play.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel)
    try:
        unanswered = await playing
    except asyncio.CancelledError:
        return 0
    tell(
        f"{scenario.devices[0].family}: {len(scenario.devices)} devices, {play.counts.accepted} reports accepted, "
        f"{unanswered} unanswered, {play.counts.connections} connections"
    )
    return 0


def _part(scenario: Scenario, family: str) -> Scenario:
    """The devices of one family and what happens to them; the length stays that of the whole."""
    devices = tuple(spec for spec in scenario.devices if spec.family == family)
    names = {spec.device for spec in devices}
    return replace(scenario, devices=devices, events=tuple(event for event in scenario.events if event.device in names))
