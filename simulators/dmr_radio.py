"""A Hytera radio that reports where it is, calls for help, and does what it is asked, on UDP. Those of Motorola:
dmr_motorola.py (setting `maker`).

    "2B" | 0 | type | sequence(2) | HDAP      type 0: data, 1: acknowledgement of that sequence
    HDAP: service | opcode(2) | length(2) | payload | check | 03      check: (~sum + 0x33) & 0xFF of opcode to payload
    LP (08): A002 position: request(4) address(4) result(2) GPS(40); B003 emergency: address(4) kind(1) GPS(40)
        A001 where are you: request(4) address(4), answered A002      RRS (11): 0002 are you there, 0082 address state
    TMP (09): 80A1 text: request(4) to(4) from(4) UTF-16LE, answered 00A2 request from to result(1)
    GPS: A HHmmss ddMMyy N ddmm.mmmm E dddmm.mmmm knots(3) direction(3)

The native id is the radio's number; its `source` in the scenario should end in the same 24 bits (127.0.0.20).
Settings: `report_every_s`, `heartbeat_s` (registration) and those of whereabouts.py. Actions: emergency.
"""

from collections.abc import Sequence
from datetime import datetime
from struct import pack
from typing import Any, ClassVar

from msgspec import convert

from simulators.device import Accepted, Packet
from simulators.dmr_motorola import EMERGENCY_ID, MotorolaRadio
from simulators.dmr_settings import Settings
from simulators.family import EdgeKeys
from simulators.scripted import Sender, no_args
from simulators.spec import DeviceSpec

NETWORK = 10
RRS, LP, TMP = 0x11, 0x08, 0x09
REGISTER, POSITION, EMERGENCY = 0x0003, 0xA002, 0xB003
LOCATE, TEXT, TEXT_TAKEN, THERE, HERE = 0xA001, 0x80A1, 0x00A2, 0x0002, 0x0082
HEADER_BYTES, AROUND_BYTES = 5, 7  # of an HDAP message
TEXTS_KEPT = 20
DATA, ACKNOWLEDGED = 0, 1
NUMBER_MAX = 0xFFFFFF
KMH_PER_KNOT = 1.852


class DmrRadio(Sender):
    WHAT, FAMILY = "a radio", "dmr"
    ACTIONS: ClassVar = no_args("emergency")

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self.texts: list[str] = []
        self._address = bytes((NETWORK,)) + int(native_id).to_bytes(3)

    def happened(self, action: str, said: Any, at: datetime) -> None:
        sos = self.row("sos", at, raised=True)
        self._hdap(_message(LP, EMERGENCY, self._address + b"\x01" + self._gps(at)), sos, self._position(at))

    def measured(self, at: datetime) -> None:
        self._located(pack(">I", 1), at)

    def _located(self, request: bytes, at: datetime) -> None:
        self._hdap(_message(LP, POSITION, request + self._address + b"\0\0" + self._gps(at)), self._position(at))

    def alive(self, now: datetime) -> None:
        self.remark(Packet("", _packet(self.next_key(), _message(RRS, REGISTER, self._address))))

    def receive(self, packet: Packet, now: datetime) -> None:
        data = packet.data
        if data[:3] != b"2B\0" or len(data) < 6:
            return
        if data[3] & ACKNOWLEDGED:
            self.confirm(int.from_bytes(data[4:6]))
        elif data[3] == DATA:
            self.remark(Packet("", b"2B\0" + pack(">BH", ACKNOWLEDGED, int.from_bytes(data[4:6]))))
            self._asked(data[6:], now)

    def _asked(self, message: bytes, now: datetime) -> None:
        length = int.from_bytes(message[3:5])
        if len(message) != AROUND_BYTES + length:
            return
        service, opcode, payload = message[0] & 0x7F, int.from_bytes(message[1:3]), message[HEADER_BYTES:-2]
        if (service, opcode, payload[4:8]) == (LP, LOCATE, self._address):
            self._located(payload[:4], now.replace(microsecond=0))
        elif (service, opcode, payload) == (RRS, THERE, self._address):
            self._hdap(_message(RRS, HERE, self._address + b"\0"))
        elif (service, opcode, payload[4:8]) == (TMP, TEXT, self._address):
            self.texts = [*self.texts, payload[12:].decode("utf-16-le", "replace")][-TEXTS_KEPT:]
            self._hdap(_message(TMP, TEXT_TAKEN, payload[:4] + payload[8:12] + payload[4:8] + b"\0"))

    def _hdap(self, message: bytes, *rows: Accepted) -> None:
        key = self.next_key()
        self.tell(key, Packet("", _packet(key, message)), *rows)

    def _position(self, at: datetime) -> Accepted:
        spot = self.where(at)
        return self.row("position", at, longitude=spot.longitude, latitude=spot.latitude)

    def _gps(self, at: datetime) -> bytes:
        spot = self.where(at)
        north, east = spot.latitude, spot.longitude
        places = f"{'N' if north >= 0 else 'S'}{_minutes(north, 2)}{'E' if east >= 0 else 'W'}{_minutes(east, 3)}"
        knots = round(spot.speed_kmh / KMH_PER_KNOT)
        return f"A{at:%H%M%S%d%m%y}{places}{knots:03}{spot.course_deg:03}".encode()


def _minutes(degrees: float, digits: int) -> str:
    whole, part = divmod(round(abs(degrees) * 600_000), 600_000)
    return f"{whole:0{digits}}{part / 10_000:07.4f}"


def _message(service: int, opcode: int, payload: bytes) -> bytes:
    body = pack(">HH", opcode, len(payload)) + payload
    return bytes((service,)) + body + bytes(((~sum(body) + 0x33) & 0xFF, 3))


def _packet(sequence: int, message: bytes) -> bytes:
    return b"2B\0" + pack(">BH", DATA, sequence) + message


def build(native_id: str, settings: dict[str, Any], seed: int) -> DmrRadio | MotorolaRadio:
    """Raises ValueError for what is no radio number."""
    if not native_id.isdecimal() or not 0 < int(native_id) <= NUMBER_MAX:
        raise ValueError(f"a radio number is from 1 to {NUMBER_MAX}, not {native_id!r}")
    given = convert(settings, Settings)
    return (MotorolaRadio if given.maker == "motorola" else DmrRadio)(native_id, given, seed)


def edge(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    given = convert(specs[0].settings, Settings)
    if given.maker == "hytera":
        return {"kind": "datagrams", "ports": [specs[0].port]}
    ports = {"ars_port": given.ars_port, "lrrp_port": given.lrrp_port, "tms_port": given.tms_port}
    return {
        "kind": "datagrams",
        "ports": list(ports.values()),
        "settings": {**ports, "emergency_request_id": EMERGENCY_ID.hex()},
    }
