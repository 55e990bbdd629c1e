"""JT/T 808-2011, -2013 and -2019 vehicle and personal terminals over TCP; we are the platform. Frames: jt808_wire.py.

What is answered: register (0x0100) with 0x8100 and an authentication code, or result 4 to a terminal that is not
enrolled; time (0x0004, 0x0109); every other message but a terminal's own answer with 0x8001, result 0, in the header
layout and with the phone bytes of the terminal. The code proves nothing: it travels in clear text, so terminals are
bound to enrolled ids, and one that skips registration is served as well.

What it means
- 0x0200, 0x0201, 0x0500 and each part of 0x0704: alarms of the alarm flags, a Position when the terminal has one, and
  Telemetry of the items. The flags are the whole state: a kind that can end by itself and is not set any more is
  cleared (the first report of a terminal on a link clears whatever it does not raise).
- A 0x0704 of type 1 was kept while there was no network: flag BACKLOG.
- Registration, log-in, log-out, driver card, attributes and answers are Events; an id that is not read is an Event with
  its hex; a heartbeat is Telemetry without values.
- Sub-packets are joined (jt808_parts.py). When the last came and others are missing they are asked for (0x8003). Each
  part is answered when it comes, as terminals expect: what is lost between parts is asked for again.
- An ASCII frame in parentheses that does not ask for the time is an Event with its text.
- Items of the terminal's maker are read as the setting `items` says: { id = 0xE4, at = 1, metric = "battery_percent" }.
- A location that names no place (no coordinates, encrypted, off the globe) still tells its alarms.
- Times are UTC+8 on the wire (setting `clock_zone`). Impossible ones are replaced by the time of receiving and flagged.
- What a terminal can be asked: jt808_commands.py; what it says to it: jt808_answers.py. Areas that it watches by itself
  (jt808_areas.py) name themselves in the description of their alarm.
- The native id is the phone number without leading zeros; bytes that are no BCD are an IMEI without its check digit.
"""

