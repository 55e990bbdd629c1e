"""APRS: positions, weather, messages and emergencies of amateur and volunteer radios, from APRS-IS or from a terminal
node controller that prints packets as text. Packets: aprs_wire.py, aprs_position.py.

What it means
- A position is a Position of its sender; what is behind it (altitude, course) belongs to it. 0/0 is none.
- Mic-E message bits 000 are an `sos`. It is not cleared by other bits: people close it.
- Weather is Telemetry. An object or item is not where its sender is: a sign of life. A third-party packet counts for
  the sender inside. A message to another station, or to us, is an Event with its text; one with a number that is
  addressed to our `callsign` is acknowledged, when `transmit` says that a licensed person allows it.
- Times come without date (day, hour and minute, or the time of day): the last such time before receiving; local times
  are of `time_zone`. What has none is observed when it is received. The datum is WGS-84.
- The same packet comes over several stations: within REPEAT_S the copies have one frame id (by source, destination and
  content).
Command `text`, with `transmit`: a message with a number; its acknowledgement or rejection is the answer.
Sent first, in answer to the server's greeting: the log-in of APRS-IS, when `callsign` is set. Everything is public and
forgeable: bound to enrolled callsigns, nothing more. The native id is the callsign with its SSID.
"""

from collections.abc import Container
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from devices.asked import Asked, Waiting, until
from devices.dictionary import in_range
from devices.families import aprs_wire as wire
from devices.families.aprs_wire import Fields
from devices.family import CommandKind, CommandRefused, DeviceCommand, Example, Family
from devices.framing import Framer, cut_line
from devices.local_time import AHEAD_MAX, LocalClock, observed
from devices.observation import (
    TEXT_CHARS_MAX,
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Position,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

REPEAT_S = 30
COPIES_MAX = 5_000  # packets of one link, remembered for their copies
EMERGENCY_BITS = "000"
NUMBER_MAX = 99_999
COMMANDS = (CommandKind(name="text", meaning="sends a message to the station", args={"text": "up to 67 characters"}),)
ALTITUDE_M = (-1_000.0, 20_000.0)
SPEED_KMH_MAX = 1_500.0
METRIC_OF_WEATHER = {
    "temperature": ("temperature_c", 1.0),
    "humidity": ("humidity_percent", 1.0),
    "pressure": ("pressure_kpa", 0.1),
    "wind_speed": ("wind_speed_m_s", 1.0),
    "wind_direction": ("wind_direction_deg", 1.0),
}


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`callsign`: ours, to log in to APRS-IS with `filter` ("r/30.74/120.48/50") and to be written to. `transmit`: it
    may answer. `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    callsign: Annotated[str, Meta(pattern=r"^([A-Z0-9]{3,6}(-[0-9]{1,2})?)?$")] = ""
    filter: Annotated[str, Meta(pattern=r"^[ -~]{0,200}$")] = ""
    transmit: bool = False
    time_zone: str = "Asia/Shanghai"
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.time_zone)
        if self.transmit and not self.callsign:
            raise ValueError("transmit needs a callsign")


class Session:
    """See devices.family.Session."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._clock = LocalClock(settings.time_zone)
        self._framer = Framer(cut_line, wire.PACKET_BYTES_MAX)
        self._copies: dict[str, datetime] = {}
        login = wire.write_login(settings.callsign, settings.filter) if settings.callsign else b""
        self._replies: list[bytes] = [login]
        self._number = 0
        self._asked: Waiting[tuple[str, str]] = Waiting()  # (native id, message number)

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if command.native_id not in self._enrolled:
            raise CommandRefused(f"{command.native_id} is no enrolled station")
        if command.action != "text" or not self._settings.transmit:
            raise CommandRefused(f"no command {command.action}, or the link may not transmit")
        self._number = self._number % NUMBER_MAX + 1
        text = command.args.get("text", "")
        sent = wire.write_text(self._settings.callsign, command.native_id, text, self._number)
        if sent is None:
            raise CommandRefused("the text is empty, longer than 67 characters, or has one of | ~ { in it")
        self._replies.append(sent)
        self._asked.add((command.native_id, str(self._number)), Asked(command.nonce, command.action, until(now)))

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        replies, self._replies = b"".join(self._replies), []
        return replies

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._line(piece, now))
        return found

    def _line(self, line: bytes, now: datetime) -> list[Result]:
        if line.startswith(b"#"):
            return []  # the server's keep-alive
        text = _text(line)
        packet = wire.read_packet(text)
        if packet is None:
            return [rejected("packet unreadable", line)]
        while packet["format"] == "thirdparty":
            packet, text = packet["subpacket"], text.partition(":}")[2]
        native_id = packet["from"].upper()
        device = DeviceId(f"aprs:{native_id}")
        if native_id not in self._enrolled:
            return [rejected("not enrolled", line, device)]
        self._acknowledge(packet)
        copy = digest(native_id.encode(), packet["to"].encode(), text.partition(":")[2].encode())
        name = self._name(copy, now)
        at, flags = self._observed(packet.get("raw_timestamp", ""), now)
        found = self._answered(native_id, packet, now)
        return found + [
            Observation(
                device=device,
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=f"{name}.{number}",
                flags=flags,
            )
            for number, body in enumerate(_bodies(packet))
        ]

    def _acknowledge(self, packet: Fields) -> None:
        ours = packet.get("addresse", "").upper() == self._settings.callsign
        if self._settings.transmit and ours and "msgNo" in packet and "response" not in packet:
            self._replies.append(wire.write_ack(self._settings.callsign, packet["from"], packet["msgNo"]))

    def _answered(self, native_id: str, packet: Fields, now: datetime) -> list[Result]:
        """A response, or the acknowledgement that a message of its own carries."""
        ours = packet.get("addresse", "").upper() == self._settings.callsign
        number = packet.get("msgNo" if "response" in packet else "ackMsgNo")
        asked = self._asked.take((native_id, number), now) if ours and number else None
        if asked is None:
            return []
        if packet.get("response") == "rej":
            return [asked.answer("refused", "rejected by the station")]
        return [asked.answer("accepted")]

    def _name(self, copy: str, now: datetime) -> str:
        """The same for copies that come within REPEAT_S of the first."""
        first = self._copies.get(copy)
        if first is None or not 0 <= (now - first).total_seconds() <= REPEAT_S:
            self._copies.pop(copy, None)
            if len(self._copies) >= COPIES_MAX:
                del self._copies[next(iter(self._copies))]
            first = self._copies[copy] = now
        return digest(copy.encode(), first.isoformat().encode())

    def _observed(self, stamp: str, now: datetime) -> tuple[datetime, tuple[str, ...]]:
        """The last time that the stamp fits."""
        if not stamp:
            return now, ()
        first, second, third = (int(stamp[at : at + 2]) for at in (0, 2, 4))
        local = stamp[-1] == "/"
        base = self._clock.local(now) if local else now
        try:
            if stamp[-1] == "h":
                claimed = base.replace(hour=first, minute=second, second=third, microsecond=0)
                earlier = claimed - timedelta(days=1) if claimed > now + AHEAD_MAX else claimed
                return observed(earlier, now, self._settings.any_time)
            claimed = base.replace(hour=second, minute=third, second=0, microsecond=0)
            days = [claimed + timedelta(days=step) for step in range(-27, 2)]
        except (ValueError, OverflowError):
            return now, ("time_invalid",)
        fitting = [day for day in days if day.day == first]
        if not fitting:
            return now, ("time_invalid",)
        return observed(fitting[-1].astimezone(UTC), now, self._settings.any_time)


def _text(line: bytes) -> str:
    """UTF-8, else latin-1; PostgreSQL holds no NUL."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return text.replace("\0", "\ufffd")


def _bodies(packet: Fields) -> list[Body]:
    found: list[Body] = []
    if packet.get("mbits") == EMERGENCY_BITS:
        found.append(Alarm(kind="sos", description=packet.get("comment", "")[:TEXT_CHARS_MAX]))
    own = packet["format"] not in ("object", "item")
    if own and (packet.get("latitude") or packet.get("longitude")):
        found.append(_place(packet))
    if own and (values := _weather(packet.get("weather", {}))):
        found.append(Telemetry(values))
    if packet["format"] == "message" and "message_text" in packet:
        attributes = {"to": packet["addresse"], "text": packet["message_text"][:TEXT_CHARS_MAX]}
        found.append(Event(kind="text_message", attributes=attributes))
    return found or [Telemetry({})]


def _place(packet: Fields) -> Position:
    moves = "weather" not in packet  # what a weather station says about course and speed is the wind's
    altitude, speed, course = packet.get("altitude"), packet.get("speed"), packet.get("course")
    return Position(
        longitude=packet["longitude"],
        latitude=packet["latitude"],
        altitude_m=altitude if altitude is not None and ALTITUDE_M[0] <= altitude <= ALTITUDE_M[1] else None,
        speed_kmh=speed if moves and speed is not None and 0 <= speed <= SPEED_KMH_MAX else None,
        course_deg=course % 360 if moves and course is not None else None,
    )


def _weather(weather: Fields) -> dict[str, float]:
    values = {metric: weather[name] * factor for name, (metric, factor) in METRIC_OF_WEATHER.items() if name in weather}
    return {metric: value for metric, value in values.items() if in_range(metric, value)}


FAMILY = Family(
    name="aprs",
    title="Amateur and volunteer radios, APRS (APRS-IS or a node controller)",
    native_id="the callsign with its SSID",
    example=Example("BH4ABC-7", {"host": "rotate.aprs2.net", "port": 14580}, {"callsign": "BH4ABC"}),
    links=("tcp_client", "serial"),
    integrity="",
    frame_bytes_max=wire.PACKET_BYTES_MAX,
    silence_s_max=3_600,
    settings=Settings,
    open_session=Session,
    commands=COMMANDS,
)
