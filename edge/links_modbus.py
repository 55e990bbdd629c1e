"""Modbus links: every unit's registers are read again and again, and what they hold is the session's message.

Rules
- All reads of a round one after the other, in a thread: a bus carries one at a time. A unit that does not answer costs
  its time limit and is passed over; the others are read. Lost and found again are a line each unit.
- A round begins `period_s` after the one before began, or at once when that took longer. While the link holds, or the
  spool does not take what was read, nothing is read.
- A crash inside the session begins a new one.
"""

import asyncio
from datetime import datetime

import structlog

from devices.families.modbus import Read, Settings, reads
from devices.family import CommandRefused, DeviceCommand, Message, MessageFamily
from edge import clock
from edge.flow import NO_WAY, Flow, LinkError, Seldom, Wiring, hand_over
from edge.modbus_units import Bus, UnitError
from edge.mqtt import end
from edge.supervisor import apart, supervise

log = structlog.get_logger()


class ModbusLink:
    def __init__(self, wiring: Wiring, family: MessageFamily, bus: Bus, period_s: float) -> None:
        """Raises LinkError when the family is not `modbus`, whose settings say what is read."""
        if not isinstance(wiring.settings, Settings):
            raise LinkError(f"link {wiring.name}: {family.name} does not say what to read")
        self.name = wiring.name
        self.port = 0
        self.flow = Flow(wiring.rows_max, lambda: None, lambda: None)
        self._wiring = wiring
        self._family = family
        self._reads = reads(wiring.settings)
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._bus = bus
        self._period_s = period_s
        self._lost: set[int] = set()
        self._answering: set[int] = set()
        self._crash = Seldom()
        self._reading: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Units that answered when last asked."""
        return len(self._answering)

    async def open(self) -> None:
        self._reading = asyncio.create_task(supervise(f"link {self.name}", self._read_for_ever))

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        if self._reading is not None:
            await end([self._reading])
        await apart(self._bus.close)

    def sweep(self) -> None:
        """Silence is noticed by asking."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        raise CommandRefused(NO_WAY)

    async def _read_for_ever(self) -> None:
        while True:
            began = clock.monotonic()
            failed: set[int] = set()
            for read in self._reads:
                if not self.flow.holding and read.unit not in failed and not await self._one(read):
                    failed.add(read.unit)
            await clock.sleep(max(began + self._period_s - clock.monotonic(), 0.0))

    async def _one(self, read: Read) -> bool:
        """Whether the unit answered."""
        try:
            data = await apart(self._bus.read, read.unit, read.table, read.address, read.count)
        except UnitError as error:
            self._say_lost(read.unit, str(error))
            return False
        except Exception as error:  # pymodbus stumbles over an answer: that unit's, the others are read
            self._say_lost(read.unit, f"an answer that cannot be read: {type(error).__name__}")
            return False
        self._say_found(read.unit)
        try:
            results = self._session.receive(Message(read.channel, data), clock.now())
        except Exception:
            self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            return True
        if await hand_over(self._wiring, self.flow, results) is not None:
            # What the session took for told was not: a new one tells it again.
            self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)
        return True

    def _say_lost(self, unit: int, error: str) -> None:
        self._answering.discard(unit)
        if unit not in self._lost:
            self._lost.add(unit)
            log.warning("unit_lost", link=self.name, unit=unit, error=error)

    def _say_found(self, unit: int) -> None:
        self._answering.add(unit)
        if unit in self._lost:
            self._lost.discard(unit)
            log.info("unit_recovered", link=self.name, unit=unit)
