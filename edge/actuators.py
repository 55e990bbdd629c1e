"""Things that the edge can switch: sirens, doors, lamps. One name each; what a kind does stands in its own module.

Rules
- `drive` returns at once. What it takes longer than a file write happens in a thread of the actuator.
- What was done, or why not, is told to `report` for the record, and to the one who asked.
- What a rule wants is tried again every RETRY_S while it fails and nothing newer is wanted, ATTEMPTS_MAX times. What a
  person commands is tried once: nobody expects a door to open a minute after it was said that it did not.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from msgspec.structs import replace

from edge import config
from edge.gpio_file import GpioFile
from edge.rules import Act

RETRY_S = 1.0
ATTEMPTS_MAX = 600

log = structlog.get_logger()

Outcome = Callable[[str], None]  # "" when the actuator was seen to be in the wanted state, else why not


class Actuator(Protocol):
    def set(self, on: bool, done: Outcome) -> None:
        """Try once; `done` may be called from another thread, and is called once for each call."""

    def close(self) -> None:
        """End what runs; may take a few seconds."""


class Actuators:
    def __init__(self, configured: Sequence[config.Actuator], report: Callable[[Act, str], None]) -> None:
        """`report(act, error)` is called in the event loop: for each act done, and for the first and last failure."""
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._actuators = {one.name: _made(one) for one in configured}
        self._wanted: dict[str, Act] = {}
        self._owed: dict[str, Act] = {}  # what a rule wants and has not been seen to happen
        self._seen = dict.fromkeys(self._actuators, "unknown")

    @property
    def names(self) -> list[str]:
        return sorted(self._actuators)

    @property
    def states(self) -> dict[str, str]:
        """Name -> "on" or "off" as it was last seen, "unknown" before the first drive and after one that failed."""
        return dict(self._seen)

    def drive(self, act: Act, done: Outcome | None = None) -> None:
        """`act.actuator` must exist: rules were checked when they were read. With `done` it is tried only once."""
        self._wanted[act.actuator] = act
        if done is None:
            self._owed[act.actuator] = act
        self._attempt(act, done, 1)

    def close(self) -> None:
        """May wait for a unit that does not answer: not for the event loop."""
        self._wanted.clear()
        self._owed.clear()
        for actuator in self._actuators.values():
            actuator.close()

    def _attempt(self, act: Act, done: Outcome | None, number: int) -> None:
        def told(error: str) -> None:
            self._loop.call_soon_threadsafe(self._told, act, done, number, error)

        self._actuators[act.actuator].set(act.on, told)

    def _told(self, act: Act, done: Outcome | None, number: int, error: str) -> None:
        newest = self._wanted.get(act.actuator) is act
        last = number >= ATTEMPTS_MAX or not newest
        if newest:
            self._seen[act.actuator] = "unknown" if error else _word(act)
        if newest and (not error or number >= ATTEMPTS_MAX):
            self._owed.pop(act.actuator, None)
        if not error or number == 1 or last:
            self._say(act, error)
        if done is not None:
            done(error)
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
            self._attempt(act, None, number)

    def _say(self, act: Act, error: str) -> None:
        if error:
            log.error("actuator_failed", actuator=act.actuator, state=_word(act), cause=act.cause, error=error)
        else:
            log.info("actuator_set", actuator=act.actuator, state=_word(act), cause=act.cause)
        self._report(act, error)


def _word(act: Act) -> str:
    return "on" if act.on else "off"


def _made(one: config.Actuator) -> Actuator:
    if isinstance(one, config.GpioFile):
        return GpioFile(one.path)
    from edge.modbus_coil import ModbusCoil  # noqa: PLC0415 - pymodbus costs memory that most gateways do not need

    return ModbusCoil(one.host, one.port, one.unit, one.coil, one.timeout_s)
