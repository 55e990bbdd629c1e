"""Things that the edge can switch: sirens, doors, lamps. One name each; what a kind does stands in its own module.

Rules
- `drive` returns at once. What it takes longer than a file write happens in a thread of the actuator.
- What was done, or why not, is told to `report` for the record, and to the one who asked.
- A drive that fails is tried again by its actuator, as long as nothing newer is wanted.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from edge import config
from edge.gpio_file import GpioFile
from edge.rules import Act

log = structlog.get_logger()

Outcome = Callable[[str], None]  # "" when the actuator was seen to be in the wanted state, else why not


class Actuator(Protocol):
    def set(self, on: bool, done: Outcome) -> None:
        """Switch; `done` may be called from another thread, and is called once for each call."""

    def close(self) -> None: ...


class Actuators:
    def __init__(self, configured: Sequence[config.Actuator], report: Callable[[Act, str], None]) -> None:
        """`report(act, error)` is called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._report = report
        self._actuators = {one.name: _made(one) for one in configured}

    @property
    def names(self) -> list[str]:
        return sorted(self._actuators)

    def drive(self, act: Act, done: Outcome | None = None) -> None:
        """`act.actuator` must exist: rules were checked when they were read."""

        def told(error: str) -> None:
            self._loop.call_soon_threadsafe(self._told, act, error, done)

        self._actuators[act.actuator].set(act.on, told)

    def close(self) -> None:
        for actuator in self._actuators.values():
            actuator.close()

    def _told(self, act: Act, error: str, done: Outcome | None) -> None:
        state = "on" if act.on else "off"
        if error:
            log.error("actuator_failed", actuator=act.actuator, state=state, cause=act.cause, error=error)
        else:
            log.info("actuator_set", actuator=act.actuator, state=state, cause=act.cause)
        self._report(act, error)
        if done is not None:
            done(error)


def _made(one: config.Actuator) -> Actuator:
    if isinstance(one, config.GpioFile):
        return GpioFile(one.path)
    from edge.modbus_coil import ModbusCoil  # noqa: PLC0415 - pymodbus costs memory that most gateways do not need

    return ModbusCoil(one.host, one.port, one.unit, one.coil, one.timeout_s)
