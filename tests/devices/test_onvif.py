"""ONVIF: what notifications mean, and how a pull point is kept."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha1

import msgspec
import pytest

from devices.families import onvif, onvif_wire
from devices.families.onvif_topics import TOPICS
from devices.family import Everyone, Message
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from devices.xml_text import read_xml
from tests.devices.frames import NOW
from tests.devices.messages import onvif as message


def session(**settings: object) -> onvif.Session:
    return onvif.Session(msgspec.convert(settings, onvif.Settings), {"cam-7"})


def bodies(found: list[Result]) -> list[object]:
    assert all(isinstance(result, Observation) for result in found), found
    return [result.body for result in found if isinstance(result, Observation)]


def alarms(found: list[Result]) -> list[tuple[str, bool]]:
    return [(body.kind, body.raised) for body in bodies(found) if isinstance(body, Alarm)]


def events(found: list[Result]) -> list[tuple[str, dict[str, str]]]:
    return [(body.kind, body.attributes) for body in bodies(found) if isinstance(body, Event)]


@pytest.mark.parametrize(
    ("topic", "item", "kind"),
    [
        ("tns1:RuleEngine/FieldDetector/ObjectsInside", "IsInside", "intrusion"),
        ("tns1:RuleEngine/TamperDetector/Tamper", "State", "tamper"),
        ("tns1:RuleEngine/LoiteringDetector/X", "State", "loitering"),
        ("tns1:VideoSource/GlobalSceneChange/ImagingService", "State", "tamper"),
        ("tns1:VideoSource/SignalLoss", "State", "video_loss"),
        ("tns1:Device/Trigger/DigitalInput", "LogicalState", "input_active"),
        ("tns1:Device/a:IO/Port", "state", "input_active"),
        ("a:CameraApplicationPlatform/FenceGuard/Camera1Profile1", "active", "intrusion"),
        ("tns1:Device/HardwareFailure/StorageFailure", "Failed", "fault"),
    ],
)
def test_a_state_is_an_alarm_until_it_is_over(topic: str, item: str, kind: str) -> None:
    link = session()
    assert alarms(link.receive(message(topic, "Changed", **{item: "true"}), NOW)) == [(kind, True)]
    assert alarms(link.receive(message(topic, "Changed", **{item: "1"}), NOW)) == []
    assert alarms(link.receive(message(topic, "Changed", **{item: "inactive"}), NOW)) == [(kind, False)]
    assert alarms(link.receive(message(topic, "Changed", **{item: "OFF"}), NOW)) == []


def test_a_property_that_is_deleted_is_over() -> None:
    link = session()
    link.receive(message("tns1:RuleEngine/TamperDetector", "Changed", State="true"), NOW)
    assert alarms(link.receive(message("tns1:RuleEngine/TamperDetector", "Deleted"), NOW)) == [("tamper", False)]


def test_what_lasts_when_we_subscribe_is_raised_and_what_may_have_lasted_is_cleared() -> None:
    link = session()
    on = message("tns1:VideoSource/SignalLoss", "Initialized", State="true")
    off = message("tns1:RuleEngine/TamperDetector", "Initialized", State="false")
    assert alarms(link.receive(on, NOW)) == [("video_loss", True)]
    assert alarms(link.receive(off, NOW)) == [("tamper", False)]
    assert [link.receive(one, NOW) for one in (on, off)] == [[], []]  # subscribed again
    assert events(link.receive(message("tns1:VideoSource/MotionAlarm", "Initialized", State="true"), NOW)) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("DoorForcedOpen", {("door_forced", True), ("door_held_open", False)}),
        ("DoorOpenTooLong", {("door_forced", False), ("door_held_open", True)}),
        ("Normal", {("door_forced", False), ("door_held_open", False)}),
    ],
)
def test_door_alarms(state: str, expected: set[tuple[str, bool]]) -> None:
    assert set(alarms(session().receive(message("tns1:Door/State/DoorAlarm", "Changed", State=state), NOW))) == expected


@pytest.mark.parametrize(
    ("topic", "data", "kind", "attributes"),
    [
        ("AccessControl/AccessGranted/Credential", {}, "access", {"granted": "yes", "door": "door-1"}),
        ("AccessControl/AccessNotTaken/Anonymous", {}, "access", {"granted": "yes", "taken": "no", "door": "door-1"}),
        (
            "AccessControl/Denied/Credential",
            {"Reason": "Expired"},
            "access",
            {"granted": "no", "door": "door-1", "reason": "Expired"},
        ),
        ("Door/State/DoorPhysicalState", {"State": "Open"}, "door_opened", {}),
        ("Door/State/LockPhysicalState", {"State": "Locked"}, "locked", {}),
        ("Door/State/DoorMode", {"State": "LockedDown"}, "state", {"State": "LockedDown"}),
        ("RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"}, "motion", {"seen": "yes"}),
        ("Device/Trigger/Relay", {"LogicalState": "inactive"}, "output", {"state": "no"}),
        ("AudioAnalytics/Audio/DetectedSound", {"Class": "Gunshot"}, "sound", {}),
        ("PTZController/Move", {"is_moving": "1", "UserName": "Li"}, "state", {"is_moving": "1"}),
    ],
)
def test_events(topic: str, data: dict[str, str], kind: str, attributes: dict[str, str]) -> None:
    personal = {"CredentialToken": "4711", "CredentialHolderName": "Zhang San"}
    found = session().receive(message(f"tns1:{topic}", "Changed", **data, **personal), NOW)
    assert events(found) == [(kind, attributes)]
    assert b"4711" not in msgspec.json.encode(found)
    assert b"Zhang" not in msgspec.json.encode(found)


def test_a_momentary_event_is_news_every_time() -> None:
    link = session()
    crossed = message("tns1:RuleEngine/LineDetector/Crossed", ObjectId="0")
    assert [alarms(link.receive(crossed, NOW)) for _ in range(2)] == [[("intrusion", True)]] * 2


def test_topics_are_compared_by_namespace() -> None:
    axis = message("a:RuleEngine/TamperDetector", "Changed", State="true")  # Axis' own RuleEngine is another
    assert events(session().receive(axis, NOW)) == [("state", {"State": "true"})]
    renamed = Message("", message("x:RuleEngine/TamperDetector", "Changed", State="1").data.replace(b":tns1=", b":x="))
    assert alarms(session().receive(renamed, NOW)) == [("tamper", True)]


def test_mqtt_carries_the_same() -> None:
    link = session(device="cam-7")
    body = b'{"UtcTime":"2026-11-24T12:29:50Z","Source":{"Token":"1"},"Data":{"State":%s}}'
    channel = "site/onvif-ej/RuleEngine/TamperDetector/Tamper"
    assert alarms(link.receive(Message(channel, body % b"true"), NOW)) == [("tamper", True)]
    assert alarms(link.receive(Message(channel, body % b"false"), NOW)) == [("tamper", False)]
    for broken in (b"[]", b"", b"[" * 50_000):
        assert isinstance(link.receive(Message(channel, broken), NOW)[0], Rejected)
    asking = session(device="cam-7", event_path="/onvif/event_service")
    asking.receive(Message(channel, body % b"true"), NOW)
    assert asking.to_send() == [], "nobody answers on a broker: it would be published"


def test_wishes_and_empty_documents() -> None:
    empty = Message("", b'<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"/>')
    assert session().receive(empty, NOW) == []
    unwanted = message("tns1:RuleEngine/LineDetector/Crossed")
    assert session(ignore=["RuleEngine/LineDetector"]).receive(unwanted, NOW) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b"<a>" * 40 + b"</a>" * 40,
        b"<a>" + b"<b/>" * 20_001 + b"</a>",
        b"<a>" + b" " * onvif_wire.MESSAGE_BYTES_MAX + b"</a>",
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><a/>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="gb2312"?><a>\xb5\xc4</a>',
    ],
)
def test_documents_that_are_refused(data: bytes) -> None:
    [result] = session().receive(Message("", data), NOW)
    assert isinstance(result, Rejected)
    assert result.reason == "document unreadable"


# --- the pull point ---

ADDRESS = "http://192.0.2.7/onvif/Subscription?Idx=3"


def answer(body: str) -> Message:
    envelope = f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{body}</s:Body></s:Envelope>'
    return Message("POST /", envelope.encode())


TIME = (
    "<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Time><Hour>12</Hour><Minute>0</Minute>"
    "<Second>5</Second></Time><Date><Year>2026</Year><Month>11</Month><Day>24</Day></Date></UTCDateTime>"
    "</SystemDateAndTime></GetSystemDateAndTimeResponse>"
)
LASTS = "<CurrentTime>2026-11-24T12:00:05Z</CurrentTime><TerminationTime>2026-11-24T12:01:05Z</TerminationTime>"
CREATED = (
    f"<CreatePullPointSubscriptionResponse><SubscriptionReference><Address>{ADDRESS}</Address>"
    f"</SubscriptionReference>{LASTS}</CreatePullPointSubscriptionResponse>"
)


def sent(link: onvif.Session) -> list[tuple[str, str]]:
    """(channel, name of the request) of what waits."""
    found = []
    for request in link.to_send():
        root = read_xml(request.data, 10_000)
        body = onvif_wire.body_of(root) if root else None
        found.append((request.channel, body.name if body else ""))
    return found


def subscribed() -> onvif.Session:
    link = session(device="cam-7", event_path="/onvif/event_service")
    for body in (TIME, CREATED):
        link.receive(answer(body), NOW)
    return link


def test_a_pull_point_is_made_pulled_and_renewed() -> None:
    link = session(device="cam-7", event_path="/onvif/event_service")
    assert sent(link) == [("POST /onvif/device_service", "GetSystemDateAndTime")]
    link.receive(answer(TIME), NOW)
    assert sent(link) == [("POST /onvif/event_service", "CreatePullPointSubscription")]
    link.receive(answer(CREATED), NOW)
    pull = ("POST /onvif/Subscription?Idx=3", "PullMessages")
    assert sent(link) == [pull]
    assert bodies(link.receive(answer("<PullMessagesResponse/>"), NOW)) == [Telemetry({})]
    assert sent(link) == [pull]
    link.receive(answer("<PullMessagesResponse/>"), NOW + timedelta(seconds=31))
    assert sent(link) == [("POST /onvif/Subscription?Idx=3", "Renew"), pull]


def test_notifications_come_out_of_a_pull() -> None:
    link = subscribed()
    event = message("tns1:RuleEngine/TamperDetector", "Changed", State="true").data.decode()
    found = link.receive(answer(f"<PullMessagesResponse>{event}</PullMessagesResponse>"), NOW)
    assert alarms(found) == [("tamper", True)]


def test_a_device_cannot_send_us_to_another_host() -> None:
    link = session(event_path="/e")
    link.receive(answer(CREATED.replace("192.0.2.7", "203.0.113.9")), NOW)
    assert {channel for channel, _ in sent(link)} == {"POST /onvif/device_service", "POST /onvif/Subscription?Idx=3"}
    for address in ("ftp://x/y", "http://x/a b", "", "http://host"):
        [result] = session(event_path="/e").receive(answer(CREATED.replace(ADDRESS, address)), NOW)
        assert isinstance(result, Rejected)


def test_a_forgotten_subscription_is_made_again_and_a_wrong_password_is_not_tried_again() -> None:
    link = subscribed()
    link.to_send()
    gone = "<Fault><Code><Value>s:Sender</Value></Code><Detail><ResourceUnknownFault/></Detail></Fault>"
    link.receive(answer(gone), NOW)
    assert sent(link) == [("POST /onvif/event_service", "CreatePullPointSubscription")]
    subcode = "<Subcode><Value>ter:NotAuthorized</Value></Subcode>"
    [result] = link.receive(answer(f"<Fault><Code><Value>s:Sender</Value>{subcode}</Code></Fault>"), NOW)
    assert isinstance(result, Rejected)
    assert result.reason == "refused by the device"
    assert sent(link) == []


def test_the_password_is_proved_with_the_devices_time() -> None:
    link = session(device="cam-7", event_path="/e", user="<gw>", password="secret")
    link.to_send()
    link.receive(answer(TIME), NOW)
    [first] = link.to_send()
    root = read_xml(first.data, 10_000)
    assert root is not None
    assert root.said("Header", "Security", "UsernameToken", "Username") == "<gw>"
    said = [root.said("Header", "Security", "UsernameToken", name) or "" for name in ("Nonce", "Created", "Password")]
    assert said[1] == "2026-11-24T12:00:05Z"
    proof = sha1(b64decode(said[0]) + said[1].encode() + b"secret", usedforsecurity=False).digest()
    assert b64decode(said[2]) == proof
    link.receive(answer(TIME), NOW)
    [second] = link.to_send()
    assert said[0].encode() not in second.data  # a nonce serves once


def test_impossible_times_are_replaced_and_flagged() -> None:
    stale = Message("", message("tns1:AccessControl/Duress").data.replace(b"2026-11", b"2019-11"))
    [found] = session().receive(stale, NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags, found.body) == (
        NOW,
        ("time_invalid",),
        Alarm(kind="duress", component="AccessControl/Duress DoorToken=door-1"),
    )
    [fresh] = session().receive(message("tns1:AccessControl/Duress"), NOW)
    assert isinstance(fresh, Observation)
    assert fresh.observed_at == datetime(2026, 11, 24, 12, 29, 50, 500_000, tzinfo=UTC)


def test_every_topic_of_the_table_makes_something() -> None:
    for path in TOPICS:
        topic = "/".join(f"a:{part[5:]}" if part.startswith("axis:") else part for part in path.split("/"))
        topic = topic if topic.startswith("a:") else f"tns1:{topic}"
        known = {"State": next(iter([*TOPICS[path].values, *TOPICS[path].kinds]), "true")}
        link = onvif.Session(onvif.Settings(), Everyone())
        assert bodies(link.receive(message(topic, "Changed", **known), NOW)), path
