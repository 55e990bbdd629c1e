"""ONVIF events: notifications read into plain values, and the SOAP of a pull point. What they mean: onvif.py.

    MetadataStream | Envelope/Body/(PullMessagesResponse | Notify)
      ... NotificationMessage
            Topic                  tns1:RuleEngine/CellMotionDetector/Motion
            ProducerReference/Address
            Message/Message UtcTime PropertyOperation
              Source, Key, Data    SimpleItem Name Value

Names of elements are matched without their namespaces; a topic is compared by the namespaces of its segments, not by
its prefixes: `plain()` gives "RuleEngine/...", with "axis:" before segments of Axis and "{uri}" before anyone else's.
MQTT (topic PREFIX/onvif-ej/<path>) carries the same as JSON {UtcTime, Source, Key, Data}.
Source: ONVIF Core, WS-BaseNotification 1.3, WS-Security UsernameToken 1.0.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any

from msgspec import Struct

from devices import json_text
from devices.json_text import clean
from devices.local_time import read_iso
from devices.xml_text import Element, escaped, read_xml

MESSAGE_BYTES_MAX = 1_000_000  # a full resync of an NVR
NOTIFICATIONS_MAX = 1_000
ITEMS_MAX = 50
TEXT_CHARS_MAX = 200
ONVIF_TOPICS = "http://www.onvif.org/ver10/topics"
AXIS_TOPICS = "http://www.axis.com/2009/event/topics"
ADDRESS = re.compile(r"https?://[^/\s]{1,100}(/[!-~]{0,200})", re.ASCII)
NO_STATE = re.compile("(Id|id|ID|Token|Count)$")  # their 0 and 1 are numbers
TRUE, FALSE = frozenset({"true", "1", "active", "on", "yes"}), frozenset({"false", "0", "inactive", "off", "no"})


class Notification(Struct, frozen=True, kw_only=True):
    """`operation` is "" for a momentary event. `topic` as it was written, `path` as `plain()` made it."""

    topic: str
    path: str
    operation: str = ""
    time: datetime | None = None
    time_text: str = ""
    producer: str = ""
    source: dict[str, str] = {}
    key: dict[str, str] = {}
    data: dict[str, str] = {}

    @property
    def active(self) -> bool | None:
        """The state: of the item called "active", else of the first that can be one. None: it is no such event."""
        first = [self.data["active"]] if "active" in self.data else []
        rest = [value for name, value in self.data.items() if not NO_STATE.search(name)]
        states = (truth(value) for value in [*first, *rest])
        return next((state for state in states if state is not None), None)


def truth(value: str) -> bool | None:
    word = value.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def read_document(data: bytes) -> Element | None:
    return read_xml(data, MESSAGE_BYTES_MAX)


def notifications(root: Element) -> Iterator[Notification]:
    """Every notification of a document that can be read; an empty one has none, which is normal."""
    found = (element for element in root.walk() if element.name == "NotificationMessage")
    for _, element in zip(range(NOTIFICATIONS_MAX), found, strict=False):
        topic, body = element.child("Topic"), element.find("Message", "Message")
        if topic is None or body is None or not topic.text.strip():
            continue
        said = body.attributes.get("UtcTime", "")
        yield Notification(
            topic=topic.text.strip()[:TEXT_CHARS_MAX],
            path=plain(topic)[:TEXT_CHARS_MAX],
            operation=body.attributes.get("PropertyOperation", ""),
            time=read_iso(said),
            time_text=said[:TEXT_CHARS_MAX],
            producer=(element.said("ProducerReference", "Address") or "")[:TEXT_CHARS_MAX],
            source=_items(body.child("Source")),
            key=_items(body.child("Key")),
            data=_items(body.child("Data")),
        )


def _items(parent: Element | None) -> dict[str, str]:
    items = [item.attributes for item in (parent.children if parent else ()) if item.name == "SimpleItem"]
    return {item.get("Name", "")[:TEXT_CHARS_MAX]: item.get("Value", "")[:TEXT_CHARS_MAX] for item in items[:ITEMS_MAX]}


def plain(topic: Element) -> str:
    """The topic's path with namespaces in place of prefixes."""
    known = {ONVIF_TOPICS: "", AXIS_TOPICS: "axis:"}
    segments = []
    for segment in topic.text.strip().split("/"):
        prefix, colon, name = segment.rpartition(":")
        space = topic.prefixes.get(prefix, {"tns1": ONVIF_TOPICS, "tnsaxis": AXIS_TOPICS}.get(prefix, prefix))
        segments.append(known.get(space, f"{{{space}}}") + name if colon else name)
    return "/".join(segments)


class _Json(Struct, frozen=True):
    """An event over MQTT."""

    UtcTime: str = ""
    Source: dict[str, Any] = {}
    Key: dict[str, Any] = {}
    Data: dict[str, Any] = {}


def read_json(topic: str, data: bytes) -> Notification | None:
    """An event over MQTT; None when it is none."""
    _, mark, written = topic.partition("/onvif-ej/")
    said = json_text.read_json(data, _Json)
    if said is None or not mark or not written:
        return None
    segments = [segment.removeprefix("tns1:").replace("tnsaxis:", "axis:") for segment in written.split("/")]
    return Notification(
        topic=written[:TEXT_CHARS_MAX],
        path="/".join(segments)[:TEXT_CHARS_MAX],
        time=read_iso(said.UtcTime),
        time_text=said.UtcTime[:TEXT_CHARS_MAX],
        source=_words(said.Source),
        key=_words(said.Key),
        data=_words(said.Data),
    )


