"""TAK radios, phones and watches that speak Cursor on Target, from a TAK server or a mesh. Frames: cot_wire.py.

What it means
- a-…: where a unit is: a Position, and its battery. `how` m-g… is satellite, h-… was put there by a person ("fixed"),
  anything else is approximate ("network"). 0/0 is no position. `hae` is passed on as altitude.
- b-a-…: an Alarm of the sender: the p-p link names it, else the uid without its "-9-1-1". 911, ring the bell, troops in
  contact and custom alerts are `sos`, a breached fence is `zone_violation`, what we do not know is `unspecified_alarm`.
- b-a-o-can, or an emergency with cancel="true": clears what the sender raised. People close the incident.
- A chat is a `text_message`. Drawings, routes and markers are not read: `unknown_report` with the type only.

Times are UTC.

Devices are bound to enrolled uids; behind a TAK server nothing more is checked, so use its certificates: 8089 with the
client certificate that it gave us (as PEM), not 8087, which is in the clear.
What we sent ourselves comes back from a server: dropped by `own_flow_tag` and `own_uid_prefix`.

Answered: pings of enrolled units; with `negotiate_protobuf` the server's offer to change to protobuf (both forms are
read at any time). With `uid` set, silence is answered with a ping, as a server expects of its clients.

To send (cot_sent.py): the command `text` is a chat to one unit; that its phone got it is accepted, that it was opened
is confirmed. `alert` and `cancel_alert` go to everybody behind a TAK server (on a mesh to that unit), with a position
for a unit that has told none; nobody answers these.
"""

from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

from devices.dictionary import in_range
from devices.families import cot_sent as sent
from devices.families import cot_wire as wire
from devices.families.cot_wire import Event as CotEvent
from devices.families.cot_wire import Point
from devices.family import DeviceCommand, Example, Family
from devices.framing import Framer
from devices.json_text import clean
from devices.local_time import hour_of_doubt, observed
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
    digest,
    rejected,
)
from devices.xml_text import Element

UID_CHARS_MAX = 128
DEVICES_MAX = 10_000  # of one link, remembered for clearing
TO_SEND_MAX = 1_000  # events; the oldest are given up
RECEIPTS: dict[str, Literal["accepted", "confirmed"]] = {"b-t-f-d": "accepted", "b-t-f-r": "confirmed"}
ANSWER_WITHIN = timedelta(minutes=1)  # to our question for protobuf; then we stay with XML
KMH_PER_M_S = 3.6

