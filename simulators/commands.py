"""The command line of `python -m simulators`: play a scenario's devices, or replay recorded frames, against an edge."""

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import json
from msgspec.structs import replace

from simulators.edge_file import edge_document, edge_toml, password_file
from simulators.play import Ledger, Play
from simulators.replay import ReplayError, replay
from simulators.scenario import ScenarioError, load
from simulators.spec import Scenario
from simulators.truth import truth_of

UNANSWERED, REFUSED = 1, 2
SPEED_MAX = 10_000
EXAMPLE = """\
Example: gridward simulate simulators/scenarios/wuzhen-evening.toml --speed 10
         gridward simulate simulators/scenarios/wuzhen-evening.toml --check --truth truth.jsonl
         gridward simulate simulators/scenarios/venue-large.toml --check --edge-file site/edge.toml
         gridward simulate --replay recorded.jsonl --port 26900

A scenario's form is told in simulators/scenario.py; faults (drop, delay, duplicate, garbage, reconnect storms) are part
of it. Exit codes: 0 played to the end and all answered, or stopped by a signal; 1 reports stayed unanswered, or nobody
listened; 2 the files are wrong. The ledger holds what was confirmed to the devices, the truth what has to happen
whatever is confirmed.
"""

Tell = Callable[[str], None]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="gridward simulate",
        description="Simulated devices of every family on their real wire.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("scenario", nargs="?", type=Path, help="scenario file (TOML)")
    made.add_argument("--speed", type=float, default=1.0, help="times as fast as life (default 1)")
    made.add_argument("--only", default="", metavar="FAMILY", help="play only the devices of this family")
    made.add_argument("--ledger", type=Path, metavar="FILE", help="append what was accepted, as JSON lines")
    made.add_argument("--truth", type=Path, metavar="FILE", help="write which alarms must come and when, as JSON lines")
    made.add_argument("--edge-file", type=Path, metavar="FILE", help="write the edge file that goes with the scenario")
    made.add_argument("--check", action="store_true", help="read the scenario, write its truth, play nothing")
    made.add_argument("--replay", type=Path, metavar="FILE", help="send the frames of a vector file instead")
    made.add_argument("--host", default="127.0.0.1", help="with --replay: where to")
    made.add_argument("--port", type=int, default=0, help="with --replay: where to")
    return made


def run(words: Sequence[str], tell: Tell) -> int:
    """The exit code."""
    options = parser().parse_args(words)
    try:
        if options.replay is not None and not options.port:
            parser().error("--replay needs --port, and --host when it is not this machine")
        if options.replay is not None:
            sent = asyncio.run(replay(options.replay, options.host, options.port, tell))
            tell(f"{sent} frames sent")
            return 0
        if options.scenario is None:
            parser().error("give a scenario file, or --replay FILE")
        if not 0 < options.speed <= SPEED_MAX:
            parser().error(f"--speed: more than 0 and at most {SPEED_MAX}")
        return _play(options, tell)
    except (ScenarioError, ReplayError) as error:
        tell(f"gridward simulate: {error}")
        return REFUSED
    except KeyboardInterrupt:
        return 0


def _play(options: argparse.Namespace, tell: Tell) -> int:
    scenario = load(options.scenario)
    families = sorted({spec.family for spec in scenario.devices})
    if options.only:
        if options.only not in families:
            there = ", ".join(families)
            raise ScenarioError(f"{options.scenario}: no devices of family {options.only!r}; there are {there}")
        scenario = _part(scenario, options.only)
    truth = truth_of(scenario, str(options.scenario))
    if options.truth is not None:
        _write(options.truth, b"".join(json.encode(row) + b"\n" for row in truth))
    if options.edge_file is not None:
        _write_edge_file(scenario, options.edge_file)
    if options.check:
        counted = f"{len(scenario.devices)} devices, {len(scenario.events)} events"
        tell(f"{options.scenario}: {counted}, from which {len(truth)} alarms and events must come")
        return 0
    return asyncio.run(_play_all(scenario, options, tell))


async def _play_all(scenario: Scenario, options: argparse.Namespace, tell: Tell) -> int:
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
        f"{len(scenario.devices)} devices, {play.counts.accepted} rows accepted, {play.counts.said} said that nobody "
        f"confirms, {unanswered} unanswered, {play.counts.connections} connections"
    )
    nobody = [where for where, took in play.counts.listened.items() if not took]
    for where in nobody:
        tell(f"gridward simulate: nobody listened on {where}")
    return UNANSWERED if unanswered or nobody else 0


def _write_edge_file(scenario: Scenario, path: Path) -> None:
    """With the passwords that it names beside it."""
    state_dir = path.parent / "state"
    state_dir.mkdir(parents=True, exist_ok=True)
    _write(path, edge_toml(edge_document(scenario, str(state_dir))).encode())
    for spec in scenario.devices:
        if spec.password:
            _write(password_file(spec, state_dir), spec.password.encode())
            password_file(spec, state_dir).chmod(0o600)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error


def _part(scenario: Scenario, family: str) -> Scenario:
    """The devices of one family and what happens to them; the length stays that of the whole."""
    devices = tuple(spec for spec in scenario.devices if spec.family == family)
    names = {spec.device for spec in devices}
    return replace(scenario, devices=devices, events=tuple(event for event in scenario.events if event.device in names))
