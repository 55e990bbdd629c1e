"""GA/T 1400.4, the view library interface (VIID) over HTTP: requests, objects, answers and digest. Meaning: gat1400.py.

    POST /VIID/System/Register     {"RegisterObject": {"DeviceID": ...}}      401 with a challenge first, then 200
    POST /VIID/System/Keepalive    {"KeepaliveObject": {"DeviceID": ...}}
    POST /VIID/Faces               {"FaceListObject": {"FaceObject": [{...}, ...]}}      Persons, MotorVehicles, ...
    answer                         {"ResponseStatusObject": {...}}, for lists one of them for each object

Names of fields are kept as the standard misspells them. Times are yyyyMMddHHmmss (or with milliseconds) of the device's
wall clock. Device ids have 20 digits (8 area, 2 industry, 3 type, 1 network, 6 serial), object ids 41 or 48; shorter
ones are seen and read. Pictures (base64 in SubImageList) are counted and skipped, never decoded.
Digest is RFC 2617 with MD5, as the standard asks for it.
"""

import hmac
import re
from collections.abc import Iterator
from datetime import datetime
from hashlib import md5, sha256
from typing import Any

import msgspec
from msgspec import Struct

from devices.json_text import clean, read_json
from devices.local_time import LocalClock, read_iso

MESSAGE_BYTES_MAX = 16_777_216  # several pictures
OBJECTS_MAX = 1_000  # of one request
ID_CHARS_MAX = 64
NONCE_S_MAX = 300
DEVICE_ID = re.compile(r"[0-9A-Za-z]{1,32}")
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})?", re.ASCII)
PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]*))')
STATUS = {0: "OK", 1: "Other error", 4: "Invalid operation", 5: "Invalid JSON", 6: "Invalid parameter"}
JSON_TYPE = "application/VIID+JSON;charset=utf-8"


class Kind(Struct, frozen=True):
    """A list of objects: where it comes, its names in the JSON, and what its objects are."""

    path: str
    name: str  # FaceListObject, FaceObject
    id: str
    object: str


KINDS = (
    Kind("/VIID/Faces", "Face", "FaceID", "face"),
    Kind("/VIID/Persons", "Person", "PersonID", "person"),
    Kind("/VIID/MotorVehicles", "MotorVehicle", "MotorVehicleID", "vehicle"),
    Kind("/VIID/NonMotorVehicles", "NonMotorVehicle", "NonMotorVehicleID", "bicycle"),
    Kind("/VIID/Things", "Thing", "ThingID", "thing"),
    Kind("/VIID/Scenes", "Scene", "SceneID", "scene"),
    Kind("/VIID/Images", "Image", "ImageID", ""),
    Kind("/VIID/VideoSlices", "VideoSlice", "VideoID", ""),
    Kind("/VIID/Files", "File", "FileID", ""),
    Kind("/VIID/APEs", "APE", "ApeID", ""),
    Kind("/VIID/SubscribeNotifications", "SubscribeNotification", "NotificationID", "notification"),
    Kind("/VIID/DispositionNotifications", "DispositionNotification", "NotificationID", "disposition"),
)
KIND_OF_PATH = {kind.path.lower(): kind for kind in KINDS}
CONTROL = {"RegisterObject": "/VIID/System/Register", "UnRegisterObject": "/VIID/System/UnRegister"}
CONTROL |= {"KeepaliveObject": "/VIID/System/Keepalive"}
TIMES = ("ShotTime", "PassTime", "TriggerTime", "FaceAppearTime", "PersonAppearTime", "AppearTime", "MarkTime")
CORNERS = ("LeftTopX", "LeftTopY", "RightBtmX", "RightBtmY")


class Seen(Struct, frozen=True, kw_only=True):
    """One object of a list. `box` in pixels: left, top, right, bottom. Names, plates and documents are not read."""

    id: str
    object: str
    device: str = ""
    time: datetime | None = None
    time_text: str = ""
    box: tuple[int, int, int, int] | None = None
    pictures: int = 0


def path_of(channel: str) -> tuple[str, str]:
    """(method, path) of "POST /VIID/Faces"; a mistaken slash at the end is left out."""
    method, _, path = channel.partition(" ")
    return method.upper(), path.partition("?")[0].rstrip("/")


def device_of(body: dict[str, Any]) -> str:
    """The device that registers, keeps alive or leaves; "" when it does not say."""
    for name in CONTROL:
        inside = body.get(name)
        if isinstance(inside, dict):
            return text(inside.get("DeviceID"))
    return ""


def read_body(data: bytes) -> dict[str, Any] | None:
    return read_json(data, dict[str, Any])


def objects_of(kind: Kind, body: dict[str, Any], clock: LocalClock) -> list[Seen] | None:
    """The objects of a list; None when it is none of that kind."""
    listed = body.get(f"{kind.name}ListObject")
    inside = listed.get(f"{kind.name}Object") if isinstance(listed, dict) else None
    inside = [inside] if isinstance(inside, dict) else inside
    if not isinstance(inside, list):
        return None
    return [_seen(kind, one, clock) for one in inside[:OBJECTS_MAX] if isinstance(one, dict)]


