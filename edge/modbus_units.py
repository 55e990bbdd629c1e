"""Modbus units: a coil that is written and read back, and registers that are read. The only home of pymodbus in the
edge. Everything here blocks, each call for a few time limits at most: callers have threads."""

from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException

READ_BYTES = 4_096
PARITIES = {"none": "N", "even": "E", "odd": "O"}


class UnitError(Exception):
    """A unit that does not answer, or refuses; the text says which."""


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


class Bus:
    """A line with units: TCP (`rtu` for serial servers that pass frames through), or a serial line."""

    def __init__(self, client: "_Client | ModbusSerialClient") -> None:
        self._client = client

    @classmethod
    def over_tcp(cls, host: str, port: int, timeout_s: float, rtu: bool = False) -> "Bus":
        framer = FramerType.RTU if rtu else FramerType.SOCKET
        return cls(_Client(host, port=port, timeout=timeout_s, retries=0, framer=framer))

    @classmethod
    def over_serial(cls, path: str, baud: int, parity: str, timeout_s: float) -> "Bus":
        client = ModbusSerialClient(path, baudrate=baud, parity=PARITIES[parity], timeout=timeout_s, retries=0)
        return cls(client)

    def read(self, unit: int, table: str, address: int, count: int) -> bytes:
        """Registers, two bytes each, big-endian; of `coil` and `discrete` a byte a bit. Raises UnitError."""
        try:
            if not self._client.connect():
                raise UnitError("no connection")
            if table in ("coil", "discrete"):
                ask_bits = self._client.read_coils if table == "coil" else self._client.read_discrete_inputs
                answer = ask_bits(address, count=count, device_id=unit)
                if not answer.isError() and len(answer.bits) >= count:
                    return bytes(answer.bits[:count])
            else:
                ask = self._client.read_holding_registers if table == "holding" else self._client.read_input_registers
                answer = ask(address, count=count, device_id=unit)
                if not answer.isError() and len(answer.registers) == count:
                    return b"".join(register.to_bytes(2, "big") for register in answer.registers)
        except (ModbusException, OSError) as error:
            self.close()
            raise UnitError(str(error)) from error
        raise UnitError(f"unit {unit} refuses {table} {address}: {answer}")

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]


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
