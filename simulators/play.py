"""Playing a scenario: all its devices in this process, their world events in time, and the ledger of what was accepted.

The ledger is a file of JSON lines, opened for appending by each process that plays a part of the scenario; a line is
one write, so lines of several processes do not mix.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import json

from simulators import clock
from simulators.device import Accepted
from simulators.lines import lines_of
from simulators.scenario import ScenarioError, build
from simulators.spec import Scenario, WorldEvent
from simulators.stage import TICK_S, Counts, Member, Stage

DRAIN_S_MAX = 60.0
DEVICES_PER_S_MAX = 4_000  # are asked what they have to say
LOOK_S = 0.1

Tell = Callable[[str], None]
Said = Callable[[list[Accepted]], None]


class Ledger:
    """Rows that the other side has confirmed; nothing is written when `path` is None. Raises ScenarioError."""

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            self._handle = os.open(path, flags, 0o644) if path is not None else None
        except OSError as error:
            raise ScenarioError(f"{path}: {error.strerror}") from error

    def write(self, rows: list[Accepted]) -> None:
        if self._handle is None:
            return
        for row in rows:
            os.write(self._handle, json.encode(row) + b"\n")


class Play:
    """One playing of `scenario`, `speed` times as fast as life; devices keep their own pace on the wire."""

    def __init__(
        self, scenario: Scenario, speed: float, ledger: Ledger, tell: Tell, said: Said = lambda rows: None
    ) -> None:
        """`said` gets what devices say that nobody confirms."""
        self._scenario = scenario
        self._speed = speed
        self._tell = tell
        self.counts = Counts()
        self._members = {spec.device: Member(spec, build(spec, scenario.seed)) for spec in scenario.devices}
        stage = Stage(
            faults=scenario.faults,
            seed=scenario.seed,
            counts=self.counts,
            accepted=ledger.write,
            said=said,
            tick_s=max(TICK_S, len(scenario.devices) / DEVICES_PER_S_MAX),
        )
        self._lines = lines_of(list(self._members.values()), stage)

    @property
    def unanswered(self) -> int:
        return sum(member.device.unanswered for member in self._members.values())

    async def run(self) -> int:
        """Play to the end, then wait for what is unanswered; how many reports still are."""
        began = clock.monotonic()
        running = [asyncio.create_task(line.run()) for line in self._lines]
        try:
            for event in sorted(self._scenario.events, key=lambda event: event.at_s):
                await self._until(began, event.at_s, running)
                self._act(event)
            await self._until(began, self._scenario.duration_s, running)
            give_up_at = clock.monotonic() + DRAIN_S_MAX
            while self.unanswered and clock.monotonic() < give_up_at:
                await self._look(running, LOOK_S)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return self.unanswered

    async def _until(self, began: float, at_s: float, running: list["asyncio.Task[None]"]) -> None:
        wait_s = began + at_s / self._speed - clock.monotonic()
        if wait_s > 0:
            await self._look(running, wait_s)

    async def _look(self, running: list["asyncio.Task[None]"], wait_s: float) -> None:
        """Wait; a line that ended has a bug of ours, which is raised here."""
        done, _ = await asyncio.wait(running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _act(self, event: WorldEvent) -> None:
        self._members[event.device].device.act(event.action, event.args, clock.now())
        self._tell(f"{event.at_s:6.1f} s  {event.device}: {event.action}")
