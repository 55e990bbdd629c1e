"""Hikvision ISAPI events, XML and JSON, read into plain values. What they mean: hikvision.py, hikvision_codes.py.

    alertStream   GET /ISAPI/Event/notification/alertStream: multipart, see devices/multipart.py
      part        application/xml   <EventNotificationAlert> ... </EventNotificationAlert>      cameras, recorders
                  application/json  {"eventType": ..., "AccessControllerEvent": {...}}          door terminals
                  image/jpeg        behind the event it belongs to

Both forms have the same names; XML namespaces differ by age and are not looked at. `duration` events carry their real
type in relationEvent. Source: ISAPI, events of cameras and terminals of the field.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from devices.json_text import clean, read_json
from devices.local_time import LocalClock, read_iso
from devices.multipart import PART_BYTES_MAX
from devices.xml_text import Element, read_xml

WORD_CHARS_MAX = 64
NAME_CHARS_MAX = 128
RELATIONS_MAX = 10
NUMBER_DIGITS_MAX = 12
DOOR_EVENT = "AccessControllerEvent"
REGION = ("DetectionRegionList", "DetectionRegionEntry")
NO_MAC = "00:00:00:00:00:00"
ALIASES = {"vmd": "motiondetection", "vmdhumanvehicle": "motiondetection", "shelteralarm": "tamperdetection"}

Tree = dict[str, Any]


class Passage(Struct, frozen=True, kw_only=True):
    """AccessControllerEvent. Ids and names are the holder's: they stay in the reader and its tests."""

    major: int | None = None
    minor: int | None = None
    person_id: str | None = None
    person_name: str | None = None
    card_no: str | None = None
    door_no: int | None = None
    reader_no: int | None = None
    serial_no: int | None = None
    verify_mode: str | None = None
    current: bool | None = None
    attendance: str | None = None
    mask: str | None = None

    @property
    def readable(self) -> bool:
        """Codes are both there, or neither: then it is an attendance record, which names its employee."""
        if self.major is None and self.minor is None:
            return self.person_id is not None
        return self.major is not None and self.minor is not None


class Alert(Struct, frozen=True, kw_only=True):
    """One event. `type` as written, `types` what it is about: in lower case, relations of `duration` resolved, old
    names replaced. `passage` for door terminals."""

    type: str
    types: tuple[str, ...]
    state: str = ""
    time: datetime | None = None
    time_text: str = ""
    ip: str = ""
    mac: str = ""
    serial: str = ""
    channel: int | None = None
    channel_name: str = ""
    post_count: int | None = None
    region: int | None = None
    target: str = ""
    input_port: int | None = None
    passage: Passage | None = None

    @property
    def is_heartbeat(self) -> bool:
        return self.types == ("videoloss",) and self.state == "inactive"


def read_alert(data: bytes, clock: LocalClock | None = None) -> Alert | None:
    """The event of a part, XML or JSON; `clock` for times without an offset. None when it is no event."""
    return alert_of(_tree(data), clock)


def alert_of(tree: Tree, clock: LocalClock | None = None) -> Alert | None:
    """None also for an event of another type with a door's event inside: one of the two is wrong."""
    inside = tree.get(DOOR_EVENT)
    kind = _word(tree, "eventType") or (DOOR_EVENT if isinstance(inside, dict) else "")
    about_a_door = kind.lower() == DOOR_EVENT.lower()
    if not kind or (isinstance(inside, dict) and not about_a_door):
        return None
    said = _word(tree, "dateTime")
    return Alert(
        type=kind,
        types=tuple(dict.fromkeys(_types(tree, kind))),
        state=_word(tree, "eventState").lower(),
        time=read_iso(said, clock),
        time_text=said,
        ip=_word(tree, "ipAddress") or _word(tree, "ipv6Address"),
        mac=mac_of(_word(tree, "macAddress")),
        serial=_word(tree, "shortSerialNumber"),
        channel=_first_number(tree, ("channelID",), ("dynChannelID",)),
        channel_name=clean(_said(tree, "channelName") or "", NAME_CHARS_MAX),
        post_count=_number(tree, "activePostCount"),
        region=_number(tree, *REGION, "regionID"),
        target=(_word(tree, *REGION, "detectionTarget") or _word(tree, "targetType")).lower(),
        input_port=_first_number(tree, ("inputIOPortID",), ("dynInputIOPortID",)),
        passage=_passage(inside if isinstance(inside, dict) else {}) if about_a_door else None,
    )


