"""One coil of a Modbus TCP unit, written and read back. The only home of pymodbus in the edge."""

from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

READ_BYTES = 4_096


class ModbusCoil:
    def __init__(self, host: str, port: int, unit: int, coil: int, timeout_s: float) -> None:
        self.answer_s_max = 3 * timeout_s + 1.0  # to connect, to write, to read back
        self._client = _Client(host, port=port, timeout=timeout_s, retries=0)
        self._unit = unit
        self._coil = coil

    def read(self) -> bool | None:
        try:
            if not self._client.connect():  # type: ignore[no-untyped-call]
                return None
            return self._stands()
        except (ModbusException, OSError):
            self.close()
            return None

    def write(self, on: bool) -> str:
        try:
            if not self._client.connect():  # type: ignore[no-untyped-call]
                return "no connection to the unit"
            written = self._client.write_coil(self._coil, on, device_id=self._unit)
            if written.isError():
                return f"unit refuses: {written}"
            found = self._stands()
        except (ModbusException, OSError) as error:
            self.close()
            return str(error)
        return "" if found is on else "the coil does not read back what was written"

    def close(self) -> None:
        """The coil stays as it is."""
        self._client.close()  # type: ignore[no-untyped-call]

    def _stands(self) -> bool | None:
        answer = self._client.read_coils(self._coil, count=1, device_id=self._unit)
        return None if answer.isError() or not answer.bits else bool(answer.bits[0])


class _Client(ModbusTcpClient):
    """pymodbus waits with select(), which fails for descriptors above 1,023: with so many devices connected, a siren
    could not be reached any more."""

    def recv(self, size: int | None) -> bytes:
        """What came within the time limit, else nothing."""
        if self.socket is None:
            raise ConnectionException("not connected")
        self.socket.settimeout(self.comm_params.timeout_connect)
        try:
            data = self.socket.recv(size or READ_BYTES)
        except TimeoutError:
            return b""
        if not data:
            self.close()  # type: ignore[no-untyped-call]
            raise ConnectionException("the unit hung up")
        return data