RAISED_BY_PEOPLE = "b-a-o"  # 911, ring the bell, in contact, custom, and those that are still to come
# What may stand in a Position; beyond it a device makes things up.
ALTITUDES_M, ACCURACIES_M, SPEEDS_KMH = (-1_000, 20_000), (0, 100_000), (0, 1_500)


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`uid`: our own, when we are a client that must ping. `own_uid_prefix`, `own_flow_tag`: what has these comes back
    from us. `negotiate_protobuf`: the server's offer to change to protobuf is taken. `any_time`: impossible times are
    flagged, but kept."""

    uid: str = ""
    own_uid_prefix: str = "gridward-"
    own_flow_tag: str = "gridward"
    negotiate_protobuf: bool = False
    any_time: bool = False


class Session:
    """See devices.family.Session and Commanded."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._framer = Framer(wire.cut, wire.FRAME_BYTES_MAX)
        self._waiting: list[CotEvent] = []
        self._protobuf = False
        self._request = b""
        self._asked_at: datetime | None = None  # of the change to protobuf; None: nothing is being settled
        self._raised: dict[str, set[str]] = {}
        self._texts: dict[str, str] = {}  # id of a chat -> unit it was sent to
        self._places: dict[str, Point] = {}  # where units were last

    def receive(self, data: bytes, now: datetime) -> list[Result]:
        return self._read(self._framer.feed(data), now)

    def idle(self, now: datetime) -> list[Result]:
        found = self._read(self._framer.idle(), now)
        if self._settings.uid:
            self.publish(sent.control("t-x-c-t", f"{self._settings.uid}-ping", now))
        return found

    def to_send(self) -> bytes:
        """What waits, in the form that the peer agreed to; only the question while that is being settled."""
        request, self._request = self._request, b""
        if self._asked_at:
            return request
        waiting, self._waiting = self._waiting, []
        return b"".join(map(wire.write_stream if self._protobuf else wire.write_event, waiting))

    def command(self, command: DeviceCommand, now: datetime) -> None:
        ours = self._settings.uid or f"{self._settings.own_uid_prefix}edge"
        events = sent.asked_for(command, ours, self._places.get(command.native_id), now)
        self._texts[command.nonce] = command.native_id
        if len(self._texts) > TO_SEND_MAX:
            del self._texts[next(iter(self._texts))]
        for event in events:
            self.publish(event)

    def publish(self, event: CotEvent) -> None:
        """Queue an event for the other side, with the mark by which we know it when it comes back."""
        assert event.time is not None, "events that are sent have times"
        said = {self._settings.own_flow_tag: f"{event.time:%Y-%m-%dT%H:%M:%SZ}"} if self._settings.own_flow_tag else {}
        parts = [*event.detail.children, Element("_flow-tags_", attributes=said)]
        marked = msgspec.structs.replace(event, detail=Element("detail", children=parts))
        self._waiting = [*self._waiting, marked][-TO_SEND_MAX:]

    def _read(self, pieces: list[bytes | Rejected], now: datetime) -> list[Result]:
        if self._asked_at and abs(now - self._asked_at) > ANSWER_WITHIN:
            self._asked_at = None
        found: list[Result] = []
        for piece in pieces:
            found.extend([piece] if isinstance(piece, Rejected) else self._frame(piece, now))
        return found

    def _frame(self, raw: bytes, now: datetime) -> list[Result]:
        event = wire.read_frame(raw)
        if event is None:
            return [rejected("event unreadable", raw)]
        if event.type.startswith("t-x-takp-"):
            self._negotiate(event, now)
            return []
        if not event.type or self._is_ours(event):
            return []
        sender = sender_of(event)
        if not sender.isprintable() or not 0 < len(sender) <= UID_CHARS_MAX:
            return [rejected("uid unreadable", raw)]
        device = DeviceId(f"cot:{sender}")
        if sender not in self._enrolled:
            return [rejected("not enrolled", raw, device, name=event.said("contact", "callsign") or "")]
        if event.type in RECEIPTS:
            alive = Observation(device=device, observed_at=now, received_at=now, body=Telemetry({}))
            return [*self._received(event, sender), alive]
        at, flags = observed(event.time, now, self._settings.any_time)
        doubt = hour_of_doubt(event.time, now) if is_alarm(event) else b""
        report = digest(event.uid.encode(), event.type.encode(), str(event.time).encode(), doubt)
        return [
            Observation(
                device=device, observed_at=at, received_at=now, body=body, frame_id=f"{report}.{index}", flags=flags
            )
            for index, body in enumerate(self._bodies(event, sender, now))
        ]

    def _received(self, event: CotEvent, sender: str) -> Iterator[CommandAnswer]:
        """A receipt for a chat of ours, from the unit that it was for."""
        nonce = event.said("__chatreceipt", "messageId") or event.said("__chat", "messageId") or event.uid
        if self._texts.get(nonce) == sender:
            yield CommandAnswer(nonce=nonce, result=RECEIPTS[event.type])

    def _is_ours(self, event: CotEvent) -> bool:
        tags, settings = event.detail.child("_flow-tags_"), self._settings
        tagged = tags is not None and settings.own_flow_tag in tags.attributes
        return tagged or bool(settings.own_uid_prefix and event.uid.startswith(settings.own_uid_prefix))

    def _negotiate(self, event: CotEvent, now: datetime) -> None:
        """The server's offer is asked for once; its answer settles the form of all that follows."""
        control = event.detail.child("TakControl") or Element("")
        versions = [one.attributes.get("version") for one in control.every("TakProtocolSupport")]
        offered = event.type == "t-x-takp-v" and "1" in versions and not self._protobuf
        if offered and self._settings.negotiate_protobuf:
            question = Element("TakControl", children=[Element("TakRequest", attributes={"version": "1"})])
            self._request = wire.write_event(sent.control("t-x-takp-q", event.uid, now, question))
            self._asked_at = now
        if event.type == "t-x-takp-r" and self._asked_at:
            answer = control.child("TakResponse")
            self._protobuf = answer is not None and answer.attributes.get("status") == "true"
            self._asked_at = None

    def _bodies(self, event: CotEvent, sender: str, now: datetime) -> Iterator[Body]:
        """Alarms first: they are what the siren waits for."""
        if is_alarm(event):
            yield from self._alarms(event, sender)
        elif not event.type.startswith("a-"):
            if event.type == "t-x-c-t":
                self.publish(sent.control("t-x-c-t-r", "takPong", now))
            yield _other(event)
            return
        if event.point and (event.point.lat or event.point.lon):
            self._remember(sender, event.point)
            yield _place(event, event.point)
        battery = event.measured("status", "battery")
        if battery and in_range("battery_percent", battery):
            yield Telemetry({"battery_percent": battery})
        elif not is_alarm(event):
            yield Telemetry({})

    def _remember(self, sender: str, point: Point) -> None:
        if len(self._places) >= DEVICES_MAX and sender not in self._places:
            del self._places[next(iter(self._places))]
        self._places[sender] = point

    def _alarms(self, event: CotEvent, sender: str) -> Iterator[Alarm]:
        if is_cancel(event):
            for kind in sorted(self._raised.pop(sender, {"sos"}) | {"sos"}):
                yield Alarm(kind=kind, raised=False)
            return
        kind = kind_of(event.type)
        if len(self._raised) >= DEVICES_MAX and sender not in self._raised:
            del self._raised[next(iter(self._raised))]
        self._raised.setdefault(sender, set()).add(kind)
        said = event.emergency or {}
        words = (said.get("type", ""), said.get("text") or event.said("contact", "callsign") or "")
        yield Alarm(kind=kind, description=" ".join(filter(None, words))[:TEXT_CHARS_MAX])


