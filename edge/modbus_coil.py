"""One coil of a Modbus TCP unit, written and read back. The only home of pymodbus in the edge.

A thread of its own talks to the unit, so that a unit that does not answer delays nothing. Of wishes that wait while
the unit is slow the newest wins; each wish is tried once and its outcome reported (edge.actuators tries again).
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException

CLOSE_S_MAX = 3.0

Wish = tuple[bool, Callable[[str], None]]


class ModbusCoil:
    def __init__(self, host: str, port: int, unit: int, coil: int, timeout_s: float) -> None:
        self._client = ModbusTcpClient(host, port=port, timeout=timeout_s, retries=0)
        self._unit = unit
        self._coil = coil
        self._wishes: SimpleQueue[Wish | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=f"coil-{coil}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def set(self, on: bool, done: Callable[[str], None]) -> None:
        self._wishes.put((on, done))

    def close(self) -> None:
        """What was wished before is tried; waits for that, at most CLOSE_S_MAX."""
        self._wishes.put(None)
        self._thread.join(CLOSE_S_MAX)

    def _run(self) -> None:
        closing = False
        while not closing:
            wishes = self._waiting()
            closing = None in wishes
            asked = [wish for wish in wishes if wish is not None]
            for _, done in asked[:-1]:
                done("a newer wish came")
            for on, done in asked[-1:]:
                done(self._try(on))
        self._client.close()  # type: ignore[no-untyped-call]

    def _waiting(self) -> list[Wish | None]:
        """All wishes that wait, at least one."""
        wishes = [self._wishes.get()]
        while True:
            try:
                wishes.append(self._wishes.get_nowait())
            except Empty:
                return wishes

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
        if read.isError() or not read.bits or bool(read.bits[0]) != on:
            return "the coil does not read back what was written"
        return ""
