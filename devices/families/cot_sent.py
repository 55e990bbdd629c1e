"""What we send to TAK: events of units, their emergencies, chats and control. What commands make of them. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from devices.asked import check_args, chosen
from devices.families import cot_wire as wire
from devices.families.cot_wire import Event, Point
from devices.family import CommandKind, CommandRefused, DeviceCommand
from devices.xml_text import Element

UNIT_TYPE = "a-f-G-U-C"  # a friendly unit on the ground: people
UNIT_STALE = timedelta(minutes=3)
ALERT_STALE = timedelta(minutes=10)
CONTROL_STALE = timedelta(minutes=1)
CHAT_STALE = timedelta(days=1)
CHAT_CHARS_MAX = 500
CALLSIGN = "Gridward"
NOWHERE = Point(0, 0, hae=0, ce=wire.UNKNOWN_PROTOBUF, le=wire.UNKNOWN_PROTOBUF)
ALERT_SUFFIX = "-9-1-1"


class Unit(Struct, frozen=True):
    """Whose event it is; the same uid for the same unit always. No callsign: UNKNOWN."""

    uid: str
    callsign: str
    point: Point
    how: str = "m-g"


def alert(unit: Unit, type_: str, at: datetime) -> Event:
    """An emergency of a unit (type b-a-o-tbl, b-a-o-pan, b-a-o-opn, b-a-g), or its end (b-a-o-can).

    Both have the same uid, made of the unit's, so that the end finds what it ends.
    """
    said = {"cancel": "true"} if type_ == wire.CANCEL else {"type": wire.EMERGENCIES.get(type_, "Custom")}
    called = unit.callsign or "UNKNOWN"
    parts = (
        Element("emergency", attributes=said, text=called),
        Element("link", attributes={"uid": unit.uid, "type": UNIT_TYPE, "relation": "p-p"}),
        Element("contact", attributes={"callsign": f"{called}-Alert"}),
    )
    place = msgspec.structs.replace(unit, uid=unit.uid + ALERT_SUFFIX)
    return _event(place, type_, at, ALERT_STALE, *parts)


def position(unit: Unit, at: datetime) -> Event:
    """Where a unit is."""
    contact = Element("contact", attributes={"callsign": unit.callsign or "UNKNOWN"})
    return _event(unit, UNIT_TYPE, at, UNIT_STALE, contact)


def chat(ours: str, unit: str, id_: str, text: str, at: datetime) -> Event:
    """A GeoChat to one unit."""
    about = {"parent": "RootContactGroup", "groupOwner": "false", "messageId": id_, "chatroom": unit, "id": unit}
    people = Element("chatgrp", attributes={"uid0": ours, "uid1": unit, "id": unit})
    parts = (
        Element("__chat", attributes=about | {"senderCallsign": CALLSIGN}, children=[people]),
        Element("link", attributes={"uid": ours, "type": UNIT_TYPE, "relation": "p-p"}),
        Element("remarks", attributes={"source": ours, "to": unit}, text=text),
        Element("marti", children=[Element("dest", attributes={"uid": unit})]),
    )
    sender = Unit(f"GeoChat.{ours}.{unit}.{id_}", "", Point(0, 0), "h-g-i-g-o")
    return _event(sender, "b-t-f", at, CHAT_STALE, *parts)


def control(type_: str, uid: str, at: datetime, *parts: Element) -> Event:
    return _event(Unit(uid, "", NOWHERE), type_, at, CONTROL_STALE, *parts)


def _event(unit: Unit, type_: str, at: datetime, lasts: timedelta, *parts: Element) -> Event:
    return Event(
        uid=unit.uid,
        type=type_,
        how=unit.how,
        time=at,
        start=at,
        stale=at + lasts,
        point=unit.point,
        detail=Element("detail", children=list(parts)),
    )


# --- commands ------------------------------------------------------------------------------------

ALERTS = {"911": "b-a-o-tbl", "bell": "b-a-o-pan", "contact": "b-a-o-opn", "fence": "b-a-g"}
PLACE = {"longitude": "where, WGS-84; where it was last heard when left out", "latitude": "with longitude"}
CALLED = {"callsign": "how it is called on the map"}
COMMANDS = (
    CommandKind(name="text", meaning="sends a chat", args={"text": f"up to {CHAT_CHARS_MAX} characters"}),
    CommandKind(
        name="alert",
        meaning="shows an emergency of the unit to everybody on the TAK network",
        args={"type": f"{', '.join(ALERTS)}; 911 when left out", **CALLED, **PLACE},
    ),
    CommandKind(name="cancel_alert", meaning="ends the emergency that alert began", args={**CALLED, **PLACE}),
)
KINDS = {kind.name: kind for kind in COMMANDS}
CALLSIGN_CHARS_MAX = 64


def asked_for(command: DeviceCommand, ours: str, heard_at: Point | None, now: datetime) -> list[Event]:
    """The events of a command; `heard_at`: where the unit was last. Raises CommandRefused."""
    check_args(KINDS, command)
    if command.action == "text":
        text = command.args.get("text", "")
        if not text.strip() or len(text) > CHAT_CHARS_MAX:
            raise CommandRefused(f"text: expected up to {CHAT_CHARS_MAX} characters")
        return [chat(ours, command.native_id, command.nonce, text, now)]
    callsign = command.args.get("callsign", "")
    if len(callsign) > CALLSIGN_CHARS_MAX:
        raise CommandRefused(f"callsign: expected up to {CALLSIGN_CHARS_MAX} characters")
    unit = Unit(command.native_id, callsign, _place(command.args, heard_at), "h-e")
    if command.action == "cancel_alert":
        return [alert(unit, wire.CANCEL, now)]
    raised = alert(unit, chosen(command.args, "type", ALERTS, "911"), now)
    return [raised] if heard_at is not None else [raised, position(unit, now)]  # who is on the map speaks for himself


def _place(args: Mapping[str, str], heard_at: Point | None) -> Point:
    longitude, latitude = (wire.number(args.get(name, "")) for name in ("longitude", "latitude"))
    if longitude is None and latitude is None and heard_at is not None:
        return heard_at
    if longitude is None or latitude is None or abs(longitude) > 180 or abs(latitude) > 90:
        raise CommandRefused("longitude and latitude: expected degrees; the unit was not heard, or told no place")
    return Point(latitude, longitude)
