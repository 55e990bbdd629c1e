"""Dahua cameras, recorders and door terminals: the event stream of their CGI. Wire: dahua_wire.py, multipart.py.

The link asks for `/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat=5` (or snapManager's) with HTTP digest
and gives the session the body of the answer, decompressed. Pictures are dropped.

What it means (CODES)
- Start and Stop are states of (code, channel): an Alarm is raised once and cleared once; a first Stop clears, too: it
  may have lasted from before. Pulse is momentary: raised, and nobody says that it is over.
- Movement, faces, vehicles and outputs are Events. Passages are Events without their holder: a holder's id, card and
  name stay here. A Status of 1 with an error code is refused.
- Channels and doors count from 1 here, from 0 on the wire.
- Times are seconds since 1970, UTC; what has none is observed when it is received, flagged `time_invalid`.
- A heartbeat is a sign of life.

Asked beside the stream (dahua_asked.py), each time that it begins: which of the lasting codes last now. What ended
while the link was down is cleared; at the first time that is whatever does not last, on the first `channels` channels.
A device that cannot say so leaves things as they are. Doors are driven by commands: the device's "OK" is accepted, and
its door confirms. The login needs those rights.

One session is one device, named by `device`; there is no identity in the stream. Trust is that of its
HTTP login.
"""

from collections.abc import Container, Iterator
from datetime import datetime

from msgspec import Struct

