"""Frigate: cameras whose pictures are looked at by Frigate, over MQTT. Topics and bodies: frigate_wire.py.

A device is a camera by its name in Frigate; Frigate itself is the device `frigate`.

- A tracked object is told when it appears, changes zones, comes to rest or moves again, and ends. What Frigate itself
  takes for a false positive is left out. `intrusion` rules of the installer make an alarm of an object where none may
  be; it is over when the last such object is.
- A review is told when it begins, when it becomes an alert, and when it ends.
- Who a recognised face belongs to and what a number plate says is not kept, only that something was recognised;
  `keep_plates` keeps plates.
- Frigate away (last will) is `lost_contact`, a camera without picture `video_loss`: from its status, and from the
  statistics, which are the sign of life of every camera that has pictures (each minute, unless set otherwise).
- Sounds are events; `audio_alarms` makes alarms of kinds of them.
- Times are Frigate's, UTC; a message has its own, so two deliveries have one frame_id.
- Commands: detection, recordings and snapshots on and off; confirmed by the state that Frigate publishes.

There is no authentication in this protocol: who may publish is the broker's business.
"""

from collections.abc import Container, Iterator
from datetime import UTC, datetime

from msgspec import Struct

from devices.conditions import DEVICES_MAX, Conditions, frame_id
from devices.dictionary import ALARMS
from devices.families import frigate_wire as wire
from devices.families.frigate_wire import Changed, Count, Object, Recognised, Review, Stats, Status, Switch
from devices.family import CommandKind, CommandRefused, DeviceCommand, Example, Message, MessageFamily
from devices.json_text import clean
from devices.local_time import observed
from devices.observation import (
    Body,
    CommandAnswer,
    DeviceId,
    Event,
    Observation,
    Result,
    Telemetry,
    digest,
    rejected,
)

MESSAGE_BYTES_MAX = 2_000_000  # snapshots come on topics beside
OBJECTS_MAX = 20_000
NAME_CHARS_MAX = 100
COMMANDS = tuple(
    CommandKind(name=f"{what}_{word}", meaning=f"switch {what} of a camera {word}")
    for what in wire.SWITCHES
    for word in ("on", "off")
)


class Intrusion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Objects that may not be: with one of `labels`, in `zone` ("" for anywhere), seen by `camera`."""

    camera: str
    zone: str = ""
    labels: tuple[str, ...] = ("person",)


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`prefix` as `topic_prefix` in Frigate's configuration. `audio_alarms`: kind of sound -> alarm kind.
    `any_time`: impossible times are flagged, but kept (recordings, `gridward decode`)."""

    prefix: str = "frigate"
    intrusion: tuple[Intrusion, ...] = ()
    audio_alarms: dict[str, str] = {}
    keep_plates: bool = False
    any_time: bool = False

    def __post_init__(self) -> None:
        if not self.prefix or set("+#\0") & set(self.prefix) or self.prefix.endswith("/"):
            raise ValueError(f"prefix: {self.prefix!r} is no topic: no + or #, no / at its end")
        for sound, kind in self.audio_alarms.items():
            if kind not in ALARMS:
                raise ValueError(f"audio_alarms: {sound!r} cannot be {kind!r}; see docs/dictionary.md")


