"""What the edge asks a Hikvision device beside its stream (ISAPI): who it is, what its log holds, to drive a door.

GET  /ISAPI/System/deviceInfo                       <DeviceInfo> ... <macAddress>
POST /ISAPI/AccessControl/AcsEvent?format=json      {"AcsEventCond": {searchID, searchResultPosition, maxResults, ...}}
  answer   {"AcsEvent": {"responseStatusStrg": "OK" | "MORE" | "NO MATCH", "numOfMatches": n, "InfoList": [...]}}
           records have major, minor and time where events have majorEventType, subEventType and dateTime
PUT  /ISAPI/AccessControl/RemoteControl/door/N      <RemoteControlDoor><cmd>open</cmd></RemoteControlDoor>
  answer   <ResponseStatus> or the same as JSON: statusCode 1, statusString, subStatusCode
"""

import re
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from devices.families.hikvision_wire import DOOR_EVENT, Alert, Tree, alert_of, mac_of
from devices.family import Message
from devices.json_text import clean, read_json
from devices.local_time import LocalClock
from devices.xml_text import read_xml

ANSWER_BYTES_MAX = 262_144
RECORDS_MAX = 30  # of one answer, as we ask for them
RECORDS_READ_MAX = 200
DONE = "1"
JSON, XML = {"content-type": "application/json"}, {"content-type": "application/xml"}
WORD = re.compile(r"[A-Za-z]{1,40}", re.ASCII)

WHO = Message("GET /ISAPI/System/deviceInfo", b"")
LOG_PATH = "/ISAPI/AccessControl/AcsEvent?format=json"
DOOR_PATH = "/ISAPI/AccessControl/RemoteControl/door/"


def read_mac(data: bytes) -> str:
    """The device's MAC address in an answer to WHO; "" when it does not say."""
    root = read_xml(data, ANSWER_BYTES_MAX)
    return mac_of(clean(root.said("macAddress") or "", 17)) if root is not None else ""


# --- the log of a terminal ---


class Search(Struct, frozen=True):
    """One search through the log; `position` is how many records it has brought."""

    since: datetime  # both with an offset
    until: datetime
    position: int = 0

    def request(self) -> Message:
        """One search has one id, however many pages it takes."""
        name = UUID(bytes=sha256(f"{self.since} {self.until}".encode()).digest()[:16])
        condition = {
            "searchID": str(name),
            "searchResultPosition": self.position,
            "maxResults": RECORDS_MAX,
            "major": 0,
            "minor": 0,
            "startTime": self.since.isoformat(timespec="seconds"),
            "endTime": self.until.isoformat(timespec="seconds"),
        }
        return Message(f"POST {LOG_PATH}", msgspec.json.encode({"AcsEventCond": condition}), JSON)


class Page(Struct, frozen=True):
    """`count`: of records, also of those that cannot be read. `more`: there is another page."""

    records: list[Alert]
    count: int
    more: bool


def read_page(data: bytes, clock: LocalClock) -> Page | None:
    said = read_json(data, Tree) or {}
    found = said.get("AcsEvent")
    if not isinstance(found, dict):
        return None
    listed = found.get("InfoList")
    more = str(found.get("responseStatusStrg", "")).upper() == "MORE"
    return Page(records_of(said, clock), len(listed) if isinstance(listed, list) else 0, more)


def records_of(said: Tree, clock: LocalClock | None = None) -> list[Alert]:
    """The records of an answer, or the one record that this is, as the events that they were."""
    answer = said.get("AcsEvent")
    listed: Any = answer.get("InfoList") if isinstance(answer, dict) else [said] if "major" in said else None
    found = listed[:RECORDS_READ_MAX] if isinstance(listed, list) else []
    alerts = [alert_of(_event_of(one), clock) for one in found if isinstance(one, dict)]
    return [alert for alert in alerts if alert is not None and alert.passage is not None and alert.passage.readable]


def _event_of(record: Tree) -> Tree:
    return {"eventType": DOOR_EVENT, "dateTime": record.get("time"), DOOR_EVENT: {**record, "currentEvent": False}}


# --- doors ---


def drive_door(door: int, word: str) -> Message:
    """`word`: open, close, alwaysOpen, alwaysClose."""
    body = f"<RemoteControlDoor><cmd>{word}</cmd></RemoteControlDoor>"
    return Message(f"PUT {DOOR_PATH}{door}", body.encode(), XML)


def refusal_of(answer: Message) -> str:
    """Why the device did not do it, with its own word for that; "" when it did."""
    status = answer.headers.get("status", "")
    if status in ("401", "403"):
        return "the login may not do that at the device"
    said = _status_of(answer.data)
    if said.get("statusCode") == DONE or (status == "200" and not said):
        return ""
    word = said.get("subStatusCode", "")
    return f"the device says {word}" if WORD.fullmatch(word) else f"the device refuses it, HTTP {status}"


def _status_of(data: bytes) -> dict[str, str]:
    root = read_xml(data, ANSWER_BYTES_MAX) if data.lstrip().startswith(b"<") else None
    if root is not None:
        return {child.name: child.text.strip() for child in root.children}
    said = read_json(data, Tree) or {}
    return {name: str(value) for name, value in said.items() if isinstance(value, str | int)}
