"""simulators.relay in a thread of its own, for tests that are not asynchronous."""

import asyncio
import threading

from simulators.relay import Relay


class RelayThread:
    """`with RelayThread(host, port) as relay:`; connect to `relay.port`, then `cut()` and `restore()`."""

    def __init__(self, host: str, port: int) -> None:
        self._relay = Relay(host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> "RelayThread":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._relay.__aenter__(), self._loop).result(10)
        self.port = self._relay.port
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._relay.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._relay.cut)

    def restore(self) -> None:
        self._loop.call_soon_threadsafe(self._relay.restore)
