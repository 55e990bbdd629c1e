"""ONVIF cameras and door controllers: events by pull point, metadata stream or MQTT. Wire: onvif_wire.py.

What it means (TOPICS): a property that is true is an Alarm raised, and cleared when it is false or deleted; movement,
sounds, outputs and doors are Events; passages are Events without their holder. What is not in the table is a `state`
Event with its data, without items that may name a person.
- "Initialized" is the state of things after subscribing, not news: alarms that last are raised, all others cleared
  (before a restart they may have lasted), Events are not made of it.
- The same state again is no news. One property is (topic, Source, Key); that is the component.
- Times are UTC, also where the zone was left out.

The pull point (with `event_path` set): GetSystemDateAndTime (WS-Security allows no skew), CreatePullPointSubscription,
then PullMessages again and again, Renew at half time. A subscription that the device forgot is made again. On any other
refusal nothing more waits to be sent, so that a wrong password is not tried in a loop: the link closes and backs off.

One session is one device: `device` names it; without that the producer's address does. TLS or a camera network of its
own is needed for trust: notifications are not signed.
"""

import re
from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct

from devices.families import onvif_wire as wire
from devices.families.onvif_topics import IGNORED_OPERATION, TOPICS, Meaning
from devices.families.onvif_wire import Notification
from devices.family import Example, Message, MessageFamily
from devices.held import Held
from devices.local_time import hour_of_doubt, observed
from devices.observation import (
    TEXT_CHARS_MAX,
    Alarm,
    Body,
    DeviceId,
    Event,
    Observation,
    Result,
    Telemetry,
    digest,
    rejected,
)
from devices.xml_text import Element

