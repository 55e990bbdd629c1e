"""A Hytera radio that reports where it is and calls for help, on UDP.

    "2B" | 0 | type | sequence(2) | HDAP      type 0: data, 1: acknowledgement of that sequence
    HDAP: service | opcode(2) | length(2) | payload | check | 03      check: (~sum + 0x33) & 0xFF of opcode to payload
    LP (08): A002 position: request(4) address(4) result(2) GPS(40); B003 emergency: address(4) kind(1) GPS(40)
    GPS: A HHmmss ddMMyy N ddmm.mmmm E dddmm.mmmm knots(3) direction(3)

The native id is the radio's number; its `source` in the scenario should end in the same 24 bits (127.0.0.20).
Settings: `report_every_s`, `heartbeat_s` (registration), `longitude`, `latitude`. Actions: emergency.
"""

from collections.abc import Sequence
from datetime import datetime
from struct import pack
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted, Packet
from simulators.family import EdgeKeys
from simulators.scripted import Placed, Sender, no_args
from simulators.spec import DeviceSpec

NETWORK = 10
RRS, LP = 0x11, 0x08
REGISTER, POSITION, EMERGENCY = 0x0003, 0xA002, 0xB003
DATA, ACKNOWLEDGED = 0, 1
NUMBER_MAX = 0xFFFFFF


class DmrRadio(Sender):
    WHAT, FAMILY = "a radio", "dmr"
    ACTIONS: ClassVar = no_args("emergency")

    def __init__(self, native_id: str, settings: Placed, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._place = settings
        self._address = bytes((NETWORK,)) + int(native_id).to_bytes(3)

    def happened(self, action: str, said: Any, at: datetime) -> None:
        sos = self.row("sos", at, raised=True)
        self._hdap(_message(LP, EMERGENCY, self._address + b"\x01" + self._gps(at)), sos, self._position(at))

    def measured(self, at: datetime) -> None:
        payload = pack(">I", 1) + self._address + b"\0\0" + self._gps(at)
        self._hdap(_message(LP, POSITION, payload), self._position(at))

    def alive(self, now: datetime) -> None:
        self.remark(Packet("", _packet(self.next_key(), _message(RRS, REGISTER, self._address))))

    def receive(self, packet: Packet, now: datetime) -> None:
        data = packet.data
        if data[:3] == b"2B\0" and len(data) >= 6 and data[3] & ACKNOWLEDGED:
            self.confirm(int.from_bytes(data[4:6]))

    def _hdap(self, message: bytes, *rows: Accepted) -> None:
        key = self.next_key()
        self.tell(key, Packet("", _packet(key, message)), *rows)

    def _position(self, at: datetime) -> Accepted:
        return self.row("position", at, longitude=self._place.longitude, latitude=self._place.latitude)

    def _gps(self, at: datetime) -> bytes:
        north, east = self._place.latitude, self._place.longitude
        places = f"{'N' if north >= 0 else 'S'}{_minutes(north, 2)}{'E' if east >= 0 else 'W'}{_minutes(east, 3)}"
        return f"A{at:%H%M%S%d%m%y}{places}000000".encode()


def _minutes(degrees: float, digits: int) -> str:
    whole, part = divmod(round(abs(degrees) * 600_000), 600_000)
    return f"{whole:0{digits}}{part / 10_000:07.4f}"


def _message(service: int, opcode: int, payload: bytes) -> bytes:
    body = pack(">HH", opcode, len(payload)) + payload
    return bytes((service,)) + body + bytes(((~sum(body) + 0x33) & 0xFF, 3))


def _packet(sequence: int, message: bytes) -> bytes:
    return b"2B\0" + pack(">BH", DATA, sequence) + message


def build(native_id: str, settings: dict[str, Any], seed: int) -> DmrRadio:
    """Raises ValueError for what is no radio number."""
    if not native_id.isdecimal() or not 0 < int(native_id) <= NUMBER_MAX:
        raise ValueError(f"a radio number is from 1 to {NUMBER_MAX}, not {native_id!r}")
    return DmrRadio(native_id, convert(settings, Placed), seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    return {"kind": "datagrams", "ports": [specs[0].port]}