def _tree(data: bytes) -> Tree:
    """XML and JSON as one kind of value; {} for what is neither."""
    if data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        root = read_xml(data.lstrip(b"\xef\xbb\xbf \r\n\t"), PART_BYTES_MAX)
        found = _of_xml(root) if root is not None and root.name == "EventNotificationAlert" else {}
        return found if isinstance(found, dict) else {}
    found = read_json(data, Tree) or {}
    inside = found.get("EventNotificationAlert")
    return inside if isinstance(inside, dict) else found


def _of_xml(element: Element) -> Tree | str:
    """Children by name (the first of each), or the text."""
    if not element.children:
        return element.text.strip()
    found: Tree = {}
    for child in element.children:
        inner = _of_xml(child)
        if child.name not in found:
            found[child.name] = inner
        elif isinstance(found[child.name], list):
            found[child.name].append(inner)
        else:
            found[child.name] = [found[child.name], inner]
    return found


def _said(tree: Any, *path: str) -> str | None:
    """The text or number at the end of a path; lists on the way stand for their first element."""
    for name in path:
        tree = tree[0] if isinstance(tree, list) and tree else tree
        tree = tree.get(name) if isinstance(tree, dict) else None
    tree = tree[0] if isinstance(tree, list) and tree else tree
    return str(tree) if isinstance(tree, str | int) and not isinstance(tree, bool) else None


def _word(tree: Any, *path: str) -> str:
    return clean((_said(tree, *path) or "").strip(), WORD_CHARS_MAX)


def _number(tree: Any, *path: str) -> int | None:
    said = (_said(tree, *path) or "").strip()
    return int(said) if said.isascii() and said.isdecimal() and len(said) <= NUMBER_DIGITS_MAX else None


def _first_number(tree: Tree, *paths: tuple[str, ...]) -> int | None:
    return next((found for path in paths if (found := _number(tree, *path)) is not None), None)


def mac_of(written: str) -> str:
    mac = written.lower().replace("-", ":")
    return "" if mac == NO_MAC else mac


def _types(tree: Tree, kind: str) -> Iterator[str]:
    """What the event is about."""
    related = [kind]
    if kind.lower() == "duration":
        listed = tree.get("DurationList")
        listed = listed.get("Duration") if isinstance(listed, dict) else listed
        many = listed if isinstance(listed, list) else [listed]
        related = [_word(one, "relationEvent") or _word(one, "Duration", "relationEvent") for one in many]
        related = [name for name in related[:RELATIONS_MAX] if name] or [kind]
    for name in related:
        yield ALIASES.get(name.lower(), name.lower())


def _passage(inside: Tree) -> Passage:
    current = inside.get("currentEvent")
    return Passage(
        major=_first_number(inside, ("majorEventType",), ("major",)),
        minor=_first_number(inside, ("subEventType",), ("minor",)),
        person_id=_said(inside, "employeeNoString") or _said(inside, "employeeNo"),
        person_name=_said(inside, "name"),
        card_no=_said(inside, "cardNo"),
        door_no=_number(inside, "doorNo"),
        reader_no=_number(inside, "cardReaderNo"),
        serial_no=_number(inside, "serialNo"),
        verify_mode=_said(inside, "currentVerifyMode"),
        current=current if isinstance(current, bool) else {"true": True, "false": False}.get(str(current)),
        attendance=_said(inside, "attendanceStatus"),
        mask=_said(inside, "mask"),
    )
