"""Cameras behind Frigate: what its messages become. Bodies after Frigate's documentation, "Integrations: MQTT"."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from devices.families import frigate
from devices.family import CommandRefused, DeviceCommand, Everyone, Message
from devices.observation import Alarm, CommandAnswer, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import frigate_object as tracked


def session(**settings: Any) -> frigate.Session:
    return frigate.Session(msgspec.convert(settings, frigate.Settings), Everyone())


def message(path: str, body: Any, **headers: str) -> Message:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Message(f"frigate/{path}", data, headers)


def bodies(found: list[Result]) -> list[object]:
    return [result.body for result in found if isinstance(result, Observation)]


def review(phase: str, severity: str = "detection", **more: Any) -> Message:
    after = {
        "id": "1795523389.3-fqk5ka",
        "camera": "gate",
        "start_time": 1795523389.3,
        "end_time": None,
        "severity": severity,
        "data": {
            "detections": ["x"],
            "objects": ["person", "car"],
            "sub_labels": ["Bob"],
            "zones": ["ramp"],
            "audio": [],
        },
    }
    return message("reviews", {"type": phase, "before": after, "after": after | more})


def test_an_object_is_told_when_it_comes_moves_and_ends_and_nobody_is_named() -> None:
    link = session()
    [first] = link.receive(tracked("new"), NOW)
    assert isinstance(first, Observation)
    assert first.observed_at == datetime(2026, 11, 24, 12, 29, 50, 250000, tzinfo=UTC)
    assert first.body == Event(
        kind="tracked_object",
        attributes={
            "label": "person",
            "phase": "new",
            "zones": "ramp",
            "entered": "street, ramp",
            "object": "1795523389.1-mxklsc",
            "moving": "yes",
        },
    )
    assert link.receive(tracked("update", frame_time=1795523391), NOW) == []
    assert len(link.receive(tracked("update", current_zones=["street"]), NOW)) == 1
    [last] = link.receive(tracked("end", end_time=1795523395.5), NOW)
    assert isinstance(last, Observation)
    assert last.observed_at == datetime(2026, 11, 24, 12, 29, 55, 500000, tzinfo=UTC)
    assert link.receive(tracked("new", false_positive=True, id="2"), NOW) == []


def test_an_intrusion_lasts_until_the_last_of_them_is_gone() -> None:
    link = session(intrusion=[{"camera": "gate", "zone": "ramp"}])

    def alarms(sent: Message) -> list[object]:
        return [body for body in bodies(link.receive(sent, NOW)) if isinstance(body, Alarm)]

    raised = Alarm(kind="intrusion", component="ramp")
    assert alarms(tracked("new", current_zones=["street"])) == []
    assert alarms(tracked("update")) == [raised]
    assert alarms(tracked("update", stationary=True)) == []
    assert alarms(tracked("new", id="2")) == [raised]
    assert alarms(tracked("new", id="3", label="cat")) == []
    assert alarms(tracked("end")) == []
    assert alarms(tracked("update", id="2", current_zones=[])) == [
        Alarm(kind="intrusion", component="ramp", raised=False)
    ]


def test_a_frigate_that_starts_anew_has_lost_its_objects() -> None:
    link = session(intrusion=[{"camera": "gate", "zone": "ramp"}])
    link.receive(tracked("new", id="lost"), NOW)
    link.receive(message("available", "offline"), NOW)
    link.receive(tracked("new", id="2"), NOW)
    assert Alarm(kind="intrusion", component="ramp", raised=False) in bodies(link.receive(tracked("end", id="2"), NOW))


def test_a_review_is_told_when_it_begins_turns_to_an_alert_and_ends() -> None:
    link = session()
    found = [bodies(link.receive(sent, NOW)) for sent in (review("new"), review("update"), review("update", "alert"))]
    assert [len(told) for told in found] == [1, 0, 1]
    [event] = found[2]
    assert event == Event(
        kind="camera_review",
        attributes={
            "severity": "alert",
            "phase": "update",
            "labels": "person, car",
            "zones": "ramp",
            "review": "1795523389.3-fqk5ka",
        },
    )
    assert len(bodies(link.receive(review("end", "alert", end_time=1795523399.0), NOW))) == 1


@pytest.mark.parametrize("body", [{"type": "face", "name": "Bob"}, {"type": "lpr", "name": "Bob", "plate": "B123"}])
def test_who_was_recognised_is_not_kept(body: dict[str, Any]) -> None:
    link = session()
    link.receive(tracked("new"), NOW)
    sent = message(
        "tracked_object_update", body | {"id": "1795523389.1-mxklsc", "score": 0.951, "timestamp": 1795523390.0}
    )
    [event] = bodies(link.receive(sent, NOW))
    assert isinstance(event, Event)
    assert (event.kind, event.attributes["score"]) == ("detection", "0.95")
    assert "Bob" not in str(event)
    assert "B123" not in str(event)
    if body["type"] == "lpr":
        [event] = bodies(
            session(keep_plates=True).receive(message("tracked_object_update", body | {"camera": "gate"}), NOW)
        )
        assert isinstance(event, Event)
        assert event.attributes["plate"] == "B123"


@pytest.mark.parametrize("word", ["offline", "stopped"])
def test_frigate_away_is_lost_contact(word: str) -> None:
    link = session()
    [lost] = link.receive(message("available", word), NOW)
    assert isinstance(lost, Observation)
    assert (lost.device, lost.body) == ("frigate:frigate", Alarm(kind="lost_contact"))
    assert bodies(link.receive(message("available", "online"), NOW)) == [Alarm(kind="lost_contact", raised=False)]


def test_a_camera_without_picture() -> None:
    link = session()
    stats = message("stats", {"cameras": {"gate": {"camera_fps": 5.1}, "hall": {"camera_fps": 0.0}}, "service": {}})
    found = [(one.device, one.body) for one in link.receive(stats, NOW) if isinstance(one, Observation)]
    assert found == [
        ("frigate:frigate", Telemetry({})),
        ("frigate:gate", Alarm(kind="video_loss", raised=False)),
        ("frigate:gate", Telemetry({})),
        ("frigate:hall", Alarm(kind="video_loss")),
    ]
    assert len(link.receive(stats, NOW)) == 2
    assert bodies(link.receive(message("gate/status/detect", "offline"), NOW)) == [
        Alarm(kind="video_loss", component="detect")
    ]
    assert bodies(link.receive(message("gate/status/detect", "disabled"), NOW)) == [
        Event(kind="state", attributes={"detect": "disabled"})
    ]


def test_movement_sounds_and_counts() -> None:
    link = session(audio_alarms={"fire_alarm": "smoke"})
    assert bodies(link.receive(message("gate/motion", "ON"), NOW)) == [Event(kind="motion", attributes={"seen": "yes"})]
    assert bodies(link.receive(message("gate/motion", "ON"), NOW)) == []
    assert bodies(link.receive(message("gate/audio/scream", "ON"), NOW)) == [
        Event(kind="sound", attributes={"what": "scream"})
    ]
    assert bodies(link.receive(message("gate/audio/fire_alarm", "ON"), NOW)) == [
        Alarm(kind="smoke", component="microphone")
    ]
    assert bodies(link.receive(message("gate/person", "3"), NOW)) == [Telemetry({"people_count": 3})]
    for unread in (message("gate/person/snapshot", "jpeg"), message("gate/car", "1"), message("restart", "")):
        assert link.receive(unread, NOW) == []


def test_strangers() -> None:
    link = frigate.Session(frigate.Settings(), frozenset())
    [named] = link.receive(tracked("new"), NOW)
    assert isinstance(named, Rejected)
    assert (named.reason, named.device) == ("not enrolled", "frigate:gate")
    assert link.receive(message("street/person", "3"), NOW) == []  # a zone, as likely as a camera


def test_cameras_live_though_nobody_enrolled_frigate_itself() -> None:
    link = frigate.Session(frigate.Settings(), {"gate"})
    strange, *found = link.receive(message("stats", {"cameras": {"gate": {"camera_fps": 5.1}}, "service": {}}), NOW)
    assert isinstance(strange, Rejected) and (strange.reason, strange.device) == ("not enrolled", "frigate:frigate")
    assert bodies(found) == [Alarm(kind="video_loss", raised=False), Telemetry({})]


def test_switches_are_confirmed_by_their_state() -> None:
    link = session()
    link.command(DeviceCommand(nonce="n", native_id="gate", action="detect_off"), NOW)
    assert link.to_send() == [Message("frigate/gate/detect/set", b"OFF")]
    before = link.receive(message("gate/detect/state", "OFF", retained="1"), NOW)
    assert [one for one in before if isinstance(one, CommandAnswer)] == []
    assert link.receive(message("gate/detect/state", "OFF"), NOW) == [CommandAnswer(nonce="n", result="confirmed")]
    for native_id, action in (("gate", "detect_maybe"), ("gate", "reboot"), ("frigate", "detect_on")):
        with pytest.raises(CommandRefused):
            link.command(DeviceCommand(nonce="n", native_id=native_id, action=action), NOW)
    assert link.to_send() == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"prefix": "a/#"}, "prefix"),
        ({"audio_alarms": {"bark": "dog"}}, "audio_alarms"),
        ({"intrusion": [{}]}, "camera"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert(settings, frigate.Settings)