from devices.doors import Doors, kinds_of
from devices.families import dahua_asked as asked
from devices.families import dahua_wire as wire
from devices.family import CommandRefused, DeviceCommand, Example, Family, Message
from devices.framing import Framer
from devices.held import Held
from devices.local_time import hour_of_doubt, observed
from devices.multipart import PART_BYTES_MAX, Cutter, read_part
from devices.observation import (
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

CONDITIONS_MAX = 2_000

# Code -> alarm kind.
ALARMS: dict[str, str] = {
    "CrossLineDetection": "intrusion",
    "CrossRegionDetection": "intrusion",
    "WanderDetection": "loitering",
    "RioterDetection": "crowd",
    "LeftDetection": "left_object",
    "TakenAwayDetection": "left_object",
    "VideoLoss": "video_loss",
    "VideoBlind": "tamper",
    "SceneChange": "tamper",
    "ChassisIntruded": "tamper",
    "AlarmLocal": "input_active",
    "ProfileAlarmTransmit": "input_active",
    "FireWarning": "fire",
    "SmokeDetection": "smoke",
    "HeatImagingTemper": "heat",
    "StorageNotExist": "fault",
    "StorageFailure": "fault",
    "StorageLowSpace": "fault",
    "NetAbort": "communication_fault",
    "IPConflict": "communication_fault",
    "SafetyAbnormal": "supervisory",
    "DoorNotClosed": "door_held_open",
    "BreakIn": "door_forced",
    "Malicious": "intrusion",
    "Duress": "duress",
}
# Code -> event kind and what is always true of it.
EVENTS: dict[str, tuple[str, dict[str, str]]] = {
    "VideoMotion": ("motion", {}),
    "SmartMotionHuman": ("motion", {"object": "person"}),
    "SmartMotionVehicle": ("motion", {"object": "vehicle"}),
    "FaceDetection": ("detection", {"object": "face"}),
    "FaceRecognition": ("detection", {"object": "face"}),
    "TrafficJunction": ("detection", {"object": "vehicle"}),
    "AccessControl": ("access", {}),
    "DoorCard": ("access", {"granted": "undecided", "credential": "card"}),
    "RepeatEnter": ("access", {"granted": "no", "reason": "repeated entry"}),
    "AlarmOutput": ("output", {}),
    "LoginFailure": ("login_failed", {}),
    "TimeChange": ("device_time", {}),
    "NTPAdjustTime": ("device_time", {}),
}
METHODS = {0: "code", 1: "card", 2: "card and code", 5: "remote", 6: "fingerprint", 15: "face"}
DOOR_STATES = {"open": "door_opened", "close": "door_closed", "closed": "door_closed"}
MOMENTARY = ("Duress", "Malicious")
LASTING = tuple(code for code in ALARMS if code not in MOMENTARY)
NOT_TOLD = frozenset({"NewFile"})  # every recording of every channel


Condition = tuple[str, int]  # code, channel from 0


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`device`: the native id. `channels`: how many it has (16 for a recorder of 16 cameras); 0 when it shall not be
    asked what lasts. `wrong_length`: quirk of firmware whose Content-Length is wrong. `any_time`: impossible times are
    flagged, but kept (recordings, `gridward decode`)."""

    device: str = "unnamed"
    channels: int = 1
    wrong_length: bool = False
    any_time: bool = False

    def __post_init__(self) -> None:
        if not self.device.isprintable() or not 0 < len(self.device) <= wire.WORD_CHARS_MAX:
            raise ValueError(f"device: {self.device!r} is no name")
        if not 0 <= self.channels <= asked.CHANNELS_MAX:
            raise ValueError(f"channels: {self.channels} is not 0 to {asked.CHANNELS_MAX}")


class Session:
    """See devices.family.Session, Commanded and Asking."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._device = DeviceId(f"dahua:{settings.device}")
        self._framer = Framer(Cutter(settings.wrong_length).cut, PART_BYTES_MAX)
        self._held: Held[Condition] = Held(CONDITIONS_MAX)
        self._told: set[Condition] = set()  # by the stream since it began: newer than an answer
        self._doors = Doors(asked.WAYS, asked.drive_door, asked.refusal_of)
        self._requests: list[Message] = []

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        return self._read(self._framer.idle(), now)

    def to_send(self) -> bytes:
        return b""

    def begin(self, now: datetime) -> None:
        self._doors.forget()
        self._told.clear()
        wanted = self._settings.channels and self._settings.device in self._enrolled
        self._requests = [asked.ask_state(code) for code in LASTING] if wanted else []

    def requests(self) -> list[Message]:
        requests, self._requests = self._requests, []
        return requests

    def answered(self, request: Message, answer: Message, now: datetime) -> list[Result]:
        code = asked.code_asked(request)
        if not code:
            return self._doors.answered(request, answer, now)
        lasting = asked.read_channels(answer)
        if lasting is None:
            return []
        known = {channel for held, channel in self._held.known() if held == code}
        keys = [(code, channel) for channel in sorted({*known, *range(self._settings.channels), *lasting})]
        return [
            Observation(device=self._device, observed_at=now, received_at=now, body=alarm)
            for key in keys
            if key not in self._told and (alarm := self._state(key, key[1] in lasting, now))
        ]

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if command.native_id != self._settings.device:
            raise CommandRefused(f"{command.native_id} is not on this link")
        self._requests.append(self._doors.drive(command, now))

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._part(piece, now))
        return found

    def _part(self, frame: bytes, now: datetime) -> list[Result]:
        part = read_part(frame)
        if part.is_picture:
            return []
        events = wire.read_events(part.body.decode("utf-8", "replace"))
        if self._settings.device not in self._enrolled:  # it is shown to people: the code, not whose card it was
            return [rejected("not enrolled", events[0].code.encode() if events else b"", self._device)]
        if not events:
            known = part.body.strip() == b"Heartbeat"
            body = Telemetry({})
            alive = Observation(device=self._device, observed_at=now, received_at=now, body=body)
            return [alive] if known else [rejected("part unreadable", part.body, self._device)]
        return [result for event in events for result in (*self._event(event, now), *self._confirmed(event, now))]

    def _confirmed(self, event: wire.Event, now: datetime) -> list[Result]:
        """Whether a door did what it was asked for."""
        door = wire.number(event.data.get("Door"))
        kind = door_state(event)
        return self._doors.happened((door or 0) + 1, kind, now) if kind else []

    def _event(self, event: wire.Event, now: datetime) -> list[Result]:
        if event.broken or not event.code:
            return [rejected("event cut short", event.code.encode(), self._device)]
        claimed = wire.read_time(event.data)
        at, flags = observed(claimed, now, self._settings.any_time)
        report = self._report(event, claimed, now) if claimed else ""  # without a time two presses look the same
        return [
            Observation(
                device=self._device,
                observed_at=at,
                received_at=now,
                body=body,
                frame_id=f"{report}.{index}" if report else "",
                flags=flags,
            )
            for index, body in enumerate(self._bodies(event, now))
        ]

    def _report(self, event: wire.Event, claimed: datetime, now: datetime) -> str:
        said = repr((event.code, event.action, event.index, event.data))
        return digest(self._settings.device.encode(), said.encode(), hour_of_doubt(claimed, now))

    def _bodies(self, event: wire.Event, now: datetime) -> Iterator[Body]:
        if event.code in ALARMS:
            yield from self._alarms(event, now)
        elif event.code == "DoorStatus":
            if kind := door_state(event):
                yield Event(kind=kind, component=component_of(event))
        elif event.code in EVENTS:
            kind, fixed = EVENTS[event.code]
            yield Event(kind=kind, component=component_of(event), attributes={**fixed, **told(kind, event)})
        elif event.code not in NOT_TOLD:
            yield Event(kind="unknown_report", component=component_of(event), attributes={"type": event.code})

    def _alarms(self, event: wire.Event, now: datetime) -> Iterator[Alarm]:
        """A pulse is news, and says nothing about what lasts."""
        key = (event.code, event.index or 0)
        if len(self._told) < CONDITIONS_MAX:
            self._told.add(key)
        if event.action not in ("Start", "Stop"):
            yield Alarm(kind=ALARMS[event.code], component=place_of(*key))
        elif alarm := self._state(key, event.action == "Start", now):
            yield alarm

    def _state(self, key: Condition, lasts: bool, now: datetime) -> Alarm | None:
        """The alarm, when that is news."""
        news = self._held.begin(key, now) if lasts else self._held.end(key, now)
        return Alarm(kind=ALARMS[key[0]], raised=lasts, component=place_of(*key)) if news else None


