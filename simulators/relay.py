"""A TCP fault proxy: between an edge and its broker, or a device and its edge.

`cut()` ends every connection and takes no new one until `restore()`; `delay_s` holds each piece back on its way, in
both directions, and keeps the order.
"""

import asyncio

from simulators import clock

PIECE_BYTES = 65536


class Relay:
    """`async with Relay(host, port) as relay:` listens on `relay.port`."""

    def __init__(self, host: str, port: int, delay_s: float = 0.0) -> None:
        self._target = (host, port)
        self.delay_s = delay_s
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut = False

    @property
    def port(self) -> int:
        assert self._server is not None, "not started"
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def restore(self) -> None:
        self._cut = False

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self.connections += 1
        for one, other in ((reader, far_writer), (far_reader, writer)):
            self._open.add(other)
            task = asyncio.ensure_future(self._pump(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(PIECE_BYTES):
                if self.delay_s:
                    await clock.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            self._open.discard(writer)
            writer.close()
