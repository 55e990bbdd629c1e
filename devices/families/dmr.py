"""DMR radios through their dispatch data: Hytera repeaters and radios (RRS, LP, TMP, with or without HSTRP), Motorola
radios (ARS, LRRP, TMS). Datagrams: dmr_hytera.py, dmr_motorola.py, dmr_lrrp.py. We are the dispatcher's side.

A message is one UDP datagram; its channel is "udp/LOCAL PORT/PEER:PORT". The local port says which protocol it is:
`ars_port`, `lrrp_port`, `tms_port`; any other is Hytera's. The native id is the radio's number: the last 24 bits of its
address, which Hytera writes into each message and Motorola has as the sender (12.0.0.11 is radio 11). A Hytera repeater
is a device of its own with its address as native id ("192.168.1.10"): its heartbeats, one in 6 s, say whether it lives;
give it a `silence_s` of 20.

What is answered, after the results are durable, and never to a stranger
- HSTRP: connect and heartbeat of an enrolled repeater, and every data packet from an enrolled repeater or radio.
- RRS registration with "accepted" and `renew_s`; confirmed private texts with their acknowledgement.
- ARS registration with `refresh_half_hours`, and with a subscription (LRRP triggered request) when `report_every_s` is
  set: radios forget it, so it is sent after every registration. TMS availability and texts that ask for it.

What a radio can be asked, and what its answers mean: dmr_commands.py.

What it means
- Registration, going offline, answers with an error code and texts are Events; a location is a Position, without a fix
  a sign of life. A checksum or length that does not fit is refused.
- SOS: an LP emergency report; an LRRP report under `emergency_request_id`, the request by which the venue's system had
  asked radios to report when their emergency button is pressed; a text that begins with `emergency_text`.
- A report without a time and without a number of its own has no frame id: two presses are two. One with a number is
  the same one for a few minutes (devices/repeats.py).
- Times are UTC. LRRP speeds are m/s (quirk `speed_in_cm_s`). The datum is WGS-84.
There is no authentication in these protocols: keep the radio network apart.
"""

import re
from collections.abc import Container
from datetime import datetime
from math import nan
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from devices.dictionary import in_range
from devices.families import dmr_hytera as hytera
from devices.families import dmr_lrrp as lrrp
from devices.families import dmr_motorola as motorola
from devices.families.dmr_commands import COMMANDS, SUBSCRIPTION, Asked, Route
from devices.families.dmr_hytera import Hdap, Packet
from devices.family import CommandRefused, DeviceCommand, Example, Message, MessageFamily
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
    TEXT_CHARS_MAX,
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Position,
    Result,
    Telemetry,
    digest,
    rejected,
)
from devices.repeats import Repeats

CHANNEL = re.compile(
    r"udp/(?P<port>\d{1,5})/(?P<peer>(?P<a>\d{1,3})\.(?P<b>\d{1,3})\.(?P<c>\d{1,3})\.(?P<d>\d{1,3})):\d{1,5}", re.ASCII
)
DATAGRAM_BYTES_MAX = 2_048
REPORTS_MAX = 5_000  # of one link, remembered
KMH_OF_KNOT, KMH_OF_M_S = 1.852, 3.6
ALTITUDE_M = (-1_000.0, 20_000.0)
SPEED_KMH_MAX = 1_500.0

