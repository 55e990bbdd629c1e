"""Dahua: what a session asks its device beside the stream, and what it makes of the answers."""

import msgspec
import pytest

from devices.families import dahua, dahua_asked
from devices.family import CommandRefused, DeviceCommand, Message
from devices.observation import Alarm, CommandAnswer, Observation, Result
from tests.devices.frames import NOW, part

NONE = Message("", b"Error\r\nNo Events\r\n", {"status": "400"})


def session(**settings: object) -> dahua.Session:
    return dahua.Session(msgspec.convert({"device": "nvr-1", **settings}, dahua.Settings), {"nvr-1"})


def event(code: str, action: str, index: int = 0) -> bytes:
    return part(f"Code={code};action={action};index={index}")


def lasting(*channels: int) -> Message:
    lines = (f"channels[{at}]={channel}" for at, channel in enumerate(channels))
    return Message("", "\r\n".join(lines).encode(), {"status": "200"})


def alarms(found: list[Result]) -> list[tuple[str, str, bool]]:
    bodies = [one.body for one in found if isinstance(one, Observation)]
    return [(body.kind, body.component, body.raised) for body in bodies if isinstance(body, Alarm)]


def read_again(link: dahua.Session, code: str, answer: Message) -> list[tuple[str, str, bool]]:
    """The stream begins, and the device answers to one of the questions."""
    link.begin(NOW)
    asked = [one for one in link.requests() if dahua_asked.code_asked(one) == code]
    return alarms([result for one in asked for result in link.answered(one, answer, NOW)])


def test_an_alarm_that_ended_while_the_link_was_down_is_cleared() -> None:
    link = session()
    link.begin(NOW)
    link.receive(event("FireWarning", "Start", 2), NOW)
    assert ("fire", "FireWarning 3", False) in read_again(link, "FireWarning", NONE)
    assert read_again(link, "FireWarning", NONE) == []


def test_what_lasts_is_raised_once() -> None:
    link = session()
    assert read_again(link, "VideoBlind", lasting(1)) == [
        ("tamper", "VideoBlind 1", False),
        ("tamper", "VideoBlind 2", True),
    ]
    assert read_again(link, "VideoBlind", lasting(1)) == []
    assert alarms(link.receive(event("VideoBlind", "Stop", 1), NOW)) == [("tamper", "VideoBlind 2", False)]


def test_all_channels_of_a_recorder_are_cleared_at_first() -> None:
    cleared = read_again(session(channels=16), "VideoLoss", lasting(3))
    assert len(cleared) == 16
    assert [component for _, component, raised in cleared if raised] == ["VideoLoss 4"]


@pytest.mark.parametrize(
    "answer",
    [
        Message("", b"Error\r\nBad Request!\r\n", {"status": "400"}),
        Message("", b"channels[0]=0", {"status": "500"}),
        Message("", b"", {"status": ""}),
        Message("", b"\xff" * 100, {"status": "200"}),
        Message("", b"", {"status": "403"}),
    ],
)
def test_a_device_that_cannot_say_leaves_things_as_they_are(answer: Message) -> None:
    link = session()
    link.receive(event("FireWarning", "Start"), NOW)
    assert read_again(link, "FireWarning", answer) == []


def test_the_stream_is_newer_than_an_answer() -> None:
    link = session()
    link.begin(NOW)
    [request] = [one for one in link.requests() if dahua_asked.code_asked(one) == "FireWarning"]
    link.receive(event("FireWarning", "Start") + event("FireWarning", "Stop"), NOW)
    assert link.answered(request, lasting(0), NOW) == []


def test_a_pulse_does_not_last() -> None:
    """Duress that was pressed once is not over because the link was lost."""
    link = session()
    assert alarms(link.receive(event("BreakIn", "Pulse"), NOW)) == [("door_forced", "BreakIn 1", True)]
    asked = [dahua_asked.code_asked(one) for one in (link.begin(NOW), link.requests())[1]]
    assert "FireWarning" in asked and "Duress" not in asked and "Malicious" not in asked


def test_nothing_is_asked_of_strangers_or_where_it_is_not_wanted() -> None:
    for link in (session(channels=0), dahua.Session(dahua.Settings(device="nvr-2"), {"nvr-1"})):
        link.begin(NOW)
        assert link.requests() == []
    with pytest.raises(msgspec.ValidationError):
        session(channels=257)


# --- doors ---


def command(action: str = "open", **args: str) -> DeviceCommand:
    return DeviceCommand(nonce="n-1", native_id="nvr-1", action=action, args=args)


@pytest.mark.parametrize(("action", "word", "status"), [("open", "openDoor", "Open"), ("close", "closeDoor", "Close")])
def test_a_door_is_driven_and_confirms(action: str, word: str, status: str) -> None:
    link = session()
    link.command(command(action, door="2"), NOW)
    [request] = link.requests()
    assert request.channel == f"GET /cgi-bin/accessControl.cgi?action={word}&channel=2&UserID=101&Type=Remote"
    assert link.answered(request, Message("", b"OK\r\n", {"status": "200"}), NOW) == [
        CommandAnswer(nonce="n-1", result="accepted")
    ]
    for door, confirmed in ((0, False), (1, True), (1, False)):
        said = part(f'Code=DoorStatus;action=Pulse;index=0;data={{"Door":{door},"Status":"{status}"}}')
        assert (CommandAnswer(nonce="n-1", result="confirmed") in link.receive(said, NOW)) is confirmed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Message("", b"Error", {"status": "200"}), "the device refuses it, HTTP 200"),
        (Message("", b"", {"status": "401"}), "the login may not do that at the device"),
    ],
)
def test_what_the_device_refuses_is_told(answer: Message, reason: str) -> None:
    link = session()
    link.command(command(), NOW)
    [request] = link.requests()
    assert link.answered(request, answer, NOW) == [CommandAnswer(nonce="n-1", result="refused", reason=reason)]


def test_commands_that_cannot_be() -> None:
    link = session()
    for wrong in (command("always_open"), command(door="x&y"), msgspec.structs.replace(command(), native_id="nvr-2")):
        with pytest.raises(CommandRefused):
            link.command(wrong, NOW)
    assert link.requests() == []
