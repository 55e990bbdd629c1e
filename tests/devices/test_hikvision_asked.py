"""Hikvision: what a session asks its device beside the stream, and what it makes of the answers."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from devices.families import hikvision, hikvision_isapi
from devices.families.hikvision_asked import PAGES_MAX
from devices.family import CommandRefused, DeviceCommand, Message
from devices.observation import BACKLOG, Alarm, CommandAnswer, Event, Observation, Result
from edge.config import Actuate, Rule, When
from edge.rules import acts
from tests.devices.frames import NOW, part
from tests.devices.messages import HIKVISION_FORCED

MAC = "88:de:39:5d:b5:e1"
WHO = b"<DeviceInfo><deviceName>Gate</deviceName><macAddress>88:DE:39:5D:B5:E1</macAddress></DeviceInfo>"
FORCED = {"major": 5, "minor": 27, "time": "2026-11-24T20:29:50+08:00", "doorNo": 2, "serialNo": 179, "name": "Zhang"}
OK = b"<ResponseStatus><statusCode>1</statusCode><statusString>OK</statusString></ResponseStatus>"
BUSY = b'{"statusCode":2,"statusString":"Device Busy","subStatusCode":"deviceBusy"}'


def session(**settings: object) -> hikvision.Session:
    return hikvision.Session(msgspec.convert(settings, hikvision.Settings), {MAC})


def begun(**settings: object) -> tuple[hikvision.Session, list[Message]]:
    """A session whose device has said who it is, and what it asks then."""
    link = session(**settings)
    link.begin(NOW)
    assert link.requests() == [hikvision_isapi.WHO]
    assert link.answered(hikvision_isapi.WHO, Message("", WHO, {"status": "200"}), NOW) == []
    return link, link.requests()


def page(*records: dict[str, Any], status: str = "OK") -> Message:
    found = {"AcsEvent": {"responseStatusStrg": status, "numOfMatches": len(records), "InfoList": list(records)}}
    return Message("", json.dumps(found).encode(), {"status": "200"})


def condition(request: Message) -> dict[str, Any]:
    return dict(json.loads(request.data)["AcsEventCond"])


def told(found: list[Result]) -> list[tuple[object, tuple[str, ...]]]:
    return [(one.body, one.flags) for one in found if isinstance(one, Observation)]


def test_the_log_of_the_time_before_is_read_page_by_page() -> None:
    link, [search] = begun()
    asked = condition(search)
    assert (asked["startTime"], asked["searchResultPosition"]) == ("2026-11-23T20:30:00+08:00", 0)
    found = link.answered(search, page(FORCED, {**FORCED, "minor": 26, "serialNo": 180}, status="MORE"), NOW)
    assert told(found)[0] == (Alarm(kind="door_forced", component="door 2"), (BACKLOG,))
    assert (Event(kind="door_closed", component="door 2"), (BACKLOG,)) in told(found)
    assert b"Zhang" not in msgspec.json.encode(found)
    [second] = link.requests()
    assert condition(second) == {**asked, "searchResultPosition": 2}
    assert told(link.answered(second, page(status="NO MATCH"), NOW)) == []
    assert link.requests() == []


def test_a_fire_of_yesterday_drives_no_siren() -> None:
    when = When(group="fire", priority_max=0)
    rule = Rule(name="r", when=when, actuate=Actuate(actuator="siren", state="on"))
    fire = {"major": 1, "minor": 0x424}
    link, [search] = begun()
    late = link.answered(search, page({**FORCED, **fire, "time": "2026-11-24T00:29:50+08:00"}), NOW)
    live = link.receive(moved(0x424, majorEventType=1), NOW)
    acted = [acts([rule], [one for one in found if isinstance(one, Observation)], NOW) for found in (late, live)]
    assert [len(one) for one in acted] == [0, 1]


def test_a_record_and_its_event_on_the_stream_are_one_report() -> None:
    link, [search] = begun()
    [live] = link.receive(part(HIKVISION_FORCED, "application/json"), NOW)
    [late] = link.answered(search, page(FORCED), NOW)
    assert isinstance(live, Observation)
    assert isinstance(late, Observation)
    assert (live.device, live.frame_id) == (late.device, late.frame_id)


def test_the_next_search_begins_where_the_stream_was_lost() -> None:
    link, [search] = begun()
    link.answered(search, page(FORCED), NOW)
    last = HIKVISION_FORCED.replace("20:29:50", "21:30:00")
    link.receive(part(last, "application/json"), NOW + timedelta(hours=1))
    later = NOW + timedelta(hours=3)
    link.begin(later)
    link.requests()
    link.answered(hikvision_isapi.WHO, Message("", WHO, {"status": "200"}), later)
    [again] = link.requests()
    assert condition(again)["startTime"] == "2026-11-24T21:28:00+08:00"
    assert condition(again)["searchID"] != condition(search)["searchID"]


def test_an_outage_whose_records_did_not_come_is_asked_for_again() -> None:
    """The link is lost in the middle of a search: what was heard meanwhile does not end the outage."""
    link, [search] = begun()
    link.receive(part(HIKVISION_FORCED.replace("20:29:50", "20:35:00"), "application/json"), NOW + timedelta(minutes=5))
    link.begin(NOW + timedelta(minutes=6))
    link.answered(hikvision_isapi.WHO, Message("", WHO, {"status": "200"}), NOW + timedelta(minutes=6))
    [again] = [one for one in link.requests() if one != hikvision_isapi.WHO]
    assert condition(again)["startTime"] == "2026-11-23T20:36:00+08:00"
    assert condition(search)["startTime"] == "2026-11-23T20:30:00+08:00"


def test_a_device_whose_clock_is_wrong_is_asked_by_its_own() -> None:
    link, [search] = begun()
    link.answered(search, page(FORCED), NOW)
    link.receive(part(HIKVISION_FORCED.replace("T20:29:50", "T17:30:00"), "application/json"), NOW)
    link.receive(part(HIKVISION_FORCED.replace("true", "false"), "application/json"), NOW)  # a replay says nothing
    link.begin(NOW)
    link.answered(hikvision_isapi.WHO, Message("", WHO, {"status": "200"}), NOW)
    [again] = [one for one in link.requests() if one != hikvision_isapi.WHO]
    assert condition(again)["startTime"] == "2026-11-24T17:28:00+08:00"


@pytest.mark.parametrize(
    ("status", "asked_from"), [("", "2026-11-23T21:30:00+08:00"), ("404", "2026-11-24T21:28:00+08:00")]
)
def test_what_is_not_answered_is_still_owed(status: str, asked_from: str) -> None:
    link, [search] = begun()
    link.answered(search, Message("", b"", {"status": status}), NOW)
    later = NOW + timedelta(hours=1)
    link.receive(part(HIKVISION_FORCED.replace("20:29:50", "21:30:00"), "application/json"), later)
    link.begin(later)
    link.answered(hikvision_isapi.WHO, Message("", WHO, {"status": "200"}), later)
    [again] = [one for one in link.requests() if one != hikvision_isapi.WHO]
    assert condition(again)["startTime"] == asked_from


def test_a_search_has_an_end() -> None:
    link, asked = begun()
    pages = 0
    while asked:
        link.answered(asked[0], page(FORCED, status="MORE"), NOW)
        pages, asked = pages + 1, link.requests()
    assert pages == PAGES_MAX


@pytest.mark.parametrize(
    "answer",
    [
        Message("", BUSY, {"status": "403"}),
        Message("", b"", {"status": ""}),
        Message("", b"[[", {"status": "200"}),
        page(status="MORE"),
        Message(
            "", b'{"AcsEvent":{"InfoList":[7,{"major":5},{"major":{}}],"responseStatusStrg":[]}}', {"status": "200"}
        ),
    ],
)
def test_a_device_without_a_log_is_asked_once(answer: Message) -> None:
    link, [search] = begun()
    assert link.answered(search, answer, NOW) == []
    assert link.requests() == []


def test_nothing_is_searched_for_strangers_or_where_it_is_not_wanted() -> None:
    assert begun(catch_up_h=0)[1] == []
    stranger = hikvision.Session(hikvision.Settings(), {"192.0.2.10"})
    stranger.begin(NOW)
    stranger.requests()
    stranger.answered(hikvision_isapi.WHO, Message("", WHO, {"status": "200"}), NOW)
    assert stranger.requests() == []
    with pytest.raises(msgspec.ValidationError):
        session(catch_up_h=-1)


# --- doors ---


def command(action: str = "open", **args: str) -> DeviceCommand:
    return DeviceCommand(nonce="n-1", native_id=MAC, action=action, args=args)


def moved(minor: int, **fields: Any) -> bytes:
    event = json.loads(HIKVISION_FORCED)
    event["AccessControllerEvent"] |= {"subEventType": minor, "doorNo": 1, **fields}
    return part(json.dumps(event), "application/json")


@pytest.mark.parametrize(
    ("action", "word", "confirms", "other"),
    [
        ("open", b"open", 21, 22),
        ("close", b"close", 22, 21),
        ("always_open", b"alwaysOpen", 21, 22),
        ("always_closed", b"alwaysClose", 22, 21),
    ],
)
def test_a_door_is_driven_and_its_lock_confirms(action: str, word: bytes, confirms: int, other: int) -> None:
    link, _ = begun()
    link.command(command(action), NOW)
    [request] = link.requests()
    assert request.channel == "PUT /ISAPI/AccessControl/RemoteControl/door/1"
    assert request.data == b"<RemoteControlDoor><cmd>%b</cmd></RemoteControlDoor>" % word
    accepted = link.answered(request, Message("", OK, {"status": "200"}), NOW)
    assert accepted == [CommandAnswer(nonce="n-1", result="accepted")]
    confirmed = CommandAnswer(nonce="n-1", result="confirmed")
    for elsewhere in (moved(other), moved(confirms, doorNo=2), moved(confirms, currentEvent=False)):
        assert confirmed not in link.receive(elsewhere, NOW)
    assert confirmed in link.receive(moved(confirms), NOW)
    assert confirmed not in link.receive(moved(confirms), NOW)


def test_a_lock_may_be_faster_than_the_answer() -> None:
    link, _ = begun()
    link.command(command(), NOW)
    assert CommandAnswer(nonce="n-1", result="confirmed") in link.receive(moved(21), NOW)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Message("", BUSY, {"status": "200"}), "the device says deviceBusy"),
        (Message("", b"", {"status": "404"}), "the device refuses it, HTTP 404"),
        (Message("", b"<html>No", {"status": "500"}), "the device refuses it, HTTP 500"),
        (Message("", b"", {"status": "403"}), "the login may not do that at the device"),
    ],
)
def test_what_the_device_refuses_is_told(answer: Message, reason: str) -> None:
    link, _ = begun()
    link.command(command(), NOW)
    [request] = link.requests()
    assert link.answered(request, answer, NOW) == [CommandAnswer(nonce="n-1", result="refused", reason=reason)]
    assert link.receive(moved(21), NOW)[1:] == []


def test_no_answer_says_nothing() -> None:
    """It may have acted: the time limit of the command tells that."""
    link, _ = begun()
    link.command(command(), NOW)
    [request] = link.requests()
    assert link.answered(request, Message("", b"", {"status": ""}), NOW) == []


@pytest.mark.parametrize(
    "wrong",
    [command("explode"), command(door="0"), command(door="257"), command(door="1/../x"), command(room="1")],
)
def test_commands_that_cannot_be(wrong: DeviceCommand) -> None:
    link, _ = begun()
    with pytest.raises(CommandRefused):
        link.command(wrong, NOW)
    with pytest.raises(CommandRefused):
        link.command(msgspec.structs.replace(command(), native_id="aa:bb:cc:dd:ee:ff"), NOW)
    assert link.requests() == []


def test_a_door_does_one_thing_at_a_time() -> None:
    link, _ = begun()
    link.command(command(), NOW)
    with pytest.raises(CommandRefused):
        link.command(command("close"), NOW)
    link.command(command(door="2"), NOW)
    assert len(link.requests()) == 2
    link.begin(NOW)  # the stream was lost: nobody answers any more
    link.command(command("close"), NOW)
