"""One device on its TCP connection: dials, moves bytes, hangs up and dials again. The only code that knows sockets.

A device that cannot be reached is dialled again with full jitter, for ever; who plays the scenario ends it. What a
device raises is a bug of ours, and ends the line with it.
"""

import asyncio
import random
from collections.abc import Callable

from msgspec import Struct

from simulators import clock
from simulators.device import Accepted, SimulatedDevice
from simulators.faults import disturbed
from simulators.scenario import DeviceSpec, Faults

TICK_S = 0.1
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.2, 3.0
READ_BYTES = 65536
CLOSE_S_MAX = 1.0


class Counts(Struct):
    connections: int = 0
    lost: int = 0
    accepted: int = 0


class Line:
    """`run` it as a task; `accepted` gets every row that the other side confirmed."""

    def __init__(
        self,
        spec: DeviceSpec,
        device: SimulatedDevice,
        *,
        faults: Faults,
        seed: int,
        accepted: Callable[[list[Accepted]], None],
        counts: Counts,
    ) -> None:
        self.device = device
        self._spec = spec
        self._faults = faults
        self._random = random.Random(f"{seed}/line/{spec.device}")
        self._accepted = accepted
        self._counts = counts

    async def run(self) -> None:
        """Until cancelled; raises only what the device raises."""
        attempt = 0
        while True:
            began = clock.monotonic()
            try:
                await self._connect_once()
            except OSError:
                attempt += 1
            else:
                attempt = 0
            if clock.monotonic() - began > BACKOFF_S_MAX:
                attempt = 0
            await clock.sleep(self._random.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(attempt, 10))))

    async def _connect_once(self) -> None:
        reader, writer = await asyncio.open_connection(self._spec.host, self._spec.port)
        self._counts.connections += 1
        self.device.connected(clock.now())
        listening = asyncio.ensure_future(self._listen(reader))
        hang_up_at = clock.monotonic() + self._faults.reconnect_every_s if self._faults.reconnect_every_s else None
        try:
            while not listening.done() and await self._write(writer):
                if hang_up_at is not None and clock.monotonic() > hang_up_at:
                    break
                await asyncio.wait([listening], timeout=TICK_S)
        finally:
            self._counts.lost += 1
            listening.cancel()
            writer.close()
            await asyncio.wait([asyncio.ensure_future(_closed(writer))], timeout=CLOSE_S_MAX)
            [heard] = await asyncio.gather(listening, return_exceptions=True)
        if isinstance(heard, Exception):
            raise heard

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(READ_BYTES):
            self.device.receive(data, clock.now())
            rows = self.device.accepted()
            self._counts.accepted += len(rows)
            self._accepted(rows)

    async def _write(self, writer: asyncio.StreamWriter) -> bool:
        """What the device has to say; False when the line was dropped."""
        self.device.tick(clock.now())
        for piece in disturbed(self.device.to_send(), self._faults, self._random):
            if piece.data is None:
                return False
            if piece.wait_s:
                await clock.sleep(piece.wait_s)
            writer.write(piece.data)
        await writer.drain()
        return True


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except OSError:
        return
