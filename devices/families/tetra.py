"""TETRA radios, through a terminal's PEI or a gateway that speaks like one: locations (LIP), texts, status and
emergencies. Lines: tetra_wire.py. A terminal must be told to pass them on (AT+CTSP), and forgets it when it is switched
off: with the setting `set_up` it is told at the start and every ten minutes.

What is answered: an SDS-TL TRANSFER that asks for a report gets one, after acceptance, when its sender is enrolled.

What it means
- LIP short report: a Position. The reason for sending 2 is an `sos`, 12 a `low_battery`; power on and off are Events.
- Pre-coded status 0 and a call of priority 15 are an `sos` too; other statuses are Events with their number.
- A text is an Event. A simple location (NMEA) is a Position. All else is an `unknown_report` with its hex.
- The native id is the radio's number (ISSI); one of another network than `mcc`, `mnc` is "mcc-mnc-number".
- LIP has no absolute time: a Position is as old as its class says (5 or 30 minutes at most), flagged
  `time_approximate`, or `time_invalid` when the class is "unknown". What is raised is raised when it is received.
- Command `text`: a text with a wish for a report; what the report says is the answer to the command. `locate`: an
  immediate report request; confirmed by a location that says so (reason 32), refused by a result code.
- The frame id comes from the SDS-TL message reference; a report without one has none. The same report minutes later is
  another (devices/repeats.py): radios count anew when they are switched on.
The datum is WGS-84. The radio network authenticates its radios; the serial port does not authenticate the terminal.
"""

from collections.abc import Container
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from devices.asked import Asked, Waiting, check_args, until
from devices.families import nmea_wire
from devices.families import tetra_wire as wire
from devices.families.tetra_wire import Head, Sds, ShortReport
from devices.family import CommandKind, CommandRefused, DeviceCommand, Example, Family
from devices.framing import Framer, cut_line
from devices.local_time import observed
from devices.observation import (
    TEXT_CHARS_MAX,
    Alarm,
    Body,
    CommandAnswer,
    DeviceId,
    Event,
    Observation,
    Position,
    Rejected,
    Result,
    Telemetry,
    rejected,
)
from devices.repeats import Repeats