CONDITIONS_MAX = 2_000
REQUESTS_MAX = 10
ATTRIBUTES_MAX = 8
PERSONAL = re.compile("credential|holder|name|card|user|person|external|plate|identifier", re.IGNORECASE)
NATIVE_ID = re.compile(r"[!-~]{1,128}")


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`device`: the native id; "" for the producer's address in the notifications. `event_path`: the device's event
    service, for example /onvif/event_service; "" when events come by themselves. `device_path`: its device service.
    `user`, `password`: of its event service (WS-Security). `ignore`: topics that are not wanted, by their beginnings
    as the component of `state` Events has them. `any_time`: impossible times are kept, flagged."""

    device: str = ""
    event_path: str = ""
    device_path: str = "/onvif/device_service"
    user: str = ""
    password: str = ""
    ignore: tuple[str, ...] = ()
    any_time: bool = False

    def __post_init__(self) -> None:
        for path in (self.event_path, self.device_path):
            if path and not path.startswith("/"):
                raise ValueError(f"{path!r}: expected a path such as /onvif/event_service")


class Session:
    """See devices.family.MessageSession."""

    def __init__(self, settings: Settings, enrolled: Container[str]) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._held: Held[tuple[str, str, str]] = Held(CONDITIONS_MAX)  # (device, kind, component)
        self._requests: list[Message] = []
        self._ahead = timedelta()  # the device's clock minus ours
        self._subscription: wire.Subscription | None = None
        self._renew_at: datetime | None = None
        self._count = 0
        if settings.event_path:
            self._ask(settings.device_path, wire.GET_TIME, settings.device_path, None)

    def receive(self, message: Message, now: datetime) -> list[Result]:
        if "/onvif-ej/" in message.channel:
            self._requests.clear()  # there is nobody to ask on a broker
            event = wire.read_json(message.channel, message.data)
            return [rejected("event unreadable", message.data)] if event is None else self._event(event, now)
        root = wire.read_document(message.data)
        if root is None:
            return [rejected("document unreadable", message.data)]
        answer = wire.body_of(root)
        if answer is not None and (refused := wire.fault_of(answer)):
            return self._refused(refused, message, now)
        found = [result for event in wire.notifications(root) for result in self._event(event, now)]
        if answer is not None:
            found += self._answered(answer, now)
        if root.name not in ("Envelope", "MetadataStream", "Notify"):
            found.append(rejected("document unknown", message.data))
        return found

    def to_send(self) -> list[Message]:
        requests, self._requests = self._requests, []
        return requests

    # --- the pull point ---

    def _answered(self, answer: Element, now: datetime) -> list[Result]:
        if not self._settings.event_path:
            return []
        if answer.name == "GetSystemDateAndTimeResponse":
            self._ahead = (wire.read_device_time(answer) or now) - now
            self._ask(self._settings.event_path, wire.CREATE, self._settings.event_path, now)
        elif answer.name == "CreatePullPointSubscriptionResponse":
            self._subscription = wire.read_subscription(answer)
            if self._subscription is None:
                return [rejected("subscription unreadable", answer.name.encode())]
            self._renew_at = now + self._subscription.lasts / 2
            self._pull(now)
        elif answer.name == "RenewResponse":
            self._renew_at = now + (wire.read_lasting(answer) or timedelta(seconds=60)) / 2
        elif answer.name == "PullMessagesResponse":
            self._pull(now)
            return self._alive(now)
        return []

    def _alive(self, now: datetime) -> list[Result]:
        """A pull that brought nothing is still a sign of life."""
        device = self._settings.device
        if not device or device not in self._enrolled:
            return []
        return [Observation(device=_id(device), observed_at=now, received_at=now, body=Telemetry({}))]

    def _pull(self, now: datetime) -> None:
        if self._subscription is None:
            return
        if self._renew_at is not None and now >= self._renew_at:
            self._ask(self._subscription.path, wire.RENEW, self._subscription.address, now)
            self._renew_at = now + self._subscription.lasts / 2
        self._ask(self._subscription.path, wire.PULL, self._subscription.address, now)

    def _refused(self, code: str, message: Message, now: datetime) -> list[Result]:
        again = self._subscription is not None and code.startswith("ResourceUnknown")
        self._subscription, self._requests = None, []
        if again:
            self._ask(self._settings.event_path, wire.CREATE, self._settings.event_path, now)
        reason = "subscription forgotten" if again else "refused by the device"
        device = _id(self._settings.device) if NATIVE_ID.fullmatch(self._settings.device) else None
        return [rejected(reason, message.data, device)]

    def _ask(self, path: str, body: str, to: str, now: datetime | None) -> None:
        login = None
        if self._settings.user and now is not None:
            created = (now + self._ahead).isoformat()
            secret = f"{self._settings.password} {created} {self._count}"
            nonce = sha256(secret.encode()).digest()[:16]  # never twice, and not to be guessed without the password
            self._count += 1
            login = wire.Login(self._settings.user, self._settings.password, nonce, now + self._ahead)
        headers = {"content-type": "application/soap+xml; charset=utf-8"}
        request = Message(f"POST {path}", wire.envelope(body, to, login), headers)
        self._requests = [*self._requests, request][-REQUESTS_MAX:]

    # --- what is reported ---

    def _event(self, event: Notification, now: datetime) -> list[Result]:
        native_id = self._settings.device or event.producer.removesuffix("/ProducerReference").removeprefix("uri://")
        raw = f"{event.topic} {event.time_text}".encode()
        if not NATIVE_ID.fullmatch(native_id):
            return [rejected("device unknown", raw)]
        device = _id(native_id)
        if native_id not in self._enrolled:
            return [rejected("not enrolled", raw, device)]
        if event.path.startswith(self._settings.ignore):
            return []
        at, flags = observed(event.time, now, self._settings.any_time)
        said = repr((event.topic, event.time_text, event.source, event.key, event.data))
        report = digest(native_id.encode(), said.encode(), hour_of_doubt(event.time, now))
        return [
            Observation(
                device=device, observed_at=at, received_at=now, body=body, frame_id=f"{report}.{index}", flags=flags
            )
            for index, body in enumerate(self._bodies(native_id, event, now))
        ]

    def _bodies(self, native_id: str, event: Notification, now: datetime) -> Iterator[Body]:
        component = component_of(event)
        meaning = meaning_of(event.path)
        states = meaning.alarms(event) if meaning else {}
        for kind, raised in states.items():
            yield from self._alarm(native_id, event, Alarm(kind=kind, raised=raised, component=component), now)
        if event.operation in IGNORED_OPERATION:
            return
        if meaning is None:
            yield Event(kind="state", component=component, attributes=harmless(event.data))
        elif happened := meaning.event(event):
            kind, attributes = happened
            yield Event(kind=kind, component=component, attributes=attributes)

    def _alarm(self, native_id: str, event: Notification, alarm: Alarm, now: datetime) -> Iterator[Alarm]:
        """The alarm, when it is news."""
        key = (native_id, alarm.kind, alarm.component)
        changed = self._held.begin(key, now) if alarm.raised else self._held.end(key, now)
        momentary = alarm.raised and not event.operation  # every one is news
        if changed or momentary:
            yield alarm


def _id(native_id: str) -> DeviceId:
    return DeviceId(f"onvif:{native_id}")


def meaning_of(path: str) -> Meaning | None:
    """What the longest beginning of the path that is in the table means."""
    segments = path.split("/")
    beginnings = ("/".join(segments[:count]) for count in range(len(segments), 0, -1))
    return next((TOPICS[beginning] for beginning in beginnings if beginning in TOPICS), None)


def component_of(event: Notification) -> str:
    """The property: its path, and the items that tell it from others of that path."""
    items = {**event.source, **event.key}
    told = (f"{name}={value}" for name, value in items.items() if not PERSONAL.search(name) or name == "RuleName")
    return " ".join((event.path, *told))[:TEXT_CHARS_MAX]


def harmless(items: dict[str, str]) -> dict[str, str]:
    kept = [(name, value) for name, value in items.items() if not PERSONAL.search(name)]
    return dict(kept[:ATTRIBUTES_MAX])


FAMILY = MessageFamily(
    name="onvif",
    title="ONVIF cameras and door controllers, events",
    native_id="the setting `device`, else the producer's address",
    example=Example(
        "cam-7",
        {"topics": ["onvif/#"]},
        {"device": "cam-7"},
        {
            "http_client": {
                "settings": {
                    "event_path": "/onvif/event_service",
                    "user": "gridward",
                    "password": "file:camera.password",
                }
            }
        },
    ),
    links=("http_client", "mqtt"),
    integrity="",
    message_bytes_max=wire.MESSAGE_BYTES_MAX,
    silence_s_max=180,
    settings=Settings,
    open_session=Session,
)