def _words(items: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name, value in list(items.items())[:ITEMS_MAX]:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found[clean(name, TEXT_CHARS_MAX)] = clean(text, TEXT_CHARS_MAX)
    return found


# --- the pull point ------------------------------------------------------------------------------


class Subscription(Struct, frozen=True):
    """Its `address` as the device gave it, the `path` of that on the device, and for how long it lives unrenewed."""

    address: str
    path: str
    lasts: timedelta


def body_of(root: Element) -> Element | None:
    """What a SOAP envelope carries."""
    body = root.child("Body") if root.name == "Envelope" else None
    return body.children[0] if body and body.children else None


def read_subscription(answer: Element) -> Subscription | None:
    """Only the path of the address is used: a device must not send us, with our password, to another host."""
    address = answer.said("SubscriptionReference", "Address") or ""
    lasts = read_lasting(answer)
    found = ADDRESS.fullmatch(address)
    return Subscription(address, found[1], lasts) if found and lasts else None


def read_lasting(answer: Element) -> timedelta | None:
    """CurrentTime to TerminationTime, of a subscription or its renewal."""
    now, until = (read_iso(answer.said(name) or "") for name in ("CurrentTime", "TerminationTime"))
    return until - now if now and until and until > now else None


def read_device_time(answer: Element) -> datetime | None:
    """What GetSystemDateAndTime says, UTC."""
    date, time = (answer.find("SystemDateAndTime", "UTCDateTime", part) for part in ("Date", "Time"))
    if date is None or time is None:
        return None
    written = [date.said(part) or "" for part in ("Year", "Month", "Day")]
    written += [time.said(part) or "" for part in ("Hour", "Minute", "Second")]
    if not all(word.isascii() and word.isdecimal() and len(word) <= 4 for word in written):
        return None
    year, month, day, hour, minute, second = map(int, written)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def fault_of(answer: Element) -> str:
    """The innermost code of a SOAP fault, without its prefix; "" when it is none."""
    if answer.name != "Fault":
        return ""
    codes = [element.text.strip() for element in answer.walk() if element.name in ("Value", "faultcode")]
    named = [child.name for detail in answer.walk() if detail.name in ("Detail", "detail") for child in detail.children]
    return (named or codes or ["unknown"])[0 if named else -1].rpartition(":")[2][:TEXT_CHARS_MAX] or "unknown"


class Login(Struct, frozen=True):
    """WS-Security user name token. `created` is the device's time: more than seconds off, and it refuses."""

    user: str
    password: str
    nonce: bytes
    created: datetime

    def header(self) -> str:
        created = f"{self.created:%Y-%m-%dT%H:%M:%SZ}"
        proof = sha1(self.nonce + created.encode() + self.password.encode(), usedforsecurity=False).digest()
        return (
            f'<o:Security s:mustUnderstand="1" xmlns:o="{WSSE}"><o:UsernameToken>'
            f"<o:Username>{escaped(self.user)}</o:Username>"
            f'<o:Password Type="{TOKEN}#PasswordDigest">{b64encode(proof).decode()}</o:Password>'
            f'<o:Nonce EncodingType="{SOAP_SECURITY}#Base64Binary">{b64encode(self.nonce).decode()}</o:Nonce>'
            f'<u:Created xmlns:u="{WSU}">{created}</u:Created></o:UsernameToken></o:Security>'
        )


OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSSE, WSU = f"{OASIS}-wssecurity-secext-1.0.xsd", f"{OASIS}-wssecurity-utility-1.0.xsd"
TOKEN, SOAP_SECURITY = f"{OASIS}-username-token-profile-1.0", f"{OASIS}-soap-message-security-1.0"
WSNT = "http://docs.oasis-open.org/wsn/b-2"
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"

GET_TIME = f'<GetSystemDateAndTime xmlns="{DEVICE}"/>'
CREATE = (
    f'<CreatePullPointSubscription xmlns="{EVENTS}"><InitialTerminationTime>PT60S</InitialTerminationTime>'
    "</CreatePullPointSubscription>"
)
PULL = f'<PullMessages xmlns="{EVENTS}"><Timeout>PT30S</Timeout><MessageLimit>100</MessageLimit></PullMessages>'
RENEW = f'<Renew xmlns="{WSNT}"><TerminationTime>PT60S</TerminationTime></Renew>'
UNSUBSCRIBE = f'<Unsubscribe xmlns="{WSNT}"/>'
ACTIONS = {
    GET_TIME: f"{DEVICE}/GetSystemDateAndTime",
    CREATE: f"{EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
    PULL: f"{EVENTS}/PullPointSubscription/PullMessagesRequest",
    RENEW: f"{WSNT.removesuffix('b-2')}bw-2/SubscriptionManager/RenewRequest",
    UNSUBSCRIBE: f"{WSNT.removesuffix('b-2')}bw-2/SubscriptionManager/UnsubscribeRequest",
}


def envelope(body: str, to: str, login: Login | None) -> bytes:
    """A SOAP 1.2 request with WS-Addressing; `to` is the address of the subscription or service."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">'
        f'<s:Header><a:Action s:mustUnderstand="1">{ACTIONS[body]}</a:Action><a:To>{escaped(to)}</a:To>'
        f"{login.header() if login else ''}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