from collections.abc import Container
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from devices.asked import Asked, until
from devices.dictionary import ALARMS
from devices.families import jt808_answers, jt808_parameters
from devices.families import jt808_commands as commands
from devices.families import jt808_wire as wire
from devices.families.jt808_answers import Answers
from devices.families.jt808_areas import Terminal
from devices.families.jt808_bodies import read_batch, read_body
from devices.families.jt808_items import Items, measured
from devices.families.jt808_parts import Parts
from devices.families.jt808_wire import Location, Message
from devices.family import CommandRefused, DeviceCommand, Example, Family
from devices.framing import Framer
from devices.local_time import LocalClock, hour_of_doubt, observed
from devices.observation import (
    BACKLOG,
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

GENERAL_ANSWER, REGISTER_ANSWER, PARTS_ASKED = 0x8001, 0x8100, 0x8003
REGISTER, HEARTBEAT, LOCATION, BATCH = 0x0100, 0x0002, 0x0200, 0x0704
KEPT = 1  # type of a batch
ANSWERED_LOCATIONS = frozenset({0x0201, 0x0500})  # answered serial 2 + location
TIME_ASKED = {0x0004: 0x8004, 0x0109: 0x8109}
NO_ANSWER = frozenset({0x0001})
NO_SUCH_TERMINAL = 4
TIME_WANTED = b"TIME"  # in a text frame

DEVICES_MAX = 1_000  # of one link, remembered for clearing
HEX_CHARS_MAX = 400

EVENT_OF_ID = {
    0x0003: "logout",
    0x0100: "registered",
    0x0102: "authenticated",
    0x0702: "driver_card",
    0x0107: "attributes",
    0x0001: "answer",
    0x0104: "answer",
}
# What an event tells of its fields. Never the driver's name or licence: those are personal data.
TOLD = (
    "plate terminal_model manufacturer_id ic_status read_result hardware_version firmware_version "
    "reply_id reply_serial result"
).split()
CLEARED_BY_TERMINAL = frozenset(kind for kind in wire.ALARM_BITS.values() if not ALARMS[kind].latching)


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`clock_zone`: quirk of terminals that do not send UTC+8. `items`: what items of the terminals' maker measure
    (jt808_items.py). `alarm_bits`: what its alarm bits 15 to 17 mean, for example { "16" = "tamper" }. `any_time`:
    impossible times are flagged, but kept (recordings, `gridward decode`)."""

    clock_zone: str = "Asia/Shanghai"
    items: Items = ()
    alarm_bits: dict[Literal["15", "16", "17"], str] = {}
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.clock_zone)
        for kind in self.alarm_bits.values():
            if kind not in ALARMS:
                raise ValueError(f"no alarm {kind!r}: see docs/dictionary.md")


class Session:
    """See devices.family.Session and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._enrolled = enrolled
        self._clock = LocalClock(settings.clock_zone)
        self._any_time = settings.any_time
        self._items = settings.items
        self._bits = {1 << int(bit): kind for bit, kind in settings.alarm_bits.items()}
        self._ending = CLEARED_BY_TERMINAL | {kind for kind in self._bits.values() if not ALARMS[kind].latching}
        self._framer = Framer(wire.cut, wire.FRAME_BYTES_MAX)
        self._replies: list[bytes] = []
        self._serial = 0
        self._parts = Parts()
        self._raised: dict[str, set[str]] = {}  # device -> kinds that it may still have raised
        self._heard: dict[str, Message] = {}  # native id -> a message whose header shows how to write to it
        self._answers = Answers()

    @property
    def joining_bytes(self) -> int:
        """Bytes of sub-packets whose message is not whole yet."""
        return self._parts.size

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        found = self._read(self._framer.idle(), now)
        self._parts.expire(now)
        return [*found, *self._given_up()]

    def to_send(self) -> bytes:
        replies, self._replies = b"".join(self._replies), []
        return replies

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See devices.family.Commanded."""
        heard = self._heard.get(command.native_id)
        if heard is None:
            raise CommandRefused(f"{command.native_id} has not shown itself on this link")
        request = commands.request(command, Terminal(heard.is_2019, self._clock))
        self._answer(heard, request.id, request.body)
        asked = Asked(command.nonce, command.action, until(now), request.wanted)
        self._answers.expect(command.native_id, self._serial, asked)

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            if isinstance(piece, Rejected):
                found.append(piece)
            elif piece.startswith(wire.TEXT_MARK):
                found.append(self._text(piece, now))
            else:
                found.extend(self._message(piece, now))
        return found

    def _message(self, frame: bytes, now: datetime) -> list[Result]:
        message = wire.read_message(frame)
        native_id = self._native_id(message.phone)
        device = DeviceId(f"jt808:{native_id}")
        if native_id not in self._enrolled:
            if message.id == REGISTER:
                self._answer(message, REGISTER_ANSWER, message.serial.to_bytes(2) + bytes((NO_SUCH_TERMINAL,)))
            return [rejected("not enrolled", frame, device, **_own_words(message))]
        if message.encryption and message.id not in wire.SHORT_SERIAL:
            return [rejected("encrypted", frame, device)]
        self._hear(native_id, message)
        self._reply(message, now)
        if message.total > 1:
            return self._part(message, native_id, frame, now)
        return self._meaning(message, native_id, frame, now)

    def _hear(self, native_id: str, message: Message) -> None:
        before = self._heard.get(native_id)
        if before is not None and before.phone == message.phone and before.is_2019 == message.is_2019:
            return
        if before is None and len(self._heard) >= DEVICES_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[native_id] = replace(message, body=b"")

    def _text(self, text: bytes, now: datetime) -> Result:
        """An ASCII frame, its terminal's id first. One that asks for the time is answered by itself, with our time;
        any other is told: sent back it might be taken for an order."""
        digits = text[1:-1].partition(b",")[0].decode("ascii", "replace")
        if not digits.isdigit():
            return rejected("text frame without id", text)
        native_id = self._with_zeros_or_not(digits)
        device = DeviceId(f"jt808:{native_id}")
        if native_id not in self._enrolled:
            return rejected("not enrolled", text, device)
        if TIME_WANTED in text:
            self._replies.append(text.replace(TIME_WANTED, now.strftime("%Y%m%d%H%M%S").encode()))
            return _heard(device, now)
        told = Event(kind="unknown_report", attributes={"text": text.decode()})
        return Observation(device=device, observed_at=now, received_at=now, body=told)

    def _native_id(self, phone: bytes) -> str:
        digits = phone.hex()
        if not digits.isdigit():
            imei = f"{int.from_bytes(phone):014d}"
            return imei + luhn_digit(imei)
        return self._with_zeros_or_not(digits)

    def _with_zeros_or_not(self, digits: str) -> str:
        """Stripped, or with its zeros when it is enrolled like that."""
        stripped = digits.lstrip("0") or "0"
        return digits if stripped not in self._enrolled and digits in self._enrolled else stripped

    # --- answers ---

    def _answer(self, to: Message, id_: int, body: bytes) -> None:
        self._serial = (self._serial + 1) & 0xFFFF
        answer = Message(id_, 0, to.is_2019, to.version, to.phone, self._serial, 0, 0, body)
        self._replies.append(wire.write_message(answer))

    def _reply(self, message: Message, now: datetime) -> None:
        serial = message.serial.to_bytes(2)
        if message.id == REGISTER:
            code = digest(b"jt808", message.phone).encode()
            self._answer(message, REGISTER_ANSWER, serial + b"\0" + code)
        elif message.id in TIME_ASKED:
            local = self._clock.local(now).strftime("%y%m%d%H%M%S")
            self._answer(message, TIME_ASKED[message.id], bytes.fromhex(local))
        elif message.id not in NO_ANSWER:
            self._answer(message, GENERAL_ANSWER, serial + message.id.to_bytes(2) + b"\0")

    # --- sub-packets ---

    def _part(self, message: Message, native_id: str, frame: bytes, now: datetime) -> list[Result]:
        device = DeviceId(f"jt808:{native_id}")
        self._parts.expire(now)
        joined = self._parts.add(message, now)
        found = self._given_up()
        if joined.refused:
            return [*found, rejected(joined.refused, frame, device)]
        if joined.whole is not None:
            return [*found, *self._meaning(joined.whole, native_id, frame, now)]
        if joined.missing:
            asked = b"".join(index.to_bytes(2) for index in joined.missing)
            body = joined.first_serial.to_bytes(2) + bytes((len(joined.missing),)) + asked
            self._answer(message, PARTS_ASKED, body)
        return [*found, _heard(device, now)]

    def _given_up(self) -> list[Result]:
        """What was answered part by part and never became whole."""
        phones = self._parts.given_up()
        return [rejected("sub-packets missing", phone, DeviceId(f"jt808:{self._native_id(phone)}")) for phone in phones]

    # --- meaning ---

    def _meaning(self, message: Message, native_id: str, frame: bytes, now: datetime) -> list[Result]:
        device = DeviceId(f"jt808:{native_id}")
        if message.id == HEARTBEAT:
            return [_heard(device, now)]
        answers = self._said(native_id, message, now) if message.id in jt808_answers.SPOKEN else []
        return [*self._told(message, device, frame, now), *answers]

    def _said(self, native_id: str, message: Message, now: datetime) -> list[Result]:
        """To a command; parameters that were set are read back."""
        answer, set_ = self._answers.read(native_id, message, now)
        if set_ is not None:
            self._answer(message, commands.READ_PARAMETERS, commands.read_back(set_.wanted))
            self._answers.expect(native_id, self._serial, replace(set_, kind=jt808_answers.READ_BACK))
        return [answer] if answer else []

    def _told(self, message: Message, device: DeviceId, frame: bytes, now: datetime) -> list[Result]:
        report = Report(device, digest(message.phone, message.serial.to_bytes(2), message.body), now)
        if message.id in ANSWERED_LOCATIONS or message.id == LOCATION:
            location = wire.read_location(message.body[2:] if message.id in ANSWERED_LOCATIONS else message.body)
            if location is not None and location.alarms:
                doubt = hour_of_doubt(self._clock.utc(location.time), now)
                report = replace(report, frame_id=digest(report.frame_id.encode(), doubt))
            return self._locations(report, [location], frame)
        if message.id == BATCH:
            batch = read_batch(message.body)
            if batch is None:
                return [rejected("batch cut short", frame, device)]
            count, kind, locations = batch
            short = [rejected("batch cut short", frame, device)] if len(locations) < count else []
            kept = (BACKLOG,) if kind == KEPT else ()
            return [*self._locations(report, locations, frame, kept), *short]
        return [_event(message, report)]

    def _locations(
        self, report: "Report", locations: list[Location | None], frame: bytes, kept: tuple[str, ...] = ()
    ) -> list[Result]:
        found: list[Result] = []
        number = 0
        for location in locations:
            if location is None:
                found.append(rejected("location unreadable", frame, report.device))
                continue
            if not location.on_globe:
                found.append(rejected("position not on the globe", frame, report.device))
            at, flags = observed(self._clock.utc(location.time), report.now, self._any_time)
            for body in self._bodies(report.device, location):
                found.append(_observation(report, at, body, number, (*flags, *kept)))
                number += 1
        return found or [_heard(report.device, report.now)]

    def _bodies(self, device: DeviceId, location: Location) -> list[Body]:
        vendors = [kind for bit, kind in self._bits.items() if location.alarms & bit]
        raised = tuple(dict.fromkeys((*wire.alarm_kinds(location.alarms), *vendors)))
        found: list[Body] = [Alarm(kind=kind, description=wire.detail(location, kind)) for kind in raised]
        found += [Alarm(kind=kind, raised=False) for kind in self._cleared(device, set(raised))]
        if location.somewhere:
            found.append(_place(location))
        found.append(Telemetry(measured(location, self._items)))
        return found

    def _cleared(self, device: DeviceId, raised: set[str]) -> list[str]:
        held = self._raised.get(device)
        if held is None:
            if len(self._raised) >= DEVICES_MAX:
                del self._raised[next(iter(self._raised))]
            held = set(self._ending)
        self._raised[device] = raised & self._ending
        return sorted(held - raised)


class Report(Struct, frozen=True):
    device: DeviceId
    frame_id: str
    now: datetime


def _observation(report: Report, at: datetime, body: Body, number: int, flags: tuple[str, ...] = ()) -> Observation:
    frame_id = f"{report.frame_id}.{number}"
    return Observation(
        device=report.device, observed_at=at, received_at=report.now, body=body, frame_id=frame_id, flags=flags
    )


def _own_words(message: Message) -> dict[str, str]:
    """What a terminal that registers says of itself, for whoever is to enrol it."""
    fields = read_body(message) if message.id == REGISTER else {}
    words = {"maker": "manufacturer_id", "model": "terminal_model", "name": "plate"}
    return {name: str(fields[field]) for name, field in words.items() if field in fields}


def _heard(device: DeviceId, now: datetime) -> Observation:
    """A sign of life."""
    return Observation(device=device, observed_at=now, received_at=now, body=Telemetry({}))


def _event(message: Message, report: Report) -> Observation:
    kind = EVENT_OF_ID.get(message.id, "unknown_report")
    if kind == "unknown_report":
        attributes = {"id": f"0x{message.id:04X}", "hex": message.body.hex()[:HEX_CHARS_MAX]}
    else:
        fields: dict[str, Any] = read_body(message)
        attributes = {name: str(fields[name])[:TEXT_CHARS_MAX] for name in TOLD if name in fields}
        attributes |= jt808_parameters.told(fields.get("params", []))
    return _observation(report, report.now, Event(kind=kind, attributes=attributes), 0)


def _place(location: Location) -> Position:
    return Position(
        longitude=location.longitude,
        latitude=location.latitude,
        fix="gnss" if location.positioned else "network",
        altitude_m=location.altitude_m - (location.altitude_m >> 15 << 16),  # below the sea: two's complement
        speed_kmh=location.speed_kmh,
        course_deg=location.course_deg % 360,
        satellites=int(location.values["gnss_satellites"]) if "gnss_satellites" in location.values else None,
    )


def luhn_digit(digits: str) -> str:
    """The check digit that follows `digits` in an IMEI (ISO/IEC 7812-1 annex B)."""
    doubled = (int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits)))
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


FAMILY = Family(
    name="jt808",
    title="Vehicle and personal terminal, JT/T 808-2011, -2013, -2019",
    native_id="the phone number without leading zeros; the IMEI of a terminal that sends that",
    native_id_pattern=r"\d{1,20}",
    example=Example("13912345678", {"port": 9003}),
    links=("tcp_server", "udp_server"),
    integrity="exclusive or of all bytes, marks",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=180,
    settings=Settings,
    open_session=Session,
    commands=commands.COMMANDS,
    kinds_by_settings=True,
)
