"""Lines that carry bytes: a device dials, waits to be dialled, or sits at a serial line. The only code that knows them.

A device that cannot be reached is dialled again with full jitter, for ever; who plays the scenario ends it. What a
device raises is a bug of ours, and ends the line with it. Devices that share a line (readers on a bus, radios behind a
server) all hear what comes and speak in turn.
"""

import asyncio
import contextlib
import os
import random
import tty
from collections.abc import Sequence
from pathlib import Path

from simulators import clock
from simulators.faults import disturbed
from simulators.stage import BACKOFF_S_MAX, Member, Stage, backoff_s

READ_BYTES = 65536
CLOSE_S_MAX = 1.0
WAITING_MAX = 4  # connections to a device that serves one


class _Line:
    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        self._members = members
        self._stage = stage
        self._spec = members[0].spec
        self._random: random.Random = stage.chance(members)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the line ends; raises OSError and what a device raises."""
        self._stage.counts.connections += 1
        for member in self._members:
            member.device.connected(clock.now())
        listening = asyncio.ensure_future(self._listen(reader, writer))
        storm_s = self._stage.faults.reconnect_every_s
        hang_up_at = clock.monotonic() + storm_s if storm_s else None
        try:
            while not listening.done() and await self._write(writer, tick=True):
                if hang_up_at is not None and clock.monotonic() > hang_up_at:
                    break
                await asyncio.wait([listening], timeout=self._stage.tick_s)
        finally:
            self._stage.counts.lost += 1
            listening.cancel()
            writer.close()
            await asyncio.wait([asyncio.ensure_future(_closed(writer))], timeout=CLOSE_S_MAX)
            [heard] = await asyncio.gather(listening, return_exceptions=True)
        if isinstance(heard, Exception):
            raise heard

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_BYTES):
            for member in self._members:
                member.device.receive(data, clock.now())
            self._stage.collect(self._members)
            if not await self._write(writer, tick=False):
                return

    async def _write(self, writer: asyncio.StreamWriter, tick: bool) -> bool:
        """What the devices have to say; False when the line was dropped."""
        for member in self._members:
            if tick:
                member.device.tick(clock.now())
            for piece in disturbed(member.device.to_send(), self._stage.faults, self._random):
                if piece.data is None:
                    return False
                if piece.wait_s:
                    await clock.sleep(piece.wait_s)
                writer.write(piece.data)
        await writer.drain()
        self._stage.collect(self._members)
        return True


class Line(_Line):
    """TCP; the device dials."""

    async def run(self) -> None:
        """Until cancelled; raises only what the device raises."""
        attempt = 0
        while True:
            began = clock.monotonic()
            try:
                await self._talk(*await self._dial())
            except OSError:
                attempt += 1
            else:
                attempt = 0
            if clock.monotonic() - began > BACKOFF_S_MAX:
                attempt = 0
            await clock.sleep(backoff_s(self._random, attempt))

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port, listened = self._spec.host, self._spec.port, self._stage.counts.listened
        listened.setdefault(f"{host}:{port}", False)
        streams = await asyncio.open_connection(host, port)
        listened[f"{host}:{port}"] = True
        return streams


class ListeningLine(_Line):
    """TCP; the devices wait to be dialled and speak to one centre at a time."""

    async def run(self) -> None:
        """Until cancelled; raises what a device raises."""
        dialled: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue(WAITING_MAX)

        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await dialled.put((reader, writer))

        async with await asyncio.start_server(taken, self._spec.host, self._spec.port):
            while True:
                with contextlib.suppress(OSError):
                    await self._talk(*await dialled.get())


class SerialLine(_Line):
    """One end of a pty pair; the other is at `path` of the scenario, as a serial line would be."""

    async def run(self) -> None:
        """Until cancelled; raises what a device raises."""
        ours, theirs = os.openpty()
        place = Path(self._spec.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        try:
            tty.setraw(theirs)
            place.symlink_to(os.ttyname(theirs))
            while True:
                with contextlib.suppress(OSError):
                    await self._talk(*await _streams(ours))
        finally:
            place.unlink(missing_ok=True)
            os.close(ours)
            os.close(theirs)


async def _streams(handle: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(os.dup(handle), "rb", 0))
    transport, _ = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(os.dup(handle), "wb", 0)
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except OSError:
        return