HEX_CHARS_MAX = 400
SET_UP_EVERY = timedelta(minutes=10)
RADIOS_MAX = 5_000  # of one link, remembered
EMERGENCY_PRIORITY = 15
EMERGENCY_STATUS = 0
ALARM_OF_REASON = {2: "sos", 12: "low_battery"}
ON_REQUEST = 32  # reason for sending
EVENT_OF_REASON = {0: "registered", 1: "logout"}
OLD_AT_MOST = {1: timedelta(minutes=5), 2: timedelta(minutes=30)}
FLAG_OF_ELAPSED = {1: ("time_approximate",), 2: ("time_approximate",), 3: ("time_invalid",)}
KMH_OF_KNOT = 1.852
COMMANDS = (
    CommandKind(name="text", meaning="sends a text to the radio", args={"text": "up to 199 characters, 99 Chinese"}),
    CommandKind(name="locate", meaning="asks the radio where it is"),
)
KINDS = {kind.name: kind for kind in COMMANDS}
NO_REFERENCE = -1


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`mcc`, `mnc`: the network of short numbers. `set_up`: tell the terminal to pass on what it hears: for a terminal,
    not for a gateway. `any_time`: impossible times of simple locations are kept."""

    mcc: Annotated[str, Meta(pattern=r"^[0-9]{0,4}$")] = ""
    mnc: Annotated[str, Meta(pattern=r"^[0-9]{0,5}$")] = ""
    set_up: bool = False
    any_time: bool = False


class Report(Struct, frozen=True):
    """One line's or message's common part while it is read."""

    device: DeviceId
    frame_id: str
    now: datetime
    any_time: bool = False

    @property
    def native_id(self) -> str:
        return self.device.partition(":")[2]


class Session:
    """See devices.family.Session."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._framer = Framer(cut_line, wire.LINE_BYTES_MAX)
        self._head: tuple[Head, bytes] | None = None  # its data is the next line
        self._replies: list[bytes] = []
        self._heard: dict[str, None] = {}  # native ids, the latest last
        self._repeats = Repeats(RADIOS_MAX)
        self._set_up_at: datetime | None = None
        self._to_set: list[bytes] = []  # words that the terminal is still to be told
        self._reference = 0
        self._asked: Waiting[tuple[str, int]] = Waiting()  # (native id, message reference; `locate` has none)

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if command.native_id not in self._heard:
            raise CommandRefused(f"{command.native_id} has not shown itself on this link")
        if not command.native_id.isdigit():
            raise CommandRefused(f"{command.native_id} is a radio of another network")
        check_args(KINDS, command)
        asked = Asked(command.nonce, command.action, until(now))
        if command.action == "locate":
            self._replies.append(wire.write_location_request(command.native_id))
            self._asked.add((command.native_id, NO_REFERENCE), asked)
            return
        reference = (self._reference + 1) & 0xFF
        sent = wire.write_text(command.native_id, reference, command.args.get("text", ""))
        if sent is None:
            raise CommandRefused("the text is empty, or longer than one message")
        self._reference = reference
        self._replies.append(sent)
        self._asked.add((command.native_id, reference), asked)

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        self._set_up(now)
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        if not self._set_up(now):
            self._set_next()
        found = self._read(self._framer.idle(), now)
        return [*found, *self._forgotten()]

    def to_send(self) -> bytes:
        replies, self._replies = b"".join(self._replies), []
        return replies

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._line(piece, now))
        return found

    def _set_up(self, now: datetime) -> bool:
        """Begin to tell the terminal what it is to pass on, when that is due."""
        if not self._settings.set_up or (self._set_up_at is not None and now - self._set_up_at < SET_UP_EVERY):
            return False
        self._set_up_at, self._to_set = now, list(wire.SET_UP)
        self._set_next()
        return True

    def _set_next(self) -> None:
        if self._to_set:
            self._replies.append(self._to_set.pop(0))

    def _forgotten(self) -> list[Result]:
        """A head whose data did not come."""
        head, self._head = self._head, None
        return [rejected("data missing", head[1])] if head else []

    def _line(self, line: bytes, now: datetime) -> list[Result]:
        text = line.decode("latin-1").strip()
        data = wire.read_hex(text)
        if self._head and data is not None:
            (head, raw), self._head = self._head, None
            return self._data(head, data, raw + b"\r\n" + line, now)
        found = self._forgotten()
        if begun := wire.read_head(text):
            self._head = (begun, line)
            return found
        if wire.RESULT.fullmatch(text):
            self._set_next()
        call = wire.read_call(text)
        if call:
            return [*found, *self._call(*call, line, now)]
        return found if wire.QUIET.fullmatch(text) else [*found, rejected("line not read", line)]

    def _known(self, calling: str, frame: bytes) -> tuple[DeviceId, list[Result]]:
        """The caller, and why it does not count; nothing when it does."""
        native_id = wire.read_identity(calling, self._settings.mcc, self._settings.mnc)
        device = DeviceId(f"tetra:{native_id}")
        if not native_id:
            return device, [rejected("no calling number", frame)]
        if native_id not in self._enrolled:
            return device, [rejected("not enrolled", frame, device)]
        self._heard.pop(native_id, None)
        if len(self._heard) >= RADIOS_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[native_id] = None
        return device, []

    def _call(self, calling: str, priority: int, line: bytes, now: datetime) -> list[Result]:
        device, refused = self._known(calling, line)
        if refused:
            return refused
        body = Alarm(kind="sos", description="emergency call") if priority == EMERGENCY_PRIORITY else Telemetry({})
        return [Observation(device=device, observed_at=now, received_at=now, body=body)]

    def _data(self, head: Head, data: bytes, frame: bytes, now: datetime) -> list[Result]:
        device, refused = self._known(head.calling, frame)
        if refused:
            return refused
        if len(data) * 8 < head.bits:
            return [rejected("data cut short", frame, device)]
        if head.service == wire.STATUS:
            return [_observation(Report(device, "", now), _status(int.from_bytes(data[-2:])))]
        sds = wire.read_sds(data) if head.service == wire.SDS else None
        if sds is None:
            return [rejected("short data not read", frame, device)]
        if sds.report_wanted:
            self._replies.append(wire.write_report(head.calling, sds))
        name = self._repeats.name(now, device.encode(), data) if sds.reference >= 0 else ""
        return self._content(Report(device, name, now, self._settings.any_time), sds)

    def _content(self, report: Report, sds: Sds) -> list[Result]:
        if sds.message_type != wire.TRANSFER:
            return [*self._answered(report, sds), _observation(report, Telemetry({}))]
        if sds.protocol == wire.TEXT:
            text = wire.read_text(sds.content).strip()[:TEXT_CHARS_MAX]
            return [_observation(report, Event(kind="text_message", attributes={"text": text}))]
        if sds.protocol == wire.LOCATION_SYSTEM:
            return [_simple_location(report, sds.content)]
        short = wire.read_short_report(sds.content) if sds.protocol == wire.LIP else None
        if short:
            return [*self._located(report, short), *_short_report(report, short)]
        if sds.protocol == wire.LIP and wire.read_refusal(sds.content):
            asked = self._asked.take((report.native_id, NO_REFERENCE), report.now)
            refused = [asked.answer("refused", "the radio refused it")] if asked else []
            return [*refused, _observation(report, Telemetry({}))]
        attributes = {"protocol": f"0x{sds.identifier:02X}", "hex": sds.content.hex()[:HEX_CHARS_MAX]}
        return [_observation(report, Event(kind="unknown_report", attributes=attributes))]

    def _located(self, report: Report, short: ShortReport) -> list[CommandAnswer]:
        if short.user_defined or short.additional != ON_REQUEST:
            return []
        asked = self._asked.take((report.native_id, NO_REFERENCE), report.now)
        return [asked.answer("confirmed")] if asked else []

    def _answered(self, report: Report, sds: Sds) -> list[CommandAnswer]:
        asked = None
        if sds.message_type == wire.REPORT:
            asked = self._asked.take((report.native_id, sds.reference), report.now)
        if asked is None:
            return []
        delivered = sds.status <= wire.DELIVERED_MAX
        return [asked.answer("accepted") if delivered else asked.answer("refused", "not delivered")]


