"""What Frigate publishes over MQTT. Source: Frigate documentation, "Integrations: MQTT".

    PREFIX/available                     online | stopped | offline (last will)
    PREFIX/events                        {"type": new | update | end, "before": OBJECT, "after": OBJECT}
    PREFIX/reviews                       {"type": new | update | end, "before": REVIEW, "after": REVIEW}
    PREFIX/tracked_object_update         {"type": description | face | lpr | classification, "id", "camera", ...}
    PREFIX/stats                         {"cameras": {NAME: {"camera_fps": ...}}, ...}
    PREFIX/CAMERA/status/ROLE            online | offline | disabled
    PREFIX/CAMERA/motion                 ON | OFF
    PREFIX/CAMERA/audio/KIND             ON | OFF
    PREFIX/CAMERA/person                 how many people are seen
    PREFIX/CAMERA/detect/set | state     ON | OFF; also recordings, snapshots

Times are seconds since 1970. Names of recognised people and texts of number plates stand in `sub_label`, `name` and
`plate`; only what is asked for here is read.
"""

from typing import Any

from msgspec import Struct

from devices.family import Message
from devices.json_text import read_json

SERVER = "frigate"  # the native id of Frigate itself
SWITCHES = ("detect", "recordings", "snapshots")
ON_OFF = {b"ON": True, b"OFF": False}
AVAILABLE = {b"online": True, b"offline": False, b"stopped": False}
STATUS = {b"online": "online", b"offline": "offline", b"disabled": "disabled"}
COUNT_MAX = 10_000


class Object(Struct, frozen=True):
    """A tracked object as it is after a change."""

    id: str
    camera: str
    label: str
    frame_time: float = 0
    end_time: float | None = None
    false_positive: bool = False
    stationary: bool = False
    current_zones: list[str] = []
    entered_zones: list[str] = []


class ReviewData(Struct, frozen=True):
    objects: list[str] = []
    zones: list[str] = []
    audio: list[str] = []


class Review(Struct, frozen=True):
    """A stretch of recording that is worth looking at; `severity` is alert or detection."""

    id: str
    camera: str
    severity: str = ""
    start_time: float = 0
    end_time: float | None = None
    data: ReviewData = ReviewData()


class Recognised(Struct, frozen=True):
    """Something was read off an object: `type` face, lpr, classification, description."""

    type: str
    id: str = ""
    camera: str = ""
    score: float | None = None
    timestamp: float | None = None
    plate: str | None = None


class Changed(Struct, frozen=True):
    """`phase`: new, update or end."""

    phase: str
    what: Object | Review


class Switch(Struct, frozen=True):
    """Something of a camera (or of Frigate) that is on or off: available, motion, audio, a switch's state."""

    camera: str
    kind: str
    on: bool
    name: str = ""


class Status(Struct, frozen=True):
    camera: str
    role: str
    status: str


class Count(Struct, frozen=True):
    camera: str
    people: int


class Stats(Struct, frozen=True):
    """Frames per second by camera; None when Frigate does not say."""

    fps: dict[str, float | None]


Report = Changed | Recognised | Switch | Status | Count | Stats


class _ObjectFeed(Struct):
    after: Object
    type: str = ""


class _ReviewFeed(Struct):
    after: Review
    type: str = ""


class _CameraStats(Struct):
    camera_fps: float | None = None


class _Stats(Struct):
    cameras: dict[str, _CameraStats] = {}


class Unread(Struct, frozen=True):
    """A topic of Frigate's that is of no use here: pictures, counts of other things, commands."""


def read(prefix: str, message: Message) -> Report | Unread | None:
    """None for what is not of this Frigate, or cannot be read."""
    if not message.channel.startswith(f"{prefix}/"):
        return None
    path = message.channel[len(prefix) + 1 :].split("/")
    if len(path) == 1:
        return _general(path[0], message.data)
    return _of_camera(path[0], path[1:], message.data.strip())


def _general(topic: str, data: bytes) -> Report | Unread | None:
    if topic == "available":
        word = data.strip()
        return Switch(SERVER, "available", AVAILABLE[word]) if word in AVAILABLE else None
    if topic == "events":
        objects = read_json(data, _ObjectFeed)
        return Changed(objects.type, objects.after) if objects else None
    if topic == "reviews":
        reviews = read_json(data, _ReviewFeed)
        return Changed(reviews.type, reviews.after) if reviews else None
    if topic == "tracked_object_update":
        return read_json(data, Recognised)
    if topic == "stats":
        stats = read_json(data, _Stats)
        return Stats({name: camera.camera_fps for name, camera in stats.cameras.items()}) if stats else None
    return Unread()


def _of_camera(camera: str, path: list[str], data: bytes) -> Report | Unread | None:
    if path[0] == "status" and len(path) == 2:
        return Status(camera, path[1], STATUS[data]) if data in STATUS else None
    if path == ["motion"]:
        return Switch(camera, "motion", ON_OFF[data]) if data in ON_OFF else None
    if path[0] == "audio" and len(path) == 2:
        return Switch(camera, "audio", ON_OFF[data], path[1]) if data in ON_OFF else Unread()
    if path[0] in SWITCHES and path[1:] == ["state"]:
        return Switch(camera, "switch", ON_OFF[data], path[0]) if data in ON_OFF else None
    if path == ["person"]:
        return Count(camera, int(data)) if data.isdigit() and len(data) < 6 and int(data) <= COUNT_MAX else None
    return Unread()


def switch(prefix: str, camera: str, what: str, on: bool) -> Message:
    """What is published to switch detection, recordings or snapshots of a camera."""
    return Message(f"{prefix}/{camera}/{what}/set", b"ON" if on else b"OFF")


def words(values: list[Any], chars_max: int = 200) -> str:
    """Labels or zones as one text, each once."""
    return ", ".join(dict.fromkeys(str(value) for value in values))[:chars_max]
