"""Hikvision cameras, recorders and door terminals: the alertStream of ISAPI. Wire: hikvision_wire.py, multipart.py.

The link asks for `/ISAPI/Event/notification/alertStream` with HTTP digest (a wrong password locks the device after some
tries: never in a loop) and gives the session the body of the answer. Pictures are dropped as they come.

What it means (hikvision_codes.py)
- A device is its MAC address, else its IP address in the event, else `device`: several may stand behind one address.
- Cameras repeat "active" while a condition lasts and may never say "inactive": raised once, cleared when they say so or
  after ENDS_AFTER without repetition; fire, smoke and heat are cleared by the device only. Movement is Events likewise.
- videoloss inactive is the heartbeat: a sign of life, and the end of a loss of video that was told before.
- A door terminal's event is told each time. Passages are Events without their holder: card, name and employee number
  stay here. Records that are sent again after an outage (currentEvent false) have the flag BACKLOG; one record is
  (device, serialNo) and has one frame_id.
- Times have an offset; without one (quirk) they are of `time_zone`.

Asked beside the stream (hikvision_isapi.py): who the device is and, when that is a door terminal, what its log holds of
the time that the link was down, at most `catch_up_h`; the device's own clock counts. Its doors are driven by commands:
what it answers is accepted or refused, and its lock, when that tells of it, confirms. The login needs those rights; one
that has not is told so, and asked no more.

Events that devices push by themselves (httpHosts) mean the same: hikvision_push.py. Trust is that of the HTTP login.
"""

from collections.abc import Container, Iterator
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.conditions import Conditions
from devices.doors import Doors, kinds_of
from devices.families import hikvision_isapi as isapi
from devices.families import hikvision_wire as wire
from devices.families.hikvision_asked import WAYS, Log
from devices.families.hikvision_codes import ALARMS, EVENTS, NEVER_ASSUMED_OVER, Code, code_of
from devices.families.hikvision_wire import Alert, Passage
from devices.family import CommandRefused, DeviceCommand, Example, Family, Message
from devices.framing import Framer
from devices.held import Held
from devices.local_time import LocalClock, hour_of_doubt, observed
from devices.multipart import PART_BYTES_MAX, Cutter, Part, read_part
from devices.observation import (
    BACKLOG,
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Rejected,
    Result,
    Telemetry,
    digest,
    rejected,
)

CONDITIONS_MAX = 5_000
CATCH_UP_H_MAX = 24 * 31
ENDS_AFTER = timedelta(seconds=10)
DIRECTIONS = {"checkIn": "in", "checkOut": "out", "breakOut": "out", "breakIn": "in"}
DIRECTIONS |= {"overtimeIn": "in", "overtimeOut": "out"}


class EventSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`device`: native id of a device that does not say its address. `wrong_length`: quirk of firmware whose
    Content-Length is wrong. `channel_offset`: quirk of recorders that count IP channels from 33, 32 is taken from
    channels above it. `time_zone`: of times without offset. `any_time`: impossible times are flagged, but kept
    (recordings, `gridward decode`)."""

    device: str = "unnamed"
    wrong_length: bool = False
    channel_offset: int = 0
    time_zone: str = "Asia/Shanghai"
    any_time: bool = False

    def __post_init__(self) -> None:
        LocalClock(self.time_zone)
        if not self.device.isprintable() or not 0 < len(self.device) <= wire.WORD_CHARS_MAX:
            raise ValueError(f"device: {self.device!r} is no name")


class Settings(EventSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`device`: native id of a device that does not say its address, and of one whose own request is refused.
    `wrong_length`: quirk of firmware whose Content-Length is wrong. `channel_offset`: quirk of recorders that count IP
    channels from 33, 32 is taken from channels above it. `time_zone`: of times without offset. `catch_up_h`: how many
    hours back a door terminal's log is read after the link was down, 0 for never. `any_time`: impossible times are
    flagged, but kept (recordings, `gridward decode`)."""

    catch_up_h: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.catch_up_h <= CATCH_UP_H_MAX:
            raise ValueError(f"catch_up_h: {self.catch_up_h} is not 0 to {CATCH_UP_H_MAX}")


class Condition(Struct, frozen=True):
    """Something of a camera that lasts."""

    native_id: str
    type: str
    component: str