class Session:
    """See devices.family.MessageSession and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._conditions = Conditions()
        self._where: dict[str, str] = {}  # object id -> camera
        self._intruders: dict[tuple[str, str], set[str]] = {}  # (camera, zone) -> object ids
        self._sending: list[Message] = []
        self._waiting: dict[tuple[str, str], tuple[str, bool]] = {}  # (camera, switch) -> nonce, on

    def to_send(self) -> list[Message]:
        sending, self._sending = self._sending, []
        return sending

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """See devices.family.Commanded."""
        what, _, word = command.action.rpartition("_")
        if command.native_id not in self._enrolled or command.native_id == wire.SERVER:
            raise CommandRefused(f"{command.native_id} is no enrolled camera")
        if what not in wire.SWITCHES or word not in ("on", "off"):
            raise CommandRefused(f"no command {command.action}")
        self._sending.append(wire.switch(self._settings.prefix, command.native_id, what, word == "on"))
        self._waiting[(command.native_id, what)] = (command.nonce, word == "on")

    def receive(self, message: Message, now: datetime) -> list[Result]:
        report = wire.read(self._settings.prefix, message)
        if report is None:
            return [rejected("message unreadable", message.data)]
        if isinstance(report, wire.Unread):
            return []
        retained = message.headers.get("retained") == "1"
        if isinstance(report, Stats):
            return self._stats(report, message, now)
        camera = self._camera(report)
        if not camera or len(camera) > NAME_CHARS_MAX or "\0" in camera:
            return []
        if camera not in self._enrolled:
            quiet = isinstance(report, Count)  # zones have counts, too
            return [] if quiet else [rejected("not enrolled", message.data, DeviceId(f"frigate:{camera}"))]
        claimed = _time(report)
        at, flags = observed(_utc(claimed), now, self._settings.any_time) if claimed is not None else (now, ())
        name = digest(message.channel.encode(), message.data) if claimed is not None else ""
        found: list[Result] = [] if retained else list(self._answers(report))
        for body in self._bodies(camera, report):
            found.append(
                Observation(
                    device=DeviceId(f"frigate:{camera}"),
                    observed_at=at,
                    received_at=now,
                    body=body,
                    frame_id=frame_id(name, body),
                    flags=(*flags, "retained") if retained else flags,
                )
            )
        return found

    def _camera(self, report: wire.Report) -> str:
        if isinstance(report, Changed):
            return report.what.camera
        if isinstance(report, Recognised):
            return report.camera or self._where.get(report.id, "")
        return "" if isinstance(report, Stats) else report.camera

    def _answers(self, report: wire.Report) -> Iterator[CommandAnswer]:
        if not isinstance(report, Switch) or report.kind != "switch":
            return
        nonce, wanted = self._waiting.get((report.camera, report.name), ("", False))
        if nonce and wanted == report.on:
            del self._waiting[(report.camera, report.name)]
            yield CommandAnswer(nonce=nonce, result="confirmed")

    def _bodies(self, camera: str, report: wire.Report) -> Iterator[Body]:
        """Alarms first: they are what the siren waits for."""
        if isinstance(report, Changed):
            if isinstance(report.what, Object):
                yield from self._object(camera, report.phase, report.what)
            else:
                yield from self._review(camera, report.phase, report.what)
        elif isinstance(report, Recognised):
            yield from self._recognised(report)
        elif isinstance(report, Switch):
            yield from self._switch(camera, report)
        elif isinstance(report, Status):
            yield from self._status(camera, report)
        elif isinstance(report, Count):
            yield Telemetry({"people_count": report.people})

    def _object(self, camera: str, phase: str, seen: Object) -> Iterator[Body]:
        if seen.false_positive:
            return
        over = phase == "end"
        self._remember(seen.id, camera, over)
        yield from self._intrusions(camera, seen, over)
        state = f"{sorted(seen.current_zones)} {seen.stationary} {over}"
        if not self._conditions.changed(f"{camera} object {seen.id}", "state", state):
            return
        attributes = {
            "label": clean(seen.label, NAME_CHARS_MAX),
            "phase": clean(phase, NAME_CHARS_MAX),
            "zones": clean(wire.words(seen.current_zones)),
            "entered": clean(wire.words(seen.entered_zones)),
            "object": clean(seen.id, NAME_CHARS_MAX),
            "moving": "no" if seen.stationary else "yes",
        }
        yield Event(kind="tracked_object", attributes={name: word for name, word in attributes.items() if word})

    def _remember(self, object_id: str, camera: str, over: bool) -> None:
        self._where.pop(object_id, None)
        if over:
            return
        if len(self._where) >= DEVICES_MAX:
            del self._where[next(iter(self._where))]
        self._where[object_id] = camera

    def _intrusions(self, camera: str, seen: Object, over: bool) -> Iterator[Body]:
        alarms: dict[tuple[str, str], bool] = {}
        for rule in self._settings.intrusion:
            if rule.camera != camera or seen.label not in rule.labels:
                continue
            inside = not over and (not rule.zone or rule.zone in seen.current_zones)
            there = self._intruders.setdefault((camera, rule.zone), set())
            came, went = inside and seen.id not in there, not inside and seen.id in there
            if came and len(there) < OBJECTS_MAX:
                there.add(seen.id)
            elif went:
                there.remove(seen.id)
            if came or (went and not there):
                alarms[(rule.zone, "intrusion")] = bool(there)
        yield from self._conditions.alarms(camera, alarms)

    def _review(self, camera: str, phase: str, review: Review) -> Iterator[Body]:
        state = f"{review.severity} {phase == 'end'}"
        if not self._conditions.changed(f"{camera} review {review.id}", "state", state):
            return
        attributes = {
            "severity": clean(review.severity, NAME_CHARS_MAX),
            "phase": clean(phase, NAME_CHARS_MAX),
            "labels": clean(wire.words([*review.data.objects, *review.data.audio])),
            "zones": clean(wire.words(review.data.zones)),
            "review": clean(review.id, NAME_CHARS_MAX),
        }
        yield Event(kind="camera_review", attributes={name: word for name, word in attributes.items() if word})

    def _recognised(self, report: Recognised) -> Iterator[Body]:
        """That something was recognised, never who."""
        what = {"face": "face", "lpr": "plate"}.get(report.type)
        if what is None:
            return
        attributes = {"what": what, "object": clean(report.id, NAME_CHARS_MAX)}
        if report.score is not None:
            attributes["score"] = f"{report.score:.2f}"
        if what == "plate" and self._settings.keep_plates and report.plate:
            attributes["plate"] = clean(report.plate, NAME_CHARS_MAX)
        yield Event(kind="detection", attributes={name: word for name, word in attributes.items() if word})

    def _switch(self, camera: str, report: Switch) -> Iterator[Body]:
        word = "yes" if report.on else "no"
        if report.kind == "available":
            self._intruders.clear()  # a Frigate that starts anew knows nothing of its objects
            yield from self._conditions.alarms(camera, {("", "lost_contact"): not report.on})
        elif report.kind == "audio" and report.name in self._settings.audio_alarms:
            kind = self._settings.audio_alarms[report.name]
            yield from self._conditions.alarms(camera, {("microphone", kind): report.on})
        elif self._conditions.changed(camera, f"{report.kind} {report.name}", word):
            if report.kind == "motion":
                yield Event(kind="motion", attributes={"seen": word})
            elif report.kind == "audio" and report.on:
                yield Event(kind="sound", attributes={"what": clean(report.name, NAME_CHARS_MAX)})
            elif report.kind == "switch":
                yield Event(kind="state", attributes={report.name: "on" if report.on else "off"})

    def _status(self, camera: str, report: Status) -> Iterator[Body]:
        if report.status != "disabled":
            role = clean(report.role, NAME_CHARS_MAX)
            yield from self._conditions.alarms(camera, {(role, "video_loss"): report.status == "offline"})
        elif self._conditions.changed(camera, f"status {report.role}", report.status):
            yield Event(kind="state", attributes={clean(report.role, NAME_CHARS_MAX): report.status})

    def _stats(self, report: Stats, message: Message, now: datetime) -> list[Result]:
        """A sign of life of Frigate and of each enrolled camera that has pictures. An installer may have forgotten the
        one: the others live all the same."""
        strange: list[Result] = []
        bodies: list[tuple[str, Body]] = []
        if wire.SERVER in self._enrolled:
            bodies.append((wire.SERVER, Telemetry({})))
        else:
            strange.append(rejected("not enrolled", message.data, DeviceId(f"frigate:{wire.SERVER}")))
        for camera, fps in list(report.fps.items())[:DEVICES_MAX]:
            if len(camera) > NAME_CHARS_MAX or camera not in self._enrolled or camera == wire.SERVER or fps is None:
                continue
            dark = fps <= 0
            if self._conditions.changed(camera, "dark", str(dark)):
                alarms = self._conditions.alarms(camera, {("", "video_loss"): dark})
                bodies += [(camera, alarm) for alarm in alarms]
            if not dark:
                bodies.append((camera, Telemetry({})))
        return strange + [
            Observation(device=DeviceId(f"frigate:{name}"), observed_at=now, received_at=now, body=body)
            for name, body in bodies
        ]


def _time(report: wire.Report) -> float | None:
    """Seconds since 1970 of what happened; None when the message has no time."""
    if isinstance(report, Recognised):
        return report.timestamp
    if not isinstance(report, Changed):
        return None
    what = report.what
    if report.phase == "end" and what.end_time is not None:
        return what.end_time
    return what.frame_time if isinstance(what, Object) else what.start_time


def _utc(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


FAMILY = MessageFamily(
    name="frigate",
    title="Cameras behind Frigate",
    native_id="the name of the camera in Frigate; `frigate` for Frigate itself",
    example=Example("gate", {"topics": ["frigate/#"]}),
    links=("mqtt",),
    integrity="",
    message_bytes_max=MESSAGE_BYTES_MAX,
    silence_s_max=300,
    settings=Settings,
    open_session=Session,
    kinds_by_settings=True,
    commands=COMMANDS,
)