def _other(event: CotEvent) -> Body:
    """What is neither an alarm nor a place."""
    words = event.detail.said("remarks")
    if event.type.startswith("t-x-c-t"):
        return Telemetry({})
    if event.type == "b-t-f" and words:
        return Event(kind="text_message", attributes={"text": clean(words)})
    return Event(kind="unknown_report", attributes={"type": event.type})


def is_alarm(event: CotEvent) -> bool:
    return event.type.startswith("b-a-") or event.emergency is not None


def kind_of(type_: str) -> str:
    """The alarm that an event of this type raises; one of a unit's own type carries an emergency."""
    if f"{type_}-".startswith((f"{RAISED_BY_PEOPLE}-", "a-")):
        return "sos"
    return "zone_violation" if type_ == "b-a-g" else "unspecified_alarm"


def is_cancel(event: CotEvent) -> bool:
    return event.type == wire.CANCEL or (event.emergency or {}).get("cancel") == "true"


def sender_of(event: CotEvent) -> str:
    """Whose report it is: alarms, chats and markers have uids of their own and a link to their sender."""
    if event.type.startswith("b-"):
        parents = [link["uid"] for link in event.links if link.get("relation") == "p-p"]
        return parents[0] if parents else event.uid.removesuffix(sent.ALERT_SUFFIX)
    return event.uid.removesuffix("-ping") if event.type == "t-x-c-t" else event.uid


def _place(event: CotEvent, point: Point) -> Position:
    how = event.how[:3] if event.how.startswith("m-g") else event.how[:1]
    speed, course = event.measured("track", "speed"), event.measured("track", "course")
    return Position(
        longitude=point.lon,
        latitude=point.lat,
        fix={"m-g": "gnss", "h": "fixed"}.get(how, "network"),
        altitude_m=_within(point.hae, ALTITUDES_M),
        accuracy_m=_within(point.ce, ACCURACIES_M),
        speed_kmh=_within(speed * KMH_PER_M_S if speed is not None else None, SPEEDS_KMH),
        course_deg=course % 360 if course is not None else None,
    )


def _within(value: float | None, limits: tuple[float, float]) -> float | None:
    return value if value is not None and limits[0] <= value <= limits[1] else None


FAMILY = Family(
    name="cot",
    title="TAK radios and phones, Cursor on Target",
    native_id="the uid of the unit",
    example=Example(
        "PHONE-7",
        kinds={
            "tcp_client": {
                "port": 8089,
                "tls": True,
                "tls_ca_file": "tak-ca.pem",
                "tls_certificate_file": "tak-client.pem",
                "tls_key_file": "tak-client.key",
            },
            "udp_server": {"port": 6969, "group": "239.2.3.1"},
        },
    ),
    links=("tcp_client", "udp_server"),
    integrity="",
    frame_bytes_max=wire.FRAME_BYTES_MAX,
    silence_s_max=600,
    settings=Settings,
    open_session=Session,
    commands=sent.COMMANDS,
)