Port = Annotated[int, Meta(ge=1, le=65_535)]
Fields = dict[str, Any]


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`ars_port`, `lrrp_port`, `tms_port`: our ports for Motorola radios, any other is for Hytera's. `renew_s`: Hytera
    radios register again after this time. `refresh_half_hours`: Motorola radios likewise. `report_every_s`: Motorola
    radios are asked for their location so often, 0 for never. `dispatcher`: our own number, from which Hytera radios
    get texts. `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    ars_port: Port = 4005
    lrrp_port: Port = 4001
    tms_port: Port = 4007
    renew_s: Annotated[int, Meta(ge=60, le=86_400)] = 1_800
    refresh_half_hours: Annotated[int, Meta(ge=0, le=127)] = 1
    report_every_s: Annotated[int, Meta(ge=0, le=86_400)] = 0
    dispatcher: Annotated[int, Meta(ge=1, le=0xFFFFFF)] = 1
    emergency_request_id: Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2}){0,16}$")] = ""
    emergency_text: Annotated[str, Meta(max_length=40)] = ""
    speed_in_cm_s: bool = False
    any_time: bool = False

    def __post_init__(self) -> None:
        if len({self.ars_port, self.lrrp_port, self.tms_port}) < 3:
            raise ValueError("ars_port, lrrp_port and tms_port must be three different ports")


class Report(Struct, frozen=True):
    """One datagram's common part while it is read."""

    message: Message
    port: int
    peer: str
    peer_id: int  # the radio's number, when the peer is a radio
    now: datetime
    counted: bool = False  # carries a number that tells it from another report of the same words


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._replies: list[Message] = []
        self._repeats = Repeats(REPORTS_MAX)
        self._sequence = 0  # of the HSTRP packets that we begin
        self._asked = Asked(settings.dispatcher, settings.ars_port, settings.lrrp_port, settings.tms_port)

    def receive(self, message: Message, now: datetime) -> list[Result]:
        found = CHANNEL.fullmatch(message.channel)
        if found is None or len(message.data) > DATAGRAM_BYTES_MAX:
            return [rejected("no datagram of a radio network", message.data)]
        peer_id = int(found["b"]) << 16 | int(found["c"]) << 8 | int(found["d"])
        report = Report(message, int(found["port"]), found["peer"], peer_id, now)
        if report.port in (self._settings.ars_port, self._settings.lrrp_port, self._settings.tms_port):
            return self._motorola(report)
        return self._hytera(report)

    def to_send(self) -> list[Message]:
        replies, self._replies = self._replies, []
        return replies

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if command.native_id not in self._enrolled:
            raise CommandRefused(f"{command.native_id} is no enrolled radio")
        asked = self._asked.ask(command, now)
        data = self._packed(asked.data) if asked.in_packet else asked.data
        self._replies.append(Message(asked.channel, data))

    def _packed(self, data: bytes) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFF
        return hytera.write_packet(0, self._sequence, data)

    def _answer(self, report: Report, data: bytes) -> None:
        self._replies.append(Message(report.message.channel, data))

    def _stranger(self, report: Report, native_id: str) -> list[Result]:
        """The notice about a device that is not enrolled; nothing when it is."""
        if native_id in self._enrolled:
            return []
        return [rejected("not enrolled", report.message.data, DeviceId(f"dmr:{native_id}"))]

    # --- Motorola ---

    def _motorola(self, report: Report) -> list[Result]:
        """The sender is the radio."""
        readers = {self._settings.ars_port: self._ars, self._settings.lrrp_port: self._lrrp}
        radio = str(report.peer_id)
        if radio in self._enrolled:
            self._asked.heard(radio, Route("motorola", report.peer, report.message.channel, b""))
        return readers.get(report.port, self._tms)(report, radio)

    def _ars(self, report: Report, radio: str) -> list[Result]:
        fields = motorola.read_ars(report.message.data)
        if fields is None or not fields["length_ok"]:
            return [rejected("registration unreadable", report.message.data)]
        if stranger := self._stranger(report, radio):
            return stranger
        kind = fields["pdu"]
        if kind in ("device_registration", "user_registration"):
            self._answer(report, motorola.write_ars_answer(self._settings.refresh_half_hours))
            self._subscribe(report)
            return [self._observation(report, radio, Event(kind="registered"))]
        if kind in ("device_deregistration", "user_deregistration"):
            return [self._observation(report, radio, Event(kind="logout"))]
        answered = self._asked.of_status(radio, fields["success"], report.now) if kind == "response" else []
        return [*answered, _heard(radio, report.now)]

    def _subscribe(self, report: Report) -> None:
        if self._settings.report_every_s:
            port = self._settings.lrrp_port
            data = lrrp.write_request(SUBSCRIPTION, self._settings.report_every_s)
            self._replies.append(Message(f"udp/{port}/{report.peer}:{port}", data))

    def _lrrp(self, report: Report, radio: str) -> list[Result]:
        document = lrrp.read_document(report.message.data)
        if document is None or not document.length_ok:
            return [rejected("location document unreadable", report.message.data)]
        if stranger := self._stranger(report, radio):
            return stranger
        bodies: list[Body] = []
        wanted = bytes.fromhex(self._settings.emergency_request_id)
        if wanted and document.first("request-id") == wanted and not document.is_request:
            bodies.append(Alarm(kind="sos"))
        if place := lrrp.shape(document):
            bodies.extend(_lrrp_place(document, place, self._settings.speed_in_cm_s))
        result = document.first("result")
        if result and result["code"]:
            bodies.append(Event(kind="answer", attributes={"document": document.name, "code": str(result["code"])}))
        claimed: datetime | None = document.first("info-time")
        found: list[Result] = [
            self._observation(report, radio, body, number, claimed) for number, body in enumerate(bodies)
        ]
        if not document.whole:
            found.append(rejected("location document not read to its end", report.message.data))
        return [*self._asked.of_lrrp(radio, document, report.now), *(found or [_heard(radio, report.now)])]

    def _tms(self, report: Report, radio: str) -> list[Result]:
        fields = motorola.read_tms(report.message.data)
        if fields is None or not fields["length_ok"]:
            return [rejected("text unreadable", report.message.data)]
        if stranger := self._stranger(report, radio):
            return stranger
        if fields["pdu"] == "service_availability":
            self._answer(report, motorola.AVAILABILITY_ACK)
        if fields["pdu"] != "text_message":
            answered = self._asked.of_text(radio, fields.get("sequence"), True, report.now)
            return [*answered, _heard(radio, report.now)]
        if fields["ack_requested"]:
            self._answer(report, motorola.write_tms_ack(fields.get("sequence")))
        return self._text(replace(report, counted="sequence" in fields), radio, fields["text"])

    def _text(self, report: Report, radio: str, text: str, number: int = 0) -> list[Result]:
        text = text.strip()[:TEXT_CHARS_MAX]
        wanted = self._settings.emergency_text
        bodies: list[Body] = [Alarm(kind="sos", description=text)] if wanted and text.startswith(wanted) else []
        bodies.append(Event(kind="text_message", attributes={"text": text}))
        return [self._observation(report, radio, body, number + at) for at, body in enumerate(bodies)]

    # --- Hytera ---

    def _hytera(self, report: Report) -> list[Result]:
        packet = hytera.read_packet(report.message.data)
        if packet is None:
            messages = hytera.read_messages(report.message.data)
            return self._messages(report, messages)
        if packet.type & (hytera.ACK | hytera.REJECT):
            return [_heard(report.peer, report.now)] if report.peer in self._enrolled else []
        if packet.payload and not packet.type & (hytera.CONNECT | hytera.CLOSE | hytera.HEARTBEAT):
            return self._data(report, packet)
        if stranger := self._stranger(report, report.peer):
            return stranger
        kind = hytera.HEARTBEAT if packet.type & hytera.HEARTBEAT else packet.type & hytera.CONNECT | hytera.ACK
        self._answer(report, hytera.write_packet(kind, packet.sequence))
        return [_heard(report.peer, report.now)]

    def _data(self, report: Report, packet: Packet) -> list[Result]:
        """The acknowledgement stands in front of what the messages are answered."""
        before = len(self._replies)
        found = self._messages(replace(report, counted=True), hytera.read_messages(packet.payload))
        if report.peer in self._enrolled or any(isinstance(result, Observation) for result in found):
            answer = Message(report.message.channel, hytera.write_packet(hytera.ACK, packet.sequence))
            self._replies.insert(before, answer)
        return found

    def _messages(self, report: Report, messages: list[Hdap] | None) -> list[Result]:
        if messages is None:
            return [rejected("message cut short", report.message.data)]
        return [result for at, one in enumerate(messages) for result in self._hdap(report, one, at * 4)]

    def _hdap(self, report: Report, message: Hdap, number: int) -> list[Result]:
        if not (message.checksum_ok and message.end_ok):
            return [rejected("checksum wrong", report.message.data)]
        fields = hytera.read_body(message)
        if fields is None:
            return [rejected("message cut short", report.message.data)]
        if "radio_id" not in fields and "source_id" not in fields:
            return [rejected("message not read", report.message.data)]
        radio, address = self._speaker(fields)
        if stranger := self._stranger(report, radio):
            return stranger
        self._asked.heard(
            radio, Route("hytera", report.peer, report.message.channel, address, report.counted, message.service)
        )
        if answer := self._hdap_answer(message, fields):
            self._answer(report, self._packed(answer) if report.counted else answer)
        return self._hdap_meaning(report, radio, fields, number)

    def _speaker(self, fields: Fields) -> tuple[str, bytes]:
        """The radio and its address. An acknowledgement keeps both numbers of what it is for: ours is not enrolled."""
        names = ("radio",) if "radio_id" in fields else ("source", "destination")
        known = [name for name in names if str(fields[f"{name}_id"]) in self._enrolled]
        name = known[0] if known and fields["message"].endswith("ack") else names[0]
        return str(fields[f"{name}_id"]), bytes(int(part) for part in fields[f"{name}_ip"].split("."))

    def _hdap_answer(self, message: Hdap, fields: Fields) -> bytes:
        if message.service == hytera.RRS and message.opcode == hytera.REGISTRATION:
            payload = message.payload[:4] + b"\0" + self._settings.renew_s.to_bytes(4)
            return hytera.write_message(hytera.RRS, hytera.REGISTRATION_ANSWER, payload)
        acknowledged = hytera.TMP_ACK.get(message.opcode & 0xFF) if message.service == hytera.TMP else None
        if not acknowledged or not fields["confirmed"]:
            return b""
        start = 2 if fields["has_option"] else 0
        request, destination, source = (message.payload[start + at : start + at + 4] for at in (0, 4, 8))
        return hytera.write_message(hytera.TMP, acknowledged, request + source + destination + b"\0")

    def _hdap_meaning(self, report: Report, radio: str, fields: Fields, number: int) -> list[Result]:
        kind = fields["message"]
        if kind == "registration_request":
            return [self._observation(report, radio, Event(kind="registered"), number)]
        if kind == "going_offline" or (kind == "status_check_answer" and fields["result"]):
            answered = self._asked.of_hdap(radio, fields, report.now)
            return [*answered, self._observation(report, radio, Event(kind="logout"), number)]
        if kind in ("private_text", "group_text"):
            return self._text(report, radio, fields["text"], number)
        bodies: list[Body] = [Alarm(kind="sos")] if kind == "emergency_report" else []
        if in_range("signal_dbm", fields.get("signal_dbm", nan)):
            bodies.append(Telemetry({"signal_dbm": fields["signal_dbm"]}))
        if fields.get("gps_valid") and (fields["latitude"] or fields["longitude"]):
            bodies.extend(_gps_place(fields))
        claimed: datetime | None = fields.get("time")
        found: list[Result] = [
            self._observation(report, radio, body, number + at, claimed) for at, body in enumerate(bodies)
        ]
        return [*self._asked.of_hdap(radio, fields, report.now), *(found or [_heard(radio, report.now)])]

    def _observation(
        self, report: Report, radio: str, body: Body, number: int = 0, claimed: datetime | None = None
    ) -> Observation:
        at, flags = observed(claimed, report.now, self._settings.any_time) if claimed else (report.now, ())
        parts = radio.encode(), report.message.data
        if claimed is None and report.counted:
            name = self._repeats.name(report.now, *parts)
        else:
            name = digest(*parts, hour_of_doubt(claimed, report.now))
        return Observation(
            device=DeviceId(f"dmr:{radio}"),
            observed_at=at,
            received_at=report.now,
            body=body,
            frame_id=f"{name}.{number}" if claimed or report.counted else "",
            flags=flags,
        )


def _heard(native_id: str, now: datetime) -> Observation:
    """A sign of life."""
    return Observation(device=DeviceId(f"dmr:{native_id}"), observed_at=now, received_at=now, body=Telemetry({}))


def _lrrp_place(document: lrrp.Document, place: Fields, centimetres: bool) -> list[Body]:
    if not (place["latitude"] or place["longitude"]) or abs(place["latitude"]) > 90:
        return []
    speed, course = document.first("speed-hor"), document.first("direction-hor")
    kmh = speed * KMH_OF_M_S / (100 if centimetres else 1) if speed is not None else None
    return [
        _position(
            place["longitude"],
            place["latitude"],
            altitude_m=place.get("altitude_m"),
            accuracy_m=place.get("radius_m"),
            speed_kmh=kmh,
            course_deg=course * lrrp.DIRECTION_STEP_DEG if course is not None else None,
        )
    ]


def _gps_place(fields: Fields) -> list[Body]:
    if fields["latitude"] is None or fields["longitude"] is None:
        return []
    speed = fields["speed_knots"]
    kmh = speed * KMH_OF_KNOT if speed is not None else None
    return [_position(fields["longitude"], fields["latitude"], speed_kmh=kmh, course_deg=fields["direction"])]


def _position(longitude: float, latitude: float, **more: float | None) -> Position:
    """Values that cannot be are left out."""
    altitude, speed, course = more.get("altitude_m"), more.get("speed_kmh"), more.get("course_deg")
    return Position(
        longitude=longitude,
        latitude=latitude,
        altitude_m=altitude if altitude is not None and ALTITUDE_M[0] <= altitude <= ALTITUDE_M[1] else None,
        accuracy_m=more.get("accuracy_m"),
        speed_kmh=speed if speed is not None and 0 <= speed <= SPEED_KMH_MAX else None,
        course_deg=course % 360 if course is not None else None,
    )


FAMILY = MessageFamily(
    name="dmr",
    title="DMR radios: Hytera (RRS, LP, TMP) and Motorola (ARS, LRRP, TMS)",
    native_id="the radio's number; a Hytera repeater's address",
    example=Example("20", {"ports": [4001, 4005, 4007, 30001, 30003, 30007]}),
    links=("datagrams",),
    integrity="",  # Hytera's checksum leaves the first byte out, Motorola has none
    message_bytes_max=DATAGRAM_BYTES_MAX,
    silence_s_max=5_400,
    settings=Settings,
    open_session=Session,
    commands=COMMANDS,
)
