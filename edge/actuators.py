"""Things that the edge can switch: sirens, doors, lamps. One name each; what a kind does stands in its own module.

Rules
- `drive` returns at once and never raises: each actuator has a thread of its own (edge.switch).
- What was done, or why not, is told to `report` for the record, and to the one who asked. An actuator that does not
  come back in time has failed, like any other.
- What a rule wants is tried again every RETRY_S while it fails and nothing newer is wanted, ATTEMPTS_MAX times. What a
  person commands is tried once: nobody expects a door to open a minute after it was said that it did not.
- An act that a newer one overtook before it was tried is no failure: only the one who commanded it is told.
- How an actuator stands is read from it at the start, where it can be read.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from msgspec import Struct
from msgspec.structs import replace

from edge import clock, config
from edge.gpio_file import GpioFile
from edge.rules import Act
from edge.switch import OVERTAKEN, Outcome, Output, Switch

RETRY_S = 1.0
ATTEMPTS_MAX = 600
CLOSE_S_MAX = 3.0  # for all of them together
LOOK_S_MAX = 0.5  # a start does not wait longer for a unit that is away
HANGS = "does not come back"

log = structlog.get_logger()


class Attempt(Struct, eq=False):
    act: Act
    done: Outcome | None
    number: int
    settled: bool = False
    timer: asyncio.TimerHandle | None = None


class Actuators:
    """`look` once before the first drive."""

    def __init__(self, configured: Sequence[config.Actuator], report: Callable[[Act, str], None]) -> None:
        """`report(act, error)` is called in the event loop: for each act done, and for the first and last failure."""
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._wanted: dict[str, Act] = {}
        self._owed: dict[str, Act] = {}  # what a rule wants and has not been seen to happen
        self._seen = {one.name: "unknown" for one in configured}
        self._looking = set(self._seen)
        self._looked = asyncio.Event()
        self._switches = {one.name: self._switch(one) for one in configured}

    @property
    def names(self) -> list[str]:
        return sorted(self._switches)

    @property
    def states(self) -> dict[str, str]:
        """Name -> "on" or "off" as it was last seen, "unknown" when it cannot be read and after a drive that failed."""
        return dict(self._seen)

    async def look(self) -> None:
        """Until it is known how all of them stand, at most LOOK_S_MAX; the others are told of when they answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S_MAX if self._looking else 0):
                await self._looked.wait()

    def drive(self, act: Act, done: Outcome | None = None) -> None:
        """`act.actuator` must exist: rules were checked when they were read. With `done` it is tried only once."""
        self._wanted[act.actuator] = act
        if done is None:
            self._owed[act.actuator] = act
        self._attempt(Attempt(act, done, 1))

    def close(self) -> None:
        """May wait for a unit that does not answer: not for the event loop."""
        self._wanted.clear()
        self._owed.clear()
        for switch in self._switches.values():
            switch.close()
        give_up_at = clock.monotonic() + CLOSE_S_MAX
        for switch in self._switches.values():
            switch.join(give_up_at - clock.monotonic())

    def _switch(self, one: config.Actuator) -> Switch:
        return Switch(one.name, _output(one), lambda stands: self._from_thread(self._found, one.name, stands))

    def _from_thread(self, told: Callable[..., None], *words: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(told, *words)

    def _found(self, name: str, stands: bool | None) -> None:
        if name not in self._wanted and stands is not None:
            self._seen[name] = _word(stands)
        self._looking.discard(name)
        if not self._looking:
            self._looked.set()

    def _attempt(self, attempt: Attempt) -> None:
        switch = self._switches[attempt.act.actuator]
        wish = switch.set(attempt.act.on, lambda error: self._from_thread(self._told, attempt, error))

        def give_up() -> None:
            wish.void = True
            self._told(attempt, HANGS)

        attempt.timer = self._loop.call_later(switch.answer_s_max, give_up)

    def _told(self, attempt: Attempt, error: str) -> None:
        act, number = attempt.act, attempt.number
        newest = self._wanted.get(act.actuator) is act
        if newest and error != OVERTAKEN:
            self._seen[act.actuator] = "unknown" if error else _word(act.on)
        if attempt.settled:  # too late: it was said that it hangs
            return
        attempt.settled = True
        if attempt.timer is not None:
            attempt.timer.cancel()
        last = number >= ATTEMPTS_MAX or not newest
        if newest and (not error or number >= ATTEMPTS_MAX):
            self._owed.pop(act.actuator, None)
        if error != OVERTAKEN and (not error or number == 1 or last):
            self._say(act, error)
        if attempt.done is not None:
            attempt.done(error)
            if error and newest:
                self._resume(act.actuator)
        elif error and not last:
            self._loop.call_later(RETRY_S, self._again, act, number + 1)

    def _resume(self, name: str) -> None:
        """A person's command failed: what a rule still wants is tried further, as another act than the one given up."""
        if name in self._owed:
            act = self._owed[name] = self._wanted[name] = replace(self._owed[name])
            self._loop.call_later(RETRY_S, self._again, act, 2)

    def _again(self, act: Act, number: int) -> None:
        if self._wanted.get(act.actuator) is act:
            self._attempt(Attempt(act, None, number))

    def _say(self, act: Act, error: str) -> None:
        if error:
            log.error("actuator_failed", actuator=act.actuator, state=_word(act.on), cause=act.cause, error=error)
        else:
            log.info("actuator_set", actuator=act.actuator, state=_word(act.on), cause=act.cause)
        self._report(act, error)


def _word(on: bool) -> str:
    return "on" if on else "off"


def _output(one: config.Actuator) -> Output:
    if isinstance(one, config.GpioFile):
        return GpioFile(one.path)
    from edge.modbus_units import ModbusCoil  # noqa: PLC0415 - pymodbus costs memory that most gateways do not need

    return ModbusCoil(one.host, one.port, one.unit, one.coil, one.timeout_s)
