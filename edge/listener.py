"""A listening port: takes connections a few at a time, and rests when the system has none to give.

asyncio's own server would take up to its backlog in one turn of the loop, and try as often when there is no descriptor
left: thousands of log lines a second. Here it is AT_ONCE in a turn, and one try in REST_S.

A connection whose TLS handshake is not over is nobody's yet and counts in no limit of a link: HANDSHAKES_MAX may be
there, for HANDSHAKE_S_MAX; beyond that the oldest gives way.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

AT_ONCE = 16
BACKLOG = 1_024
REST_S = 1.0
HANDSHAKES_MAX = 64
HANDSHAKE_S_MAX = 10.0


class Listener:
    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[OSError], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`protocol()` makes that of a new connection; `failed` is told each time when none can be taken."""
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._failed = failed
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._beginning: dict[asyncio.Task[None], None] = {}  # the oldest first

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Listen on every address of `host` ("" is all of this machine). Raises OSError."""
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
        try:
            for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
                listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
                listening.setblocking(False)
                self._sockets.append(listening)
        except OSError:
            self.close()
            raise
        for listening in self._sockets:
            self._listen(listening)

    def close(self) -> None:
        """No more connections; those that are there stay."""
        while self._sockets:
            listening = self._sockets.pop()
            self._loop.remove_reader(listening)
            listening.close()

    def _listen(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._take, listening)

    def _take(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                line, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._loop.remove_reader(listening)
                self._loop.call_later(REST_S, self._listen, listening)
                self._failed(error)
                return
            line.setblocking(False)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # no answer waits for an acknowledgement
            beginning = self._loop.create_task(self._begin(line))
            self._beginning[beginning] = None
            beginning.add_done_callback(self._beginning.pop)
            if len(self._beginning) > HANDSHAKES_MAX:
                next(iter(self._beginning)).cancel()

    async def _begin(self, line: socket.socket) -> None:
        try:
            limit_s = HANDSHAKE_S_MAX if self._tls else None
            await self._loop.connect_accepted_socket(self._protocol, line, ssl=self._tls, ssl_handshake_timeout=limit_s)
        except OSError:
            line.close()  # gone before it began, or no TLS
