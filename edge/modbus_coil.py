"""One coil of a Modbus TCP unit, written and read back. The only home of pymodbus in the edge.

A thread of its own talks to the unit, so that a unit that does not answer delays nothing. The newest wish wins; it is
tried until it was seen done or a newer one came, and every attempt's outcome is reported.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

RETRY_S = 1.0
ATTEMPTS_MAX = 60

Wish = tuple[bool, Callable[[str], None]]


class ModbusCoil:
    def __init__(self, host: str, port: int, unit: int, coil: int, timeout_s: float) -> None:
        self._client = ModbusTcpClient(host, port=port, timeout=timeout_s, retries=1)
        self._unit = unit
        self._coil = coil
        self._wishes: SimpleQueue[Wish | None] = SimpleQueue()
        self._closing = Event()
        self._thread = Thread(target=self._run, name=f"coil-{coil}", daemon=True)
        self._thread.start()

    def set(self, on: bool, done: Callable[[str], None]) -> None:
        self._wishes.put((on, done))

    def close(self) -> None:
        self._closing.set()
        self._wishes.put(None)

    def _run(self) -> None:
        while (wish := self._wishes.get()) is not None:
            self._fulfil(wish)
        self._client.close()  # type: ignore[no-untyped-call]

    def _fulfil(self, wish: Wish) -> None:
        on, done = wish
        error = ""
        for _ in range(ATTEMPTS_MAX):
            newer = self._newer()
            if newer is not None:
                done(error or "a newer wish came")
                on, done = newer
            error = self._try(on)
            if not error or self._closing.wait(RETRY_S):
                break
        done(error)

    def _newer(self) -> Wish | None:
        """The newest wish that waits; those before it are told."""
        newest: Wish | None = None
        while True:
            try:
                wish = self._wishes.get_nowait()
            except Empty:
                return newest
            if wish is None:
                self._wishes.put(None)
                return newest
            if newest is not None:
                newest[1]("a newer wish came")
            newest = wish

    def _try(self, on: bool) -> str:
        try:
            if not self._client.connected and not self._client.connect():  # type: ignore[no-untyped-call]
                return "no connection to the unit"
            written = self._client.write_coil(self._coil, on, device_id=self._unit)
            if written.isError():
                return f"unit refuses: {written}"
            read = self._client.read_coils(self._coil, count=1, device_id=self._unit)
        except (ModbusException, OSError) as error:
            self._client.close()  # type: ignore[no-untyped-call]
            return str(error)
        if read.isError() or bool(read.bits[0]) != on:
            return "the coil does not read back what was written"
        return ""