def _seen(kind: Kind, said: dict[str, Any], clock: LocalClock) -> Seen:
    written = next((text(said[name]) for name in TIMES if said.get(name)), "")
    images = said.get("SubImageList")
    pictures = images.get("SubImageInfoObject") if isinstance(images, dict) else None
    return Seen(
        id=text(said.get(kind.id)),
        object=kind.object,
        device=text(said.get("DeviceID")) or text(said.get("TollgateID")),
        time=read_time(written, clock),
        time_text=written,
        box=_box(said),
        pictures=len(pictures) if isinstance(pictures, list) else 0,
    )


def notified(body: dict[str, Any], clock: LocalClock) -> Iterator[Seen]:
    """The objects inside of subscription notifications."""
    listed = body.get("SubscribeNotificationListObject")
    inside: Any = listed.get("SubscribeNotificationObject") if isinstance(listed, dict) else None
    for one in (inside if isinstance(inside, list) else [inside])[:OBJECTS_MAX]:
        for kind in KINDS if isinstance(one, dict) else ():
            found = one.get(f"{kind.name}ObjectList")
            if kind.object and isinstance(found, dict):
                yield from objects_of(kind, {f"{kind.name}ListObject": found}, clock) or []


def text(value: object) -> str:
    return clean(str(value), ID_CHARS_MAX) if isinstance(value, str | int) else ""


def _box(said: dict[str, Any]) -> tuple[int, int, int, int] | None:
    left, top, right, bottom = (_pixel(said.get(name)) for name in CORNERS)
    if left is None or top is None or right is None or bottom is None:
        return None
    return left, top, right, bottom


def _pixel(value: object) -> int | None:
    written = text(value).strip()
    return int(written) if re.fullmatch(r"\d{1,6}", written, re.ASCII) else None


def read_time(written: str, clock: LocalClock) -> datetime | None:
    found = TIME.fullmatch(written.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, milliseconds = found.groups("000")
    return read_iso(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{milliseconds}", clock)


# --- answers -------------------------------------------------------------------------------------


def status(id_: str, path: str, code: int, local: datetime) -> dict[str, Any]:
    return {
        "Id": id_,
        "RequestURL": path,
        "StatusCode": code,
        "StatusString": STATUS.get(code, "Other error"),
        "LocalTime": f"{local:%Y%m%d%H%M%S}",
    }


def answer(id_: str, path: str, code: int, local: datetime) -> bytes:
    return msgspec.json.encode({"ResponseStatusObject": status(id_, path, code, local)})


def answer_list(ids: list[str], path: str, local: datetime) -> bytes:
    found = [status(id_, path, 0, local) for id_ in ids]
    return msgspec.json.encode({"ResponseStatusListObject": {"ResponseStatusObject": found}})


def system_time(server: str, time_zone: str, local: datetime) -> bytes:
    said = {"VIIDServerID": server, "TimeMode": "1", "LocalTime": f"{local:%Y%m%d%H%M%S}", "TimeZone": time_zone}
    return msgspec.json.encode({"SystemTimeObject": said})


# --- digest --------------------------------------------------------------------------------------


def make_nonce(key: bytes, now: datetime, count: int) -> str:
    """Names its time and can be made by nobody else; nothing has to be remembered of it until it is used."""
    said = f"{int(now.timestamp())}-{count}"
    return f"{said}-{hmac.new(key, said.encode(), sha256).hexdigest()[:32]}"


def nonce_holds(nonce: str, key: bytes, since: datetime, now: datetime) -> bool:
    """Made by us, not before `since` (what was used before that is not known any more) and not long ago."""
    said, _, proof = nonce.rpartition("-")
    right = hmac.new(key, said.encode(), sha256).hexdigest()[:32]
    made = said.partition("-")[0]
    if not hmac.compare_digest(proof.encode(), right.encode()) or not made.lstrip("-").isdecimal():
        return False
    return int(made) >= int(since.timestamp()) and abs(now.timestamp() - int(made)) <= NONCE_S_MAX


def challenge(realm: str, nonce: str) -> str:
    return f'Digest realm="{realm}", qop="auth", nonce="{nonce}", algorithm=MD5'


def read_credentials(header: str) -> dict[str, str]:
    """The pairs of an Authorization header; {} when it is no digest."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in PAIR.findall(rest)}


def proof_of(said: dict[str, str], password: str, method: str) -> str:
    """What `response` must be."""
    user = _md5(f"{said.get('username', '')}:{said.get('realm', '')}:{password}")
    request = _md5(f"{method}:{said.get('uri', '')}")
    if said.get("qop"):
        middle = ":".join(said.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return _md5(f"{user}:{middle}:{request}")
    return _md5(f"{user}:{said.get('nonce', '')}:{request}")


def _md5(written: str) -> str:
    return md5(written.encode(), usedforsecurity=False).hexdigest()
