"""GA/T 1400: who is let in, what is answered, and what objects mean."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from devices.families import gat1400, gat1400_wire
from devices.family import Message
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import NOW
from tests.devices.messages import GATE, MATCH, viid_list
from tests.devices.messages import gat1400 as post
from tests.vector_sets.gat1400 import log_in

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)
REGISTER = post("System/Register", {"RegisterObject": {"DeviceID": GATE}})
FACE: dict[str, Any] = {
    "FaceID": f"{GATE}0120261124202950000010600001",
    "DeviceID": "33010200001190000002",
    "ShotTime": "20261124202950",
    "LeftTopX": 10,
    "LeftTopY": "20",
    "RightBtmX": 110,
    "RightBtmY": 220,
    "Name": "Zhang",
    "IDNumber": "330102190001010000",
    "SubImageList": {"SubImageInfoObject": [{"Type": "11", "Data": "/9j/4AAQ"}, {"Type": "14"}]},
}


def session(**settings: object) -> gat1400.Session:
    return gat1400.Session(msgspec.convert({"passwords": {"camera": "secret"}} | settings, gat1400.Settings), {GATE})


def open_door() -> gat1400.Session:
    return session(no_digest=True)


def bodies(found: list[Result]) -> list[object]:
    assert all(isinstance(result, Observation) for result in found), found
    return [result.body for result in found if isinstance(result, Observation)]


def status(link: gat1400.Session) -> int:
    [answer] = link.to_send()
    return int(answer.headers.get("status", "200"))


def challenged(link: gat1400.Session, now: datetime = NOW) -> str:
    """What a first request is answered."""
    [refused] = link.receive(REGISTER, now)
    assert isinstance(refused, Rejected)
    [answer] = link.to_send()
    assert answer.headers["status"] == "401"
    return answer.headers["www-authenticate"]


def with_login(authorization: str, message: Message = REGISTER) -> Message:
    return Message(message.channel, message.data, {**message.headers, "authorization": authorization})


# --- who is let in ---


def test_a_device_registers_with_digest_and_is_known_then() -> None:
    link = session()
    assert bodies(link.receive(with_login(log_in(REGISTER, challenged(link))), NOW)) == [Event(kind="registered")]
    [answer] = link.to_send()
    said = json.loads(answer.data)["ResponseStatusObject"]
    assert (said["Id"], said["StatusCode"], said["LocalTime"]) == (GATE, 0, "20261124203000")
    alive = post("System/Keepalive", {"KeepaliveObject": {"DeviceID": GATE}})
    assert bodies(link.receive(alive, NOW + timedelta(seconds=80))) == [Telemetry({})]
    assert status(link) == 200
    assert len(bodies(link.receive(post("Faces", viid_list("Face", FACE)), NOW + timedelta(seconds=90)))) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.replace("response=", "response=0"),
        lambda said: said.replace('username="camera"', 'username="another"'),
        lambda said: said.replace("/VIID/System/Register", "/VIID/Faces"),
        lambda said: said.replace("nc=", "nc=x"),
        lambda said: "Basic Y2FtZXJhOnNlY3JldA==",
        lambda said: "",
    ],
)
def test_a_wrong_login_is_refused(spoil: Any) -> None:
    link = session()
    authorization = spoil(log_in(REGISTER, challenged(link)))
    [refused] = link.receive(with_login(authorization), NOW)
    assert isinstance(refused, Rejected)
    assert refused.reason == "login refused"
    assert status(link) == 401


def test_a_wrong_password_is_refused_and_no_password_lets_nobody_in() -> None:
    link = session()
    link.receive(with_login(log_in(REGISTER, challenged(link), "wrong")), NOW)
    assert status(link) == 401
    nobody = session(passwords={})
    nobody.receive(with_login(log_in(REGISTER, challenged(nobody), "")), NOW)
    assert status(nobody) == 401


def test_a_login_serves_once_and_not_after_a_restart_nor_late() -> None:
    link = session()
    login = with_login(log_in(REGISTER, challenged(link)))
    link.receive(login, NOW)
    link.to_send()
    link.receive(login, NOW)
    assert status(link) == 401
    late, restarted = session(), session()
    old = with_login(log_in(REGISTER, challenged(late)))
    late.receive(old, NOW + timedelta(minutes=6))
    assert status(late) == 401
    restarted.receive(old, NOW + timedelta(seconds=5))
    assert status(restarted) == 401


def test_a_forged_nonce_is_refused() -> None:
    link = session()
    challenge = challenged(link)
    nonce = gat1400_wire.read_credentials(challenge)["nonce"]
    made, count, proof = nonce.split("-")
    link.receive(with_login(log_in(REGISTER, challenge.replace(nonce, f"{made}-{int(count) + 1}-{proof}"))), NOW)
    assert status(link) == 401


def test_a_session_ends_with_three_keepalives_missed_and_with_unregister() -> None:
    link = session()
    for end in (lambda: NOW + timedelta(seconds=271), lambda: NOW):
        link.receive(with_login(log_in(REGISTER, challenged(link))), NOW)
        if end() == NOW:
            link.receive(post("System/UnRegister", {"UnRegisterObject": {"DeviceID": GATE}}), NOW)
        link.to_send()
        [refused] = link.receive(post("Faces", viid_list("Face", FACE)), end())
        assert isinstance(refused, Rejected)
        assert refused.reason == "not registered"
        assert status(link) == 401


def test_a_stranger_is_named_and_refused_before_any_login() -> None:
    link = session()
    [stranger] = link.receive(post("Faces", viid_list("Face", FACE), device="33010200001190000009"), NOW)
    assert isinstance(stranger, Rejected)
    assert (stranger.reason, stranger.device) == ("not enrolled", "gat1400:33010200001190000009")
    assert status(link) == 403


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Message("POST /VIID/Faces", b"{"), 400),
        (Message("POST /VIID/Faces", b"[" * 50_000), 400),
        (Message("GET /VIID/APEs", b""), 400),
        (Message("POST /VIID/Faces", b"{}"), 400),
        (post("Faces", {"PersonListObject": {}}), 400),
        (post("Nothing", {}), 404),
    ],
)
def test_what_is_answered_to_nonsense(message: Message, expected: int) -> None:
    link = open_door()
    [refused] = link.receive(message, NOW)
    assert isinstance(refused, Rejected)
    assert status(link) == expected


# --- what is it ---


def test_a_face_is_a_detection_without_the_person() -> None:
    link = open_door()
    [found] = link.receive(post("Faces", viid_list("Face", FACE)), NOW)
    assert isinstance(found, Observation)
    attributes = {"object": "face", "pictures": "2", "box": "10,20,110,220"}
    assert found.body == Event(kind="detection", component="33010200001190000002", attributes=attributes)
    assert (found.device, found.observed_at, found.flags) == (f"gat1400:{GATE}", OBSERVED, ())
    assert not [word for word in (b"Zhang", b"330102190001010000", b"/9j/") if word in msgspec.json.encode(found)]


@pytest.mark.parametrize(
    "kind", [kind for kind in gat1400_wire.KINDS if kind.object in ("person", "vehicle", "bicycle")]
)
def test_every_object_is_answered(kind: gat1400_wire.Kind) -> None:
    link = open_door()
    objects = [{kind.id: f"{number}", "PlateNo": "浙A12345", "PassTime": "20261124202950"} for number in range(3)]
    message = post(kind.path.removeprefix("/VIID/"), viid_list(kind.name, *objects))
    found = link.receive(message, NOW)
    assert [body.attributes["object"] for body in bodies(found) if isinstance(body, Event)] == [kind.object] * 3
    assert len({one.frame_id for one in found if isinstance(one, Observation)}) == 3
    assert "12345" not in msgspec.json.encode(found).decode()
    [answer] = link.to_send()
    said = json.loads(answer.data)["ResponseStatusListObject"]["ResponseStatusObject"]
    assert [(one["Id"], one["RequestURL"], one["StatusCode"]) for one in said] == [
        (number, kind.path, 0) for number in ("0", "1", "2")
    ]


def test_someone_on_a_watchlist_is_an_alarm() -> None:
    link = open_door()
    message = post("DispositionNotifications", viid_list("DispositionNotification", MATCH))
    found = link.receive(message, NOW)
    assert bodies(found) == [Alarm(kind="watchlist_match")]
    assert b"Zhang" not in msgspec.json.encode(found)


def test_subscriptions_bring_objects_in_notifications() -> None:
    link = open_door()
    notification = {"NotificationID": "n-1", "FaceObjectList": {"FaceObject": [FACE]}}
    message = post("SubscribeNotifications", viid_list("SubscribeNotification", notification))
    assert [body.kind for body in bodies(link.receive(message, NOW)) if isinstance(body, Event)] == ["detection"]
    [answer] = link.to_send()
    assert json.loads(answer.data)["ResponseStatusListObject"]["ResponseStatusObject"][0]["Id"] == "n-1"


def test_pictures_alone_are_answered_and_not_kept() -> None:
    link = open_door()
    for name, id_ in (("Image", "ImageID"), ("APE", "ApeID")):
        assert bodies(link.receive(post(f"{name}s", viid_list(name, {id_: "i"})), NOW)) == [Telemetry({})]
        assert status(link) == 200


@pytest.mark.parametrize("time", ["", "20261324202950", "2026-11-24", "19990101000000", "99991231235959"])
def test_impossible_times_are_replaced_and_flagged(time: str) -> None:
    [found] = open_door().receive(post("Faces", viid_list("Face", FACE | {"ShotTime": time})), NOW)
    assert isinstance(found, Observation)
    assert (found.observed_at, found.flags) == (NOW, ("time_invalid",))


def test_the_time_is_told_to_anyone() -> None:
    link = session()
    assert link.receive(Message("GET /VIID/System/Time", b""), NOW) == []
    [answer] = link.to_send()
    said = json.loads(answer.data)["SystemTimeObject"]
    assert (said["LocalTime"], said["TimeZone"]) == ("20261124203000", "Asia/Shanghai")


def test_answers_that_nobody_fetches_do_not_pile_up() -> None:
    link = open_door()
    for _ in range(gat1400.ANSWERS_MAX + 20):
        link.receive(Message("POST /", b""), NOW)
    assert len(link.to_send()) == gat1400.ANSWERS_MAX