def _observation(
    report: Report, body: Body, number: int = 0, at: datetime | None = None, flags: tuple[str, ...] = ()
) -> Observation:
    return Observation(
        device=report.device,
        observed_at=at or report.now,
        received_at=report.now,
        body=body,
        frame_id=f"{report.frame_id}.{number}" if report.frame_id else "",
        flags=flags,
    )


def _status(status: int) -> Body:
    if status == EMERGENCY_STATUS:
        return Alarm(kind="sos", description="emergency status")
    return Event(kind="state", attributes={"status": str(status)})


def _short_report(report: Report, short: ShortReport) -> list[Result]:
    found: list[Result] = []
    reason = -1 if short.user_defined else short.additional
    if reason in ALARM_OF_REASON:
        found.append(_observation(report, Alarm(kind=ALARM_OF_REASON[reason])))
    if reason in EVENT_OF_REASON:
        found.append(_observation(report, Event(kind=EVENT_OF_REASON[reason]), 1))
    if short.longitude or short.latitude:
        body = Position(
            longitude=short.longitude,
            latitude=short.latitude,
            accuracy_m=wire.ERROR_M[short.error],
            speed_kmh=short.speed_kmh,
            course_deg=short.course_deg,
        )
        at = _earlier(report.now, OLD_AT_MOST.get(short.elapsed, timedelta()))
        found.append(_observation(report, body, 2, at, FLAG_OF_ELAPSED.get(short.elapsed, ())))
    return found or [_observation(report, Telemetry({}))]


def _earlier(now: datetime, by: timedelta) -> datetime:
    try:
        return now - by
    except OverflowError:
        return now


def _simple_location(report: Report, content: bytes) -> Observation:
    """A sentence behind its coding scheme byte; without a fix it is a sign of life."""
    sentence = nmea_wire.read_sentence(content[1:])
    fields = nmea_wire.read_fields(sentence) if sentence and (sentence.check_ok or not sentence.check) else None
    if not fields or not fields.get("fix_valid") or fields["latitude"] is None or fields["longitude"] is None:
        return _observation(report, Telemetry({}))
    if not (fields["latitude"] or fields["longitude"]):
        return _observation(report, Telemetry({}))
    speed, course = fields.get("speed_knots"), fields.get("course")
    body = Position(
        longitude=fields["longitude"],
        latitude=fields["latitude"],
        speed_kmh=speed * KMH_OF_KNOT if speed is not None and speed >= 0 else None,
        course_deg=course % 360 if course is not None else None,
    )
    day, clock = fields.get("date"), fields.get("time")
    if not (day and clock):
        return _observation(report, body)
    at, flags = observed(datetime.combine(day, clock, UTC), report.now, report.any_time)
    return _observation(report, body, 0, at, flags)


FAMILY = Family(
    name="tetra",
    title="TETRA radios: locations, texts, status and emergencies through a PEI",
    native_id="the radio's number (ISSI); mcc-mnc-number when it is of another network",
    asks_every_s=5.0,
    example=Example("1234567", settings={"set_up": True}),
    links=("serial", "tcp_client", "tcp_server", "udp_server"),
    integrity="",
    frame_bytes_max=wire.LINE_BYTES_MAX,
    silence_s_max=3_600,
    settings=Settings,
    open_session=Session,
    commands=COMMANDS,
)
