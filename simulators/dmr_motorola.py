"""A Motorola radio on UDP: it registers (ARS), tells where it is (LRRP), calls for help, and does what it is asked.

    ARS   length(2) | F0 registration | 20 | length, device | 0 | 0        answered 00 02 BF half-hours
          00 01 74 are you there?     00 01 3F I am
    LRRP  document | length | 22 length, request id | 34 time(5) | 66 latitude(4) longitude(4)
          05 where are you?  07 here    09 … 34 31 seconds: tell it so often  0B 38 I will    0F no more  11 38
          0D a report under somebody's request id    13 one of its own accord (23: id of one byte)
          time: year 14, month 4, day 5, hour 5, minute 6, second 6 bits    latitude: sign, 31 bits of 180/2^32 degrees
    TMS   length(2) | E0 text, to be acknowledged | length, address | 80+low 5 bits | high bits | text UTF-16LE
          9F the acknowledgement, with the same number    D0 … 01: it takes texts (said with each registration)

The native id is the radio's number; its `source` in the scenario must end in the same 24 bits (127.0.0.11), for that is
how it is known. It uses the same ports as the other side. Nothing of LRRP is confirmed.

Settings: `maker = "motorola"`, `ars_port`, `lrrp_port`, `tms_port`, `report_every_s`, `heartbeat_s` (registration)
and those of whereabouts.py. Actions: emergency.
"""

from datetime import datetime
from typing import Any, ClassVar

from simulators.device import Every, Packet
from simulators.dmr_settings import Settings
from simulators.scripted import Sender, no_args

EMERGENCY_ID = b"\xe9\x11"
OWN_ID = b"\x2f"
TEXTS_WELCOME = bytes.fromhex("0003D00001")
PRESENT = bytes.fromhex("00013F")
STATUS_QUERY = 0x74
IMMEDIATE, TRIGGERED, STOP = 0x05, 0x09, 0x0F
IMMEDIATE_REPORT, TRIGGERED_ANSWER, REPORT, STOP_ANSWER, UNASKED = 0x07, 0x0B, 0x0D, 0x11, 0x13
DONE = b"\x38"
TEXTS_KEPT = 20


class MotorolaRadio(Sender):
    WHAT, FAMILY = "a radio", "dmr"
    ACTIONS: ClassVar = no_args("emergency")
    CONFIRMED = False
    SAME_PORTS = True

    def __init__(self, native_id: str, settings: Settings, seed: int) -> None:
        super().__init__(native_id, settings, seed)
        self._ars, self._lrrp, self._tms = (
            str(port) for port in (settings.ars_port, settings.lrrp_port, settings.tms_port)
        )
        self._asked: tuple[bytes, Every] | None = None  # by whom it was asked to report, and how often
        self.texts: list[str] = []

    def happened(self, action: str, said: Any, at: datetime) -> None:
        sos = self.row("sos", at, raised=True)
        self.send(self._lrrp, _document(REPORT, _request(EMERGENCY_ID) + self._here(at)), sos, self._position(at))

    def measured(self, at: datetime) -> None:
        self.send(self._lrrp, _document(UNASKED, b"\x23" + OWN_ID + self._here(at)), self._position(at))

    def alive(self, now: datetime) -> None:
        name = self.native_id.encode()
        body = b"\xf0\x20" + bytes((len(name),)) + name + b"\0\0"
        self.remark(Packet(self._ars, len(body).to_bytes(2) + body))
        self.remark(Packet(self._tms, TEXTS_WELCOME))

    def tick(self, now: datetime) -> None:
        if self._asked is not None and self._asked[1].due(now):
            self._told(REPORT, self._asked[0], now)
        super().tick(now)

    # --- what it is asked ---

    def receive(self, packet: Packet, now: datetime) -> None:
        hears = {self._ars: self._registered, self._lrrp: self._located, self._tms: self._text}
        if packet.channel in hears and len(packet.data) > 2:
            hears[packet.channel](packet.data, now)

    def _registered(self, data: bytes, now: datetime) -> None:
        if data[2] == STATUS_QUERY:
            self.remark(Packet(self._ars, PRESENT))

    def _located(self, data: bytes, now: datetime) -> None:
        document, body = data[0], data[2:]
        if body[:1] != b"\x22" or len(body) < 2 or len(body) < 2 + body[1]:
            return
        request, rest = body[2 : 2 + body[1]], body[2 + body[1] :]
        if document == IMMEDIATE:
            self._told(IMMEDIATE_REPORT, request, now)
        elif document == TRIGGERED and b"\x34\x31" in rest:
            self._asked = request, Every(max(_number(rest.partition(b"\x34\x31")[2]), 1))
            self._answer(TRIGGERED_ANSWER, request)
        elif document == STOP:
            self._asked = None
            self._answer(STOP_ANSWER, request)

    def _text(self, data: bytes, now: datetime) -> None:
        header, body = data[2], data[3:]
        if header & 0x1F or not body or len(body) < 3 + body[0]:
            return  # an acknowledgement, or cut short
        number, text = body[1 + body[0] : 3 + body[0]], body[3 + body[0] :]
        self.texts = [*self.texts, text.decode("utf-16-le", "replace").strip()][-TEXTS_KEPT:]
        if header & 0x40:
            self.remark(Packet(self._tms, b"\0\4\x9f\0" + number[:1] + bytes((number[1] & 0x60,))))

    # --- what it says ---

    def _answer(self, document: int, request: bytes) -> None:
        self.remark(Packet(self._lrrp, _document(document, _request(request) + DONE)))

    def _told(self, document: int, request: bytes, now: datetime) -> None:
        at = now.replace(microsecond=0)
        self.send(self._lrrp, _document(document, _request(request) + self._here(at)), self._position(at))

    def _position(self, at: datetime) -> Any:
        spot = self.where(at)
        return self.row("position", at, longitude=spot.longitude, latitude=spot.latitude)

    def _here(self, at: datetime) -> bytes:
        time = 0
        for value, bits in ((at.year, 14), (at.month, 4), (at.day, 5), (at.hour, 5), (at.minute, 6), (at.second, 6)):
            time = time << bits | value
        spot = self.where(at)
        north = round(abs(spot.latitude) * 2**32 / 180) | (spot.latitude < 0) << 31
        east = round(spot.longitude * 2**32 / 360) & 0xFFFFFFFF
        return b"\x34" + time.to_bytes(5) + b"\x66" + north.to_bytes(4) + east.to_bytes(4)


def _request(request: bytes) -> bytes:
    return b"\x22" + bytes((len(request),)) + request


def _document(document: int, body: bytes) -> bytes:
    return bytes((document, len(body))) + body


def _number(data: bytes) -> int:
    """uintvar: seven bits a byte, bit 7 when another follows."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            break
    return value
