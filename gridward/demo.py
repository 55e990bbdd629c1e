"""`gridward demo`: the whole product on one machine, with a simulated venue.

Without --check it plays the scenario, tells what happens and runs until Ctrl-C. With --check it is its own operator and
auditor (gridward.rehearsal) and its exit code is the verdict. Whatever happens, no process of ours stays behind: see
gridward.processes.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

from msgspec import Struct
from rich.console import Console

from gridward import clock
from gridward.hub_client import HubError
from gridward.lock import only_demo
from gridward.processes import ProcessError
from gridward.rehearsal import Rehearsal
from gridward.stack import Stack
from gridward.venue import OPERATOR

SCENARIO = "wuzhen-evening.toml"
BROKER_PORT = 18830  # when it is free: an edge of one's own finds the demo again
WATCH_S = 0.5
OBITUARY_S_MAX = 2.0
FAILED = 1


class Wish(Struct, frozen=True, kw_only=True):
    """What the person asked for on the command line."""

    directory: Path
    check: bool
    speed: float
    keep: bool
    port: int
    scenario: Path | None


def run(wish: Wish, console: Console) -> int:
    """Run the demo to its end; the process's exit code. Raises ProcessError when the folder cannot be had."""
    with only_demo(wish.directory):
        return _run(wish, console)


def _run(wish: Wish, console: Console) -> int:
    began = clock.monotonic()

    def tell(text: str) -> None:
        console.print(f"[dim]{clock.monotonic() - began:6.1f} s[/dim]  {text}", highlight=False)

    scenario = wish.scenario or default_scenario()
    stack = Stack(wish.directory, scenario, tell, wish.port, broker_port=BROKER_PORT)
    with stopping_by_signal():
        try:
            with console.status("starting the venue"):
                stack.start(wish.keep)
            _introduce(stack, console)
            stack.start_simulators("--speed", str(wish.speed))
            pace = "as fast as life" if wish.speed == 1 else f"{wish.speed:g} times as fast as life"
            tell(f"devices of {scenario.stem} connect and play, {pace}")
            return _rehearse(stack, console, tell) if wish.check else _watch(stack, tell)
        except KeyboardInterrupt:
            tell("stopping")
            return FAILED if wish.check else 0
        except (ProcessError, HubError) as error:
            console.print("[red]stopped:[/red]", end=" ")
            console.print(_explained(stack, error), highlight=False, markup=False)
            return FAILED
        finally:
            with ignoring_signals():
                stack.stop()
            tell("every process has ended")


def _explained(stack: Stack, error: Exception) -> str:
    """A hub that died shows first as a request that failed; its end says more than that."""
    give_up_at = clock.monotonic() + OBITUARY_S_MAX
    while isinstance(error, HubError) and clock.monotonic() < give_up_at:
        try:
            stack.check_alive()
        except ProcessError as end:
            return str(end)
        clock.pause(WATCH_S / 5)
    return str(error)


def default_scenario() -> Path:
    return Path(str(resources.files("simulators") / "scenarios" / SCENARIO))


def _introduce(stack: Stack, console: Console) -> None:
    console.print()
    console.print(f"  console   {stack.venue.console_url}", highlight=False)
    console.print(f"  user      {OPERATOR}", highlight=False)
    console.print(f"  password  {stack.venue.password}", highlight=False, markup=False)
    console.print(f"  broker    {stack.broker.host}:{stack.broker.port} (for an edge of your own: docs/install.md)")
    console.print(f"  files     {stack.directory}\n", highlight=False, soft_wrap=True)


def _watch(stack: Stack, tell: Any) -> int:
    """Tell each new or changed incident until Ctrl-C, or until something breaks."""
    tell("press Ctrl-C to stop")
    shown: dict[int, str] = {}
    told_end = False
    while True:
        stack.check_alive()
        for incident in _incidents(stack):
            line = f"incident {incident['incident']}: P{incident['priority']} {incident['kind']}, "
            line += f"{incident['zone_name_en'] or incident['subject_name'] or 'no zone'}: {incident['phase']}"
            if shown.get(incident["incident"]) != line:
                shown[incident["incident"]] = line
                tell(line)
        if stack.played and not told_end:
            told_end = True
            tell("the scenario has been played; the console stays open until Ctrl-C")
        clock.pause(WATCH_S)


def _incidents(stack: Stack) -> list[dict[str, Any]]:
    return stack.client.incidents() if stack.client is not None else []


def _rehearse(stack: Stack, console: Console, tell: Any) -> int:
    report = Rehearsal(stack, tell).play()
    report.show(console)
    return 0 if report.clean else FAILED


@contextmanager
def stopping_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP (the terminal was closed) stop the demo as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ignoring_signals() -> Iterator[None]:
    """An impatient second Ctrl-C does not cut the stopping short."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
