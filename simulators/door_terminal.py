"""A Hikvision door terminal: its events pushed (`hikvision_push`) or as parts of an endless answer (`hikvision`).

An event is JSON: who, when, and AccessControllerEvent with major and minor code, door and serial number. The stream has
a part for each, and "videoloss inactive" as its heartbeat.

Settings: `report_every_s` (passages), `heartbeat_s`. Actions: those of CODES.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

from msgspec import convert, json

from simulators.device import Accepted
from simulators.family import EdgeKeys
from simulators.scripted import Periods, Sender, Talker, no_args

LOCAL = timezone(timedelta(hours=8))
DOOR = 1
BOUNDARY = "MIME_boundary"
PASSED_BY_CARD, UNLOCKED = (5, 0x01), (5, 0x15)
# action -> (major, minor), kind of alarm
CODES = {
    "forced": ((5, 0x1B), "door_forced"),
    "held_open": ((5, 0x1C), "door_held_open"),
    "duress": ((1, 0x40A), "duress"),
    "emergency_button": ((1, 0x41C), "sos"),
    "fire_input": ((1, 0x424), "fire"),
    "tamper": ((1, 0x404), "tamper"),
}


def event_of(native_id: str, at: datetime, code: tuple[int, int], serial: int) -> bytes:
    told = {
        "ipAddress": "192.0.2.10",
        "macAddress": native_id,
        "dateTime": at.astimezone(LOCAL).isoformat(),
        "eventType": "AccessControllerEvent",
        "eventState": "active",
        "AccessControllerEvent": {
            "majorEventType": code[0],
            "subEventType": code[1],
            "doorNo": DOOR,
            "serialNo": serial,
            "currentEvent": True,
        },
    }
    return json.encode(told)


class PushingTerminal(Sender):
    WHAT, FAMILY = "a door terminal", "hikvision_push"
    ACTIONS: ClassVar = no_args(*CODES)

    def happened(self, action: str, said: Any, at: datetime) -> None:
        code, kind = CODES[action]
        self._event(at, code, self.row(kind, at, component=f"door {DOOR}", raised=True))

    def measured(self, at: datetime) -> None:
        self._event(at, PASSED_BY_CARD, self.row("access", at, component=f"door {DOOR}"))

    def _event(self, at: datetime, code: tuple[int, int], row: Accepted) -> None:
        body = event_of(self.native_id, at, code, self._key)
        self.send("POST /events", body, row, **{"content-type": "application/json"})


class StreamingTerminal(Talker):
    WHAT, FAMILY = "a door terminal", "hikvision"
    ACTIONS: ClassVar = no_args(*CODES)
    CONFIRMED = False
    CONTENT_TYPE = f"multipart/mixed; boundary={BOUNDARY}"
    STREAM = "/ISAPI/Event/notification/alertStream"

    def answer(self, method: str, path: str, now: datetime) -> bytes | None:
        """Who it is; and a door that is driven opens. It keeps no log."""
        if path == "/ISAPI/System/deviceInfo":
            return f"<DeviceInfo><macAddress>{self.native_id}</macAddress></DeviceInfo>".encode()
        if method == "PUT" and path == f"/ISAPI/AccessControl/RemoteControl/door/{DOOR}":
            self._event(now, UNLOCKED, self.row("unlocked", now, component=f"door {DOOR}"))
            return b"<ResponseStatus><statusCode>1</statusCode><statusString>OK</statusString></ResponseStatus>"
        return None

    def happened(self, action: str, said: Any, at: datetime) -> None:
        code, kind = CODES[action]
        self._event(at, code, self.row(kind, at, component=f"door {DOOR}", raised=True))

    def measured(self, at: datetime) -> None:
        self._event(at, PASSED_BY_CARD, self.row("access", at, component=f"door {DOOR}"))

    def alive(self, now: datetime) -> None:
        told = {"ipAddress": "192.0.2.10", "macAddress": self.native_id, "channelID": 0}
        beat = {**told, "dateTime": now.astimezone(LOCAL).isoformat(), "eventType": "videoloss"}
        self.remark(_part(json.encode({**beat, "eventState": "inactive"})))

    def _event(self, at: datetime, code: tuple[int, int], row: Accepted) -> None:
        key = self.next_key()
        self.tell(key, _part(event_of(self.native_id, at, code, key)), row)


def _part(body: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def _checked(native_id: str) -> str:
    if not re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", native_id):
        raise ValueError(f"a MAC address is in lower case with colons, not {native_id!r}")
    return native_id


def build_pushing(native_id: str, settings: dict[str, Any], seed: int) -> PushingTerminal:
    """Raises ValueError for what is no MAC address."""
    return PushingTerminal(_checked(native_id), convert(settings, Periods), seed)


def build_streaming(native_id: str, settings: dict[str, Any], seed: int) -> StreamingTerminal:
    """Raises ValueError for what is no MAC address."""
    return StreamingTerminal(_checked(native_id), convert(settings, Periods), seed)


def edge_streaming(specs: object) -> EdgeKeys:
    return {"url_path": StreamingTerminal.STREAM}