class Session:
    """See devices.family.Session, Commanded and Asking."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._framer = Framer(Cutter(settings.wrong_length).cut, PART_BYTES_MAX)
        self._events = Events("hikvision", settings, enrolled)
        self._log = Log(settings.time_zone, timedelta(hours=settings.catch_up_h))
        self._doors = Doors(WAYS, isapi.drive_door, isapi.refusal_of)
        self._settings = settings
        self._enrolled = enrolled
        self._mac = ""  # as the device itself says
        self._requests: list[Message] = []

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return [*self._read(self._framer.feed(data), now), *self._events.over(now)]

    def idle(self, now: datetime) -> list[Result]:
        return [*self._read(self._framer.idle(), now), *self._events.over(now)]

    def to_send(self) -> bytes:
        return b""

    def begin(self, now: datetime) -> None:
        self._doors.forget()
        self._requests = [isapi.WHO]

    def requests(self) -> list[Message]:
        requests, self._requests = self._requests, []
        return requests

    def answered(self, request: Message, answer: Message, now: datetime) -> list[Result]:
        if request == isapi.WHO:
            self._mac = isapi.read_mac(answer.data) or self._mac
            known = {self._mac, self._settings.device}
            if any(one in self._enrolled for one in known):
                self._requests += self._log.begin(now)
            return []
        if request.channel.startswith(f"PUT {isapi.DOOR_PATH}"):
            return self._doors.answered(request, answer, now)
        alerts, following = self._log.answered(answer, now)
        self._requests += following
        return [result for alert in alerts for result in self._events.alert(self._named(alert), now)]

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if command.native_id not in (self._mac, self._settings.device):
            raise CommandRefused(f"{command.native_id} is not the device that this link asks")
        self._requests.append(self._doors.drive(command, now))

    def _named(self, alert: Alert) -> Alert:
        """Records do not say whose they are."""
        return replace(alert, mac=alert.mac or self._mac)

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            if isinstance(piece, Rejected):
                found.append(piece)
                continue
            part = read_part(piece)
            found += self._events.part(part, now)
            if not part.is_picture:
                self._log.heard(self._events.last, now)
                found += self._confirmed(self._events.last, now)
        return found

    def _confirmed(self, alert: Alert | None, now: datetime) -> list[Result]:
        """Whether the lock of a door did what it was asked for."""
        passage = alert.passage if alert is not None else None
        if passage is None or passage.major is None or passage.minor is None or passage.current is False:
            return []
        code = code_of(passage.major, passage.minor)
        return self._doors.happened(passage.door_no or 1, code.event, now) if code is not None else []


class Events:
    """What events mean, however they came; `family` goes before the native ids."""

    def __init__(self, family: str, settings: EventSettings, enrolled: Container[str]) -> None:
        self._family = family
        self._settings = settings
        self._enrolled = enrolled
        self._clock = LocalClock(settings.time_zone)
        self._held: Held[Condition] = Held(CONDITIONS_MAX)
        self._told = Conditions()  # of door terminals
        self.last: Alert | None = None  # that an enrolled device told

    def part(self, part: Part, now: datetime) -> list[Result]:
        self.last = None
        if part.is_picture:
            return []
        alert = wire.read_alert(part.body, self._clock)
        return [rejected("event unreadable", part.body)] if alert is None else self.alert(alert, now)

    def alert(self, alert: Alert, now: datetime) -> list[Result]:
        native_id, raw = alert.mac or alert.ip or self._settings.device, alert.type.encode()
        if not native_id.isprintable():
            return [rejected("address unreadable", raw)]
        if native_id not in self._enrolled:
            return [rejected("not enrolled", raw, self._device(native_id))]
        if alert.passage is not None and not alert.passage.readable:
            return [rejected("codes missing", raw, self._device(native_id))]
        self.last = alert
        return list(self._observations(alert, native_id, now))

    def _device(self, native_id: str) -> DeviceId:
        return DeviceId(f"{self._family}:{native_id}")

    def _observations(self, alert: Alert, native_id: str, now: datetime) -> Iterator[Observation]:
        at, flags = observed(alert.time, now, self._settings.any_time)
        if alert.is_heartbeat and alert.passage is None:
            at, flags = now, ()
        if alert.passage is not None and alert.passage.current is False:
            flags = (*flags, BACKLOG)
        report = _report(alert, native_id, now)
        for index, body in enumerate(self._bodies(alert, native_id, now)):
            yield Observation(
                device=self._device(native_id),
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=f"{report}.{index}" if report else "",
                flags=flags,
            )

    def _bodies(self, alert: Alert, native_id: str, now: datetime) -> Iterator[Body]:
        if alert.passage is not None:
            yield from self._terminal(alert.passage, native_id)
            return
        for kind in alert.types:
            condition = Condition(native_id, kind, self._component(alert, kind))
            yield from self._camera(alert, condition, now)
        if alert.is_heartbeat:
            yield Telemetry({})

    # --- cameras ---

    def _component(self, alert: Alert, kind: str) -> str:
        if alert.input_port is not None:
            return f"input {alert.input_port}"
        offset = self._settings.channel_offset
        channel = alert.channel or 0
        return f"{kind} {channel - offset if channel > offset else channel}"

    def _camera(self, alert: Alert, condition: Condition, now: datetime) -> Iterator[Body]:
        """Alarms and movement when they begin and end; other events each time they begin."""
        kind = condition.type
        lasts = alert.state != "inactive"
        if alert.is_heartbeat and not self._held.lasts(condition):
            return
        news = self._held.begin(condition, now) if lasts else self._held.end(condition, now)
        if not news:
            return
        if kind in ALARMS:
            said = (f"region {alert.region}" if alert.region is not None else "", alert.target, alert.channel_name)
            description = ", ".join(filter(None, said)) if lasts else ""
            yield Alarm(kind=ALARMS[kind], raised=lasts, component=condition.component, description=description)
        elif kind in EVENTS:
            yield from _happened(condition, lasts, alert.target)
        elif lasts:
            yield Event(kind="unknown_report", component=condition.component, attributes={"type": kind})

    def over(self, now: datetime) -> Iterator[Observation]:
        """What was not repeated is over."""
        for condition in self._held.expired(now, ENDS_AFTER):
            kind = ALARMS.get(condition.type, "")
            bodies: list[Body] = list(_happened(condition, False, ""))
            if kind in NEVER_ASSUMED_OVER:
                self._held.begin(condition, now)
            elif kind:
                bodies = [Alarm(kind=kind, raised=False, component=condition.component)]
            device = self._device(condition.native_id)
            for body in bodies:
                yield Observation(device=device, observed_at=now, received_at=now, body=body)

    # --- door terminals ---

    def _terminal(self, passage: Passage, native_id: str) -> Iterator[Body]:
        place = f"door {passage.door_no}" if passage.door_no is not None else ""
        if passage.major is None or passage.minor is None:
            yield Event(kind="access", component=place, attributes={"granted": "undecided", **_told(passage)})
            return
        code = code_of(passage.major, passage.minor)
        if code is None:
            written = {"type": f"{passage.major}/{passage.minor}"}
            yield Event(kind="unknown_report", component=place, attributes=written)
            return
        yield from self._alarms(code, passage, native_id, place)
        if code.event:
            more = _told(passage) if code.event == "access" else {}
            yield Event(kind=code.event, component=place, attributes={**code.attributes, **more})

    def _alarms(self, code: Code, passage: Passage, native_id: str, place: str) -> Iterator[Alarm]:
        found = {(place, kind): False for kind in code.clears}
        if code.alarm:
            found[place, code.alarm] = True
        yield from self._told.alarms(native_id, found)


def _happened(condition: Condition, lasts: bool, target: str) -> Iterator[Event]:
    """Movement begins and ends, anything else only happens."""
    kind, fixed = EVENTS.get(condition.type, ("", {}))
    if kind == "motion":
        seen = {"seen": "yes" if lasts else "no"}
        yield Event(kind=kind, component=condition.component, attributes=seen | ({"object": target} if target else {}))
    elif kind and lasts:
        yield Event(kind=kind, component=condition.component, attributes=fixed)


def _told(passage: Passage) -> dict[str, str]:
    """What may be told of a passage."""
    direction = DIRECTIONS.get(passage.attendance or "")
    found = {"door": str(passage.door_no)} if passage.door_no is not None else {}
    if passage.reader_no is not None:
        found["reader"] = str(passage.reader_no)
    return found | ({"direction": direction} if direction else {})


def _report(alert: Alert, native_id: str, now: datetime) -> str:
    """The name of a report; "" for what cannot be told apart."""
    passage = alert.passage
    if passage is not None and passage.serial_no is not None:
        return digest(native_id.encode(), b"%d" % passage.serial_no, str(alert.time or alert.time_text).encode())
    if alert.time is None or alert.is_heartbeat:
        return ""
    said = repr((alert.types, alert.state, alert.channel, alert.input_port, alert.post_count, alert.time_text, passage))
    return digest(native_id.encode(), said.encode(), hour_of_doubt(alert.time, now))


STREAM_URL = "http://10.0.0.20/ISAPI/Event/notification/alertStream"  # an example

FAMILY = Family(
    name="hikvision",
    title="Hikvision cameras, recorders and door terminals, alertStream",
    native_id="the MAC address in lower case with colons, else the IP address, else the setting `device`",
    example=Example(
        "88:de:39:5d:b5:e1",
        {
            "url": STREAM_URL,
            "username": "viewer",
            "password_file": "camera.password",
        },
    ),
    links=("http_stream",),
    integrity="",
    frame_bytes_max=PART_BYTES_MAX,
    silence_s_max=60,
    settings=Settings,
    open_session=Session,
    commands=kinds_of(WAYS),
)
