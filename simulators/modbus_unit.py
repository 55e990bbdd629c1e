"""A Modbus TCP unit: coils that drive a siren (the edge's `modbus_coil` actuator) and registers of sensors (its
`modbus` links). The only home of pymodbus in the simulators.

`holding` and `discrete` are what the sensors say now. `switched` tells every coil that was written, in order. Faults:
`refusing` answers with an exception, `stuck` accepts a write and moves nothing, `silent` leaves requests without an
answer until it is set to False again.
"""

import asyncio
import logging
from collections.abc import Sequence

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators import clock
from simulators.stage import Member, Stage

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # what it says of each lost connection

READ_DISCRETE, READ_HOLDING, WRITE_COIL = 2, 3, 5
COILS = REGISTERS = 64

Values = list[int] | list[bool]


class ModbusUnit:
    """`async with ModbusUnit() as unit:` listens on `unit.port` of loopback."""

    def __init__(self, unit: int = 1, port: int = 0) -> None:
        self.switched: list[tuple[int, bool]] = []
        self.holding = [0] * REGISTERS
        self.discrete = [False] * COILS
        self.refusing = False
        self.stuck = False
        self._unit = unit
        self._port = port
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._server: ModbusTcpServer | None = None

    @property
    def port(self) -> int:
        assert self._server is not None and isinstance(self._server.transport, asyncio.Server), "not started"
        return int(self._server.transport.sockets[0].getsockname()[1])

    @property
    def silent(self) -> bool:
        return not self._speaking.is_set()

    @silent.setter
    def silent(self, silent: bool) -> None:
        (self._speaking.clear if silent else self._speaking.set)()

    def coil(self, number: int) -> bool:
        """How the coil stands."""
        return next((on for coil, on in reversed(self.switched) if coil == number), False)

    async def __aenter__(self) -> "ModbusUnit":
        coils = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        registers = [SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)]
        device = SimDevice(self._unit, (coils, coils, registers, registers), action=self._asked)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self._port))
        await self._server.serve_forever(background=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._speaking.set()
        await self._server.shutdown()  # type: ignore[no-untyped-call]

    async def _asked(  # noqa: PLR0917 - the signature that pymodbus calls
        self, function: int, start: int, address: int, count: int, registers: list[int], wanted: Values | None
    ) -> ExcCodes | None:
        await self._speaking.wait()
        if self.refusing:
            return ExcCodes.DEVICE_FAILURE
        if function == READ_HOLDING:
            registers[address - start : address - start + count] = self.holding[address : address + count]
        if function == READ_DISCRETE:
            for word in range(COILS // 16):  # pymodbus keeps sixteen bits in a word
                registers[word] = sum(on << bit for bit, on in enumerate(self.discrete[16 * word : 16 * word + 16]))
        if function == WRITE_COIL and wanted is not None:
            if self.stuck:
                wanted[0] = not wanted[0]
            else:
                self.switched.append((address, bool(wanted[0])))
        return None


class ModbusLine:
    """Units of a scenario behind one address. A device's packets are what stands in its registers from then on; the
    channel is the table and the address ("holding/3"), two bytes a register."""

    def __init__(self, members: Sequence[Member], stage: Stage) -> None:
        self._members = members
        self._spec = members[0].spec
        self._stage = stage
        self._tables: dict[int, dict[str, list[int]]] = {}

    async def run(self) -> None:
        """Until cancelled; raises what a device raises."""
        address = (self._spec.host, self._spec.port)
        server = ModbusTcpServer([self._unit(member) for member in self._members], address=address)
        await server.serve_forever(background=True)
        self._stage.counts.connections += 1
        try:
            while True:
                for member in self._members:
                    member.device.tick(clock.now())
                    self._put(member)
                self._stage.collect(self._members)
                await clock.sleep(self._stage.tick_s)
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]

    def _put(self, member: Member) -> None:
        for packet in member.device.to_send():
            table, _, address = packet.channel.partition("/")
            self._tables[member.device.unit][table][int(address)] = int.from_bytes(packet.data)

    def _unit(self, member: Member) -> SimDevice:
        tables = self._tables[member.device.unit] = {"holding": [0] * REGISTERS, "input": [0] * REGISTERS}

        async def asked(  # noqa: PLR0917 - the signature that pymodbus calls
            function: int, start: int, address: int, count: int, registers: list[int], wanted: Values | None
        ) -> ExcCodes | None:
            table = tables["holding" if function == READ_HOLDING else "input"]
            registers[address - start : address - start + count] = table[address : address + count]
            return None

        bits = [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]
        registers = [SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)]
        return SimDevice(member.device.unit, (bits, bits, registers, registers), action=asked)
