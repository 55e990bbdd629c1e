"""A simulated device on a real TCP connection, acting when the test says so.

The device itself is simulators' (one machine without a socket); this is only its line: a thread that moves bytes, dials
again when the connection ends, and collects what the edge has confirmed.
"""

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from simulators.device import Accepted, SimulatedDevice

TICK_S = 0.05
BYTES_MAX = 65536
WAIT_S_MAX = 60.0


class DeviceLine:
    """Dials (host, port()) and keeps at it until `close`."""

    def __init__(self, device: SimulatedDevice, host: str, port: int) -> None:
        self._device = device
        self._address = (host, port)
        self._lock = threading.Condition()
        self._closing = threading.Event()
        self._accepted: list[Accepted] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def act(self, action: str, **args: Any) -> None:
        """Something happens in the device's world."""
        with self._lock:
            self._device.act(action, args, datetime.now(UTC))

    @property
    def accepted(self) -> list[Accepted]:
        with self._lock:
            return list(self._accepted)

    def wait_for(self, enough: Callable[[list[Accepted]], bool]) -> list[Accepted]:
        """What was accepted, once it is `enough`; fails after a minute."""
        with self._lock:
            assert self._lock.wait_for(lambda: self._error or enough(self._accepted), WAIT_S_MAX), self._accepted
            if self._error:
                raise self._error
            return list(self._accepted)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._one_connection()
                self._closing.wait(TICK_S)
        except Exception as error:
            with self._lock:
                self._error = error
                self._lock.notify_all()

    def _one_connection(self) -> None:
        try:
            with socket.create_connection(self._address, timeout=1) as line:
                line.settimeout(TICK_S)
                with self._lock:
                    self._device.connected(datetime.now(UTC))
                while not self._closing.is_set() and self._exchange(line):
                    pass
        except OSError:
            return

    def _exchange(self, line: socket.socket) -> bool:
        """One turn of the device; False when the other side has gone."""
        with self._lock:
            self._device.tick(datetime.now(UTC))
            frames = self._device.to_send()
        for frame in frames:
            line.sendall(frame)
        try:
            data = line.recv(BYTES_MAX)
        except TimeoutError:
            return True
        with self._lock:
            if data:
                self._device.receive(data, datetime.now(UTC))
            self._accepted += self._device.accepted()
            self._lock.notify_all()
        return bool(data)
