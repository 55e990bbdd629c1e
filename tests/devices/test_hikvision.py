"""Hikvision: what the events of alertStream mean."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from devices.dictionary import ALARMS as KNOWN_ALARMS
from devices.dictionary import EVENTS as KNOWN_EVENTS
from devices.families import hikvision, hikvision_push, hikvision_wire
from devices.families.hikvision_codes import ALARMS, CODES, EVENTS
from devices.family import Message
from devices.observation import BACKLOG, Alarm, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW, part
from tests.devices.messages import HIKVISION_FORCED

MAC = "88:de:39:5d:b5:e1"
OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)
SECOND = timedelta(seconds=1)
XML = (
    '<?xml version="1.0" encoding="UTF-8"?><EventNotificationAlert version="2.0" xmlns="http://www.hikvision.com/ver20/'
    'XMLSchema"><ipAddress>192.0.2.10</ipAddress><macAddress>{mac}</macAddress><channelID>{channel}</channelID>'
    "<dateTime>2026-11-24T20:29:50+08:00</dateTime><activePostCount>1</activePostCount><eventType>{type}</eventType>"
    "<eventState>{state}</eventState><channelName>North gate</channelName>{more}</EventNotificationAlert>"
)


def session(**settings: object) -> hikvision.Session:
    return hikvision.Session(msgspec.convert(settings, hikvision.Settings), {MAC, "192.0.2.10", "unnamed"})


def bodies(found: list[Result]) -> list[object]:
    assert all(isinstance(result, Observation) for result in found), found
    return [result.body for result in found if isinstance(result, Observation)]


def camera(kind: str, state: str = "active", mac: str = MAC, channel: int = 1, more: str = "") -> bytes:
    return part(XML.format(type=kind, state=state, mac=mac, channel=channel, more=more), "application/xml")


def terminal(**fields: Any) -> bytes:
    event = json.loads(HIKVISION_FORCED)
    event["AccessControllerEvent"] |= fields
    return part(json.dumps(event), "application/json")


@pytest.mark.parametrize(
    ("kind", "alarm"),
    [
        ("firedetection", "fire"),
        ("smokeDetection", "smoke"),
        ("TMA", "heat"),
        ("fielddetection", "intrusion"),
        ("linedetection", "intrusion"),
        ("shelteralarm", "tamper"),
        ("tamperdetection", "tamper"),
        ("unattendedBaggage", "left_object"),
        ("diskfull", "fault"),
        ("videoloss", "video_loss"),
    ],
)
def test_a_condition_is_raised_once_and_cleared_once(kind: str, alarm: str) -> None:
    link = session()
    [raised] = bodies(link.receive(camera(kind), NOW))
    assert isinstance(raised, Alarm)
    assert (raised.kind, raised.raised, raised.description) == (alarm, True, "North gate")
    assert bodies(link.receive(camera(kind), NOW + SECOND)) == []
    over = [body for body in bodies(link.receive(camera(kind, "inactive"), NOW)) if isinstance(body, Alarm)]
    assert [(body.kind, body.raised, body.component) for body in over] == [(alarm, False, raised.component)]


def test_what_is_not_repeated_is_over_but_for_fire() -> None:
    link = session()
    link.receive(camera("fielddetection") + camera("firedetection") + camera("VMD"), NOW)
    assert link.receive(camera("fielddetection"), NOW + 9 * SECOND) == []
    over = bodies(link.idle(NOW + 15 * SECOND))
    assert over == [Event(kind="motion", component="motiondetection 1", attributes={"seen": "no"})]
    later = bodies(link.receive(camera("videoloss", "inactive"), NOW + 20 * SECOND))
    assert later == [Telemetry({}), Alarm(kind="intrusion", raised=False, component="fielddetection 1")]
    assert bodies(link.idle(NOW + timedelta(hours=1))) == []
    assert bodies(link.receive(camera("firedetection", "inactive"), NOW)) == [
        Alarm(kind="fire", raised=False, component="firedetection 1")
    ]


def test_the_heartbeat_is_no_alarm() -> None:
    [found] = session().receive(camera("videoloss", "inactive"), NOW)
    assert isinstance(found, Observation)
    assert (found.body, found.frame_id) == (Telemetry({}), "")


def test_a_duration_is_about_what_it_relates_to() -> None:
    many = "".join(f"<Duration><relationEvent>{one}</relationEvent></Duration>" for one in ("fielddetection", "VMD"))
    found = bodies(session().receive(camera("duration", more=f"<DurationList>{many}</DurationList>"), NOW))
    assert [body.kind for body in found if isinstance(body, Alarm | Event)] == ["intrusion", "motion"]


def test_regions_targets_inputs_and_channels() -> None:
    region = (
        "<DetectionRegionList><DetectionRegionEntry><regionID>3</regionID><detectionTarget>human</detectionTarget>"
        "</DetectionRegionEntry></DetectionRegionList>"
    )
    [alarm] = bodies(session(channel_offset=32).receive(camera("fielddetection", channel=34, more=region), NOW))
    assert alarm == Alarm(kind="intrusion", component="fielddetection 2", description="region 3, human, North gate")
    [wired] = bodies(session().receive(camera("IO", more="<inputIOPortID>2</inputIOPortID>"), NOW))
    assert wired == Alarm(kind="input_active", component="input 2", description="North gate")


def test_a_target_may_stand_in_the_event_itself() -> None:
    found = bodies(session().receive(camera("VMD", more="<targetType>Human</targetType>"), NOW))
    assert found == [Event(kind="motion", component="motiondetection 1", attributes={"seen": "yes", "object": "human"})]


def test_devices_behind_one_address_are_told_apart() -> None:
    link = session()
    found = link.receive(camera("IO", mac="AA-BB-CC-DD-EE-FF") + camera("IO", mac="00:00:00:00:00:00"), NOW)
    assert isinstance(found[0], Rejected)
    assert found[0].device == "hikvision:aa:bb:cc:dd:ee:ff"
    assert isinstance(found[1], Observation)
    assert found[1].device == "hikvision:192.0.2.10"


def test_what_is_shown_of_a_stranger_names_nobody() -> None:
    event = {"AccessControllerEvent": {"name": "Zhang", "cardNo": "4711", "majorEventType": 5, "subEventType": 1}}
    [stranger] = hikvision.Session(hikvision.Settings(), set()).receive(
        part(json.dumps(event), "application/json"), NOW
    )
    assert isinstance(stranger, Rejected)
    assert (stranger.device, stranger.frame) == ("hikvision:unnamed", b"AccessControllerEvent")


# --- pushed ---

PICTURE = b"\xff\xd8\r\n--\xff\xd9"
FORM = (
    b'--MIME_boundary\r\nContent-Disposition: form-data; name="AccessControllerEvent"\r\nContent-Type: application/json'
    b'\r\n\r\n%b\r\n--MIME_boundary\r\nContent-Disposition: form-data; name="Picture"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n%b\r\n--MIME_boundary--\r\n"
)


def push(data: bytes, kind: str) -> list[Result]:
    link = hikvision_push.Session(hikvision.Settings(), {MAC})
    return link.receive(Message("POST /events", data, {"content-type": kind}), NOW)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (HIKVISION_FORCED.encode(), "application/json"),
        (FORM % (HIKVISION_FORCED.encode(), PICTURE), "multipart/form-data; boundary=MIME_boundary"),
        (FORM % (HIKVISION_FORCED.encode(), PICTURE * 50_000), ""),
    ],
)
def test_what_is_pushed_means_the_same(data: bytes, kind: str) -> None:
    [found] = push(data, kind)
    assert isinstance(found, Observation)
    assert found.device == f"hikvision_push:{MAC}"
    assert found.body == Alarm(kind="door_forced", component="door 2")


def test_a_push_without_an_event_is_rejected() -> None:
    for data in (b"", b"--MIME_boundary\r\n", FORM[FORM.index(b"%b\r\n") + 4 :] % PICTURE):
        [found] = push(data, "multipart/form-data")
        assert isinstance(found, Rejected)


# --- door terminals ---


@pytest.mark.parametrize(
    ("major", "minor", "kind"),
    [
        (5, 27, "door_forced"),
        (5, 28, "door_held_open"),
        (1, 0x404, "tamper"),
        (1, 0x40A, "duress"),
        (1, 0x418, "manual_call_point"),
        (1, 0x41C, "sos"),
        (1, 0x424, "fire"),
        (1, 0x999, "unspecified_alarm"),
    ],
)
def test_alarms_of_a_door(major: int, minor: int, kind: str) -> None:
    link = session()
    event = terminal(majorEventType=major, subEventType=minor)
    for _ in range(2):
        assert bodies(link.receive(event, NOW)) == [Alarm(kind=kind, component="door 2")]


def test_a_closed_door_clears_its_alarms_once() -> None:
    link = session()
    closed = terminal(subEventType=26)
    link.receive(terminal(), NOW)
    first, again = (bodies(link.receive(closed, NOW)) for _ in range(2))
    assert Alarm(kind="door_forced", raised=False, component="door 2") in first
    assert Alarm(kind="door_held_open", raised=False, component="door 2") in first
    assert again == [Event(kind="door_closed", component="door 2")]


@pytest.mark.parametrize(
    ("minor", "attributes"),
    [
        (1, {"granted": "yes", "credential": "card"}),
        (75, {"granted": "yes", "credential": "face"}),
        (38, {"granted": "yes", "credential": "fingerprint"}),
        (8, {"granted": "no", "credential": "card", "reason": "expired"}),
        (76, {"granted": "no", "credential": "face", "reason": "not recognised"}),
    ],
)
def test_passages_do_not_name_anyone(minor: int, attributes: dict[str, str]) -> None:
    found = session().receive(terminal(subEventType=minor, employeeNoString="E-77", attendanceStatus="checkIn"), NOW)
    expected = Event(kind="access", component="door 2", attributes={**attributes, "door": "2", "direction": "in"})
    assert bodies(found) == [expected]
    assert not [word for word in (b"E-77", b"4711", b"Zhang") if word in msgspec.json.encode(found)]


def test_an_operation_is_no_passage_and_unknown_codes_keep_their_numbers() -> None:
    for major, minor in ((3, 121), (2, 39), (5, 999)):
        found = bodies(session().receive(terminal(majorEventType=major, subEventType=minor), NOW))
        written = {"type": f"{major}/{minor}"}
        assert found == [Event(kind="unknown_report", component="door 2", attributes=written)]


def test_codes_that_are_missing_make_no_passage() -> None:
    [result] = session().receive(terminal(subEventType=None), NOW)
    assert isinstance(result, Rejected)
    assert result.reason == "codes missing"
    [empty] = session().receive(part('{"eventType":"AccessControllerEvent"}', "application/json"), NOW)
    assert isinstance(empty, Rejected)
    nobody = {"majorEventType": None, "subEventType": None, "employeeNoString": None}
    [unnamed] = session().receive(terminal(**nobody, attendanceStatus="checkOut"), NOW)
    assert isinstance(unnamed, Rejected)
    attendance = terminal(**{**nobody, "employeeNoString": "E-77"}, attendanceStatus="checkOut")
    assert bodies(session().receive(attendance, NOW)) == [
        Event(kind="access", component="door 2", attributes={"granted": "undecided", "door": "2", "direction": "out"})
    ]


def test_the_type_may_be_missing_but_not_another() -> None:
    event = json.loads(HIKVISION_FORCED)
    del event["eventType"]
    assert bodies(session().receive(part(json.dumps(event), "application/json"), NOW)) == [
        Alarm(kind="door_forced", component="door 2")
    ]
    event["eventType"] = "CertificateCaptureEvent"
    [result] = session().receive(part(json.dumps(event), "application/json"), NOW)
    assert isinstance(result, Rejected)


def test_a_record_that_is_sent_again_has_the_same_name() -> None:
    [live] = session().receive(terminal(), NOW)
    [again] = session().receive(terminal(currentEvent=False), NOW + timedelta(days=2))
    [other] = session().receive(terminal(serialNo=180), NOW)
    assert isinstance(live, Observation)
    assert isinstance(again, Observation)
    assert isinstance(other, Observation)
    assert live.frame_id == again.frame_id != other.frame_id
    assert (live.observed_at, live.flags) == (OBSERVED, ())
    assert (again.observed_at, again.flags) == (OBSERVED, (BACKLOG,))


def test_times_without_offset_are_local() -> None:
    local = part(HIKVISION_FORCED.replace("+08:00", ""), "application/json")
    [found] = session().receive(local, NOW)
    assert isinstance(found, Observation)
    assert found.observed_at == OBSERVED
    [utc] = session(time_zone="UTC").receive(local, NOW)
    assert isinstance(utc, Observation)
    assert (utc.observed_at, utc.flags) == (NOW, ("time_invalid",))


def test_pictures_are_dropped_and_the_event_does_not_wait_for_them() -> None:
    link = session()
    event = terminal(subEventType=75, picturesNumber=1)
    assert len(bodies(link.receive(event, NOW))) == 1
    picture = b"--myboundary\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n" + b"\xff\xd8" * 50_000
    assert link.receive(picture, NOW) == []
    assert len(bodies(link.receive(b"\r\n" + event, NOW))) == 1


@pytest.mark.parametrize("body", ["", "{}", "[]", "<a/>", "<EventNotificationAlert/>", "[" * 9_000])
def test_what_is_no_event_is_rejected(body: str) -> None:
    found = session().receive(part(body, "application/json") + terminal(), NOW)
    assert [type(result) for result in found] == [Rejected, Observation]
    assert hikvision_wire.read_alert(b"") is None


def test_tables_keep_to_the_dictionary() -> None:
    kinds = {kind for code in CODES.values() for kind in (code.alarm, *code.clears) if kind}
    assert kinds | set(ALARMS.values()) <= set(KNOWN_ALARMS)
    happenings = {code.event for code in CODES.values() if code.event}
    assert happenings | {kind for kind, _ in EVENTS.values()} <= set(KNOWN_EVENTS)