def door_state(event: wire.Event) -> str:
    """The kind of Event with which a door tells of itself; "" for anything else."""
    return DOOR_STATES.get(str(event.data.get("Status", "")).lower(), "") if event.code == "DoorStatus" else ""


def component_of(event: wire.Event) -> str:
    """The channel, with the code: two rules of one channel come and go by themselves. Of a passage: its door."""
    door = wire.number(event.data.get("Door"))
    if event.code in ("AccessControl", "DoorStatus", "DoorCard") and door is not None:
        return f"door {door + 1}"
    return place_of(event.code, event.index) if event.index is not None else event.code


def place_of(code: str, channel: int) -> str:
    return f"{code} {channel + 1}"


def told(kind: str, event: wire.Event) -> dict[str, str]:
    """What an Event of that kind says about itself."""
    if kind == "motion":
        return {"seen": "no" if event.action == "Stop" else "yes"}
    if kind == "output":
        return {"state": "no" if event.action == "Stop" else "yes"}
    return _passage(wire.read_passage(event.data)) if event.code == "AccessControl" else {}


def _passage(passage: wire.Passage) -> dict[str, str]:
    granted = {True: "yes", False: "no", None: "undecided"}[passage.granted]
    found = {"granted": granted}
    if passage.door is not None:
        found["door"] = str(passage.door + 1)
    if passage.method is not None:
        found["credential"] = METHODS.get(passage.method, f"method {passage.method}")
    if passage.error_code:
        found["reason"] = f"error {passage.error_code}"
    direction = {"entry": "in", "exit": "out"}.get((passage.type or "").lower())
    return found | ({"direction": direction} if direction else {})


STREAM_URL = "http://10.0.0.20/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat=5"  # an example

FAMILY = Family(
    name="dahua",
    title="Dahua cameras, recorders and door terminals, event stream",
    native_id="the name that the setting `device` gives the device on this link",
    lacks=lambda settings, device: "" if device == settings.device else f"device: {device}",
    example=Example(
        "cam-7",
        {
            "url": STREAM_URL,
            "username": "viewer",
            "password_file": "camera.password",
        },
        {"device": "cam-7"},
    ),
    links=("http_stream",),
    integrity="",
    frame_bytes_max=PART_BYTES_MAX,
    silence_s_max=60,
    settings=Settings,
    open_session=Session,
    commands=kinds_of(asked.WAYS),
)
