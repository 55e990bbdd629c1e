"""Dahua: what the events of the stream mean."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from devices.families import dahua, dahua_wire
from devices.observation import Alarm, Event, Observation, Rejected, Result, Telemetry
from tests.devices.frames import DAHUA_DURESS, NOW, part

OBSERVED = datetime(2026, 11, 24, 12, 29, 50, tzinfo=UTC)


def session(**settings: object) -> dahua.Session:
    return dahua.Session(msgspec.convert({"device": "nvr-1", **settings}, dahua.Settings), {"nvr-1"})


def bodies(found: list[Result]) -> list[object]:
    assert all(isinstance(result, Observation) for result in found), found
    return [result.body for result in found if isinstance(result, Observation)]


def event(code: str, action: str = "Pulse", index: int = 0, data: str = "") -> bytes:
    return part(f"Code={code};action={action};index={index}" + (f";data={data}" if data else ""))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("FireWarning", "fire"),
        ("SmokeDetection", "smoke"),
        ("HeatImagingTemper", "heat"),
        ("Duress", "duress"),
        ("BreakIn", "door_forced"),
        ("DoorNotClosed", "door_held_open"),
        ("ChassisIntruded", "tamper"),
        ("VideoBlind", "tamper"),
        ("VideoLoss", "video_loss"),
        ("CrossRegionDetection", "intrusion"),
        ("AlarmLocal", "input_active"),
    ],
)
def test_states_are_alarms_until_they_stop(code: str, kind: str) -> None:
    link = session()
    component = f"{code} 3"
    assert bodies(link.receive(event(code, "Start", 2), NOW)) == [Alarm(kind=kind, component=component)]
    assert bodies(link.receive(event(code, "Start", 2), NOW)) == []
    assert bodies(link.receive(event(code, "Stop", 2), NOW)) == [Alarm(kind=kind, raised=False, component=component)]
    assert bodies(link.receive(event(code, "Stop", 2), NOW)) == []
    assert len(bodies(link.receive(event(code) + event(code), NOW))) == 2


def test_a_first_stop_clears_what_may_have_lasted_from_before() -> None:
    assert bodies(session().receive(event("VideoLoss", "Stop"), NOW)) == [
        Alarm(kind="video_loss", raised=False, component="VideoLoss 1")
    ]


def test_two_rules_of_one_channel_come_and_go_by_themselves() -> None:
    link = session()
    link.receive(event("CrossLineDetection", "Start") + event("CrossRegionDetection", "Start"), NOW)
    [over] = bodies(link.receive(event("CrossLineDetection", "Stop"), NOW))
    assert over == Alarm(kind="intrusion", raised=False, component="CrossLineDetection 1")


@pytest.mark.parametrize(
    ("data", "attributes"),
    [
        ('{"Status":1,"Method":15,"Type":"Entry"}', {"granted": "yes", "credential": "face", "direction": "in"}),
        ('{"Status":1,"ErrorCode":16,"Method":1}', {"granted": "no", "credential": "card", "reason": "error 16"}),
        ('{"Status":0,"ErrorCode":0,"Method":11,"Door":0}', {"granted": "no", "credential": "method 11", "door": "1"}),
        ('{"Status":"1","Type":"Exit"}', {"granted": "yes", "direction": "out"}),
        ("{}", {"granted": "undecided"}),
    ],
)
def test_passages_do_not_name_anyone(data: str, attributes: dict[str, str]) -> None:
    personal = '"UserID":"1001","CardNo":"000ABC","CardName":"Zhang"'
    found = session().receive(
        event("AccessControl", data=data.replace("{", "{" + personal + ",", 1).replace(",}", "}")), NOW
    )
    [passage] = bodies(found)
    assert isinstance(passage, Event)
    assert (passage.kind, passage.attributes) == ("access", attributes)
    assert not [word for word in (b"1001", b"000ABC", b"Zhang") if word in msgspec.json.encode(found)]


def test_the_flattened_form_and_its_picture() -> None:
    lines = "Events[0].Code=AccessControl\r\nEvents[0].Data.Status=1\r\nEvents[0].Data.UTC=1795523390"
    picture = b"--myboundary\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xd9\r\n--myboundary--\r\n"
    [found] = session().receive(part(lines) + picture, NOW)
    assert isinstance(found, Observation)
    assert found.body == Event(kind="access", component="AccessControl", attributes={"granted": "yes"})
    assert (found.observed_at, found.flags) == (OBSERVED, ())


def test_times() -> None:
    [fresh] = session().receive(part(DAHUA_DURESS), NOW)
    [milliseconds] = session().receive(part(DAHUA_DURESS.replace("1795523390", "1795523390000")), NOW)
    [timeless] = session().receive(event("Duress"), NOW)
    assert isinstance(fresh, Observation)
    assert isinstance(milliseconds, Observation)
    assert isinstance(timeless, Observation)
    assert fresh.observed_at == milliseconds.observed_at == OBSERVED
    assert (timeless.observed_at, timeless.flags, timeless.frame_id) == (NOW, ("time_invalid",), "")
    [later] = session().receive(part(DAHUA_DURESS), NOW + timedelta(hours=2))
    assert isinstance(later, Observation)
    assert fresh.frame_id != later.frame_id


def test_heartbeats_doors_and_the_rest() -> None:
    link = session()
    assert bodies(link.receive(part("Heartbeat"), NOW)) == [Telemetry({})]
    assert bodies(link.receive(event("DoorStatus", data='{"Status":"Open","Door":1}'), NOW)) == [
        Event(kind="door_opened", component="door 2")
    ]
    assert bodies(link.receive(event("VideoMotion", "Stop"), NOW)) == [
        Event(kind="motion", component="VideoMotion 1", attributes={"seen": "no"})
    ]
    assert bodies(link.receive(event("NewFile"), NOW)) == []
    assert bodies(link.receive(event("Unheard"), NOW)) == [
        Event(kind="unknown_report", component="Unheard 1", attributes={"type": "Unheard"})
    ]


def test_what_cannot_be_read_is_rejected_and_what_follows_is_not() -> None:
    found = session().receive(part('Code=A;action=Pulse;index=0;data={"a":\nCode=Duress;action=Pulse;index=0'), NOW)
    assert [result.reason for result in found if isinstance(result, Rejected)] == ["event cut short"]
    assert isinstance(found[1], Observation)
    [unreadable] = session().receive(part("Error"), NOW)
    assert isinstance(unreadable, Rejected)


def test_a_device_that_is_not_enrolled_is_named() -> None:
    link = dahua.Session(dahua.Settings(device="nvr-2"), {"nvr-1"})
    [stranger] = link.receive(part("Heartbeat"), NOW)
    assert isinstance(stranger, Rejected)
    assert (stranger.reason, stranger.device) == ("not enrolled", "dahua:nvr-2")
    [passage] = link.receive(part('Code=AccessControl;data={"CardName":"Zhang","CardNo":"4711"}'), NOW)
    assert isinstance(passage, Rejected)
    assert passage.frame == b"AccessControl"


def test_tables_grow_by_what_they_hold_only() -> None:
    table = dahua_wire.read_table("a[999].b=1\na[0].b=2\na[0].c=3\na[2].b=4\na=5\n" + "a" * 100 + "=6\nx.y[0][1]=7")
    assert table["a"] == [{"b": "2", "c": "3"}]
    deep = dahua_wire.read_table(".".join(["a"] * 500) + "=1")
    assert deep == {}


def test_secrets_are_not_shown() -> None:
    said = {"CardNo": "7", "SmartPassword": "a", "PIN": "b", "Data.PinCode": "c", "in": [{"UserToken": "d"}], "Spin": 1}
    shown = dahua_wire.redacted(said)
    assert shown["CardNo"] == "7" and shown["Spin"] == 1
    assert {shown["SmartPassword"], shown["PIN"], shown["Data.PinCode"], shown["in"][0]["UserToken"]} == {"<redacted>"}


@pytest.mark.parametrize("lines", ["Events[x\nEvents.Code=A", "Events[0].Code[0]=1", "Events[0]=1", "Events[0].Data=1"])
def test_flattened_lines_of_another_shape_make_no_event(lines: str) -> None:
    [found] = session().receive(part(lines), NOW)
    assert isinstance(found, Rejected)


@pytest.mark.parametrize("device", ["", "a\0", "x" * 65])
def test_a_device_needs_a_name(device: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        session(device=device)
