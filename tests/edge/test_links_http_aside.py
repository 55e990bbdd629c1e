"""What a stream's session asks beside its stream, with a real HTTP server that wants a digest."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from devices.families import dahua, hikvision
from devices.family import DeviceCommand, Family
from devices.observation import BACKLOG, Alarm, CommandAnswer
from edge import clock
from edge.flow import NotHere
from edge.links_http_client import HttpStream
from tests.devices.frames import part
from tests.devices.messages import HIKVISION_FORCED
from tests.devices.test_hikvision_asked import FORCED, MAC, OK, WHO
from tests.edge.site import until
from tests.edge.test_links_http_client import LOGIN, RECORDER, challenge, device, knows
from tests.edge.wired import Behind, behind

UNLOCKED = json.loads(HIKVISION_FORCED)
UNLOCKED["AccessControllerEvent"] |= {"subEventType": 21, "doorNo": 1, "serialNo": 181}


class Streaming:
    """A device with a stream at /events, and answers to other requests; it counts those that prove the password."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.lines: list[web.StreamResponse] = []
        self.answers: dict[str, bytes] = {}  # by path and query
        self.silent = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if not knows(request):
            return challenge()
        if request.path == "/events":
            return await self._stream(request)
        self.asked.append((request.method, request.path_qs))
        if self.silent:
            await asyncio.Event().wait()
        answer = self.answers.get(request.path_qs)
        return web.Response(body=answer) if answer is not None else web.Response(status=404)

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"content-type": "multipart/x-mixed-replace; boundary=myboundary"})
        await answer.prepare(request)
        self.lines.append(answer)
        await asyncio.Event().wait()
        return answer

    async def say(self, data: bytes) -> None:
        await self.lines[-1].write(data)

    async def hang_up(self) -> None:
        await self.lines.pop().write_eof()


@asynccontextmanager
async def stream(
    made: Behind, family: Family, url: str, native_id: str, **settings: object
) -> AsyncIterator[HttpStream]:
    wiring = made.wiring(msgspec.convert(settings, family.settings), native_id)
    link = HttpStream(wiring, family, url=f"{url}/events?codes=[All]", login=LOGIN)
    await link.open()
    try:
        yield link
    finally:
        link.stop_reading()
        await link.close()


def alarms(made: Behind) -> list[tuple[str, bool, tuple[str, ...]]]:
    return [(one.body.kind, one.body.raised, one.flags) for one in made.rows() if isinstance(one.body, Alarm)]


def fire(made: Behind) -> list[bool]:
    """Whether there is one at the third channel, each time that this is told."""
    bodies = [one.body for one in made.rows() if isinstance(one.body, Alarm)]
    return [body.raised for body in bodies if body.component == "FireWarning 3"]


async def test_an_alarm_that_ended_while_the_link_was_down_is_cleared(tmp_path: Path) -> None:
    recorder = Streaming()
    asked = "/cgi-bin/eventManager.cgi?action=getEventIndexes&code=FireWarning"
    recorder.answers[asked] = b"channels[0]=2\r\n"  # beyond the first: only who remembers it can clear it
    family = dahua.FAMILY
    async with behind(tmp_path) as made, device(recorder) as url, stream(made, family, url, RECORDER, device=RECORDER):
        await until(lambda: fire(made) == [True], "it lasts")
        recorder.answers[asked] = b"Error\r\nNo Events\r\n"
        await recorder.hang_up()
        await until(lambda: fire(made) == [True, False], "it is over")


async def test_what_happened_while_the_link_was_down_is_caught_up_once(tmp_path: Path) -> None:
    terminal = Streaming()
    terminal.answers["/ISAPI/System/deviceInfo"] = WHO
    log = "/ISAPI/AccessControl/AcsEvent?format=json"
    terminal.answers[log] = json.dumps({"AcsEvent": {"responseStatusStrg": "OK", "InfoList": [FORCED]}}).encode()
    async with behind(tmp_path) as made, device(terminal) as url, stream(made, hikvision.FAMILY, url, MAC):
        await until(lambda: [kind for kind, _, _ in alarms(made)] == ["door_forced"], "caught up")
        [(_, _, flags)] = alarms(made)
        assert BACKLOG in flags
        await terminal.hang_up()
        await until(lambda: terminal.asked.count(("POST", log)) == 2, "asked again")
        await until(lambda: terminal.lines, "and heard again")
        await terminal.say(part(json.dumps(UNLOCKED), "application/json"))
        await until(lambda: len(made.rows()) == 2, "the record is stored once, and what is new, too")


async def test_a_door_is_opened_and_its_lock_confirms(tmp_path: Path) -> None:
    terminal = Streaming()
    terminal.answers["/ISAPI/System/deviceInfo"] = WHO
    door = "/ISAPI/AccessControl/RemoteControl/door/1"
    terminal.answers[door] = OK
    async with behind(tmp_path) as made, device(terminal) as url, stream(made, hikvision.FAMILY, url, MAC) as link:
        await until(lambda: ("POST", "/ISAPI/AccessControl/AcsEvent?format=json") in terminal.asked, "known")
        link.command(DeviceCommand(nonce="n-1", native_id=MAC, action="open"), clock.now())
        await until(lambda: made.answers == [CommandAnswer(nonce="n-1", result="accepted")], "accepted")
        assert ("PUT", door) in terminal.asked
        await terminal.say(part(json.dumps(UNLOCKED), "application/json"))
        await until(lambda: CommandAnswer(nonce="n-1", result="confirmed") in made.answers, "confirmed")


async def test_a_device_that_answers_nothing_beside_its_stream_is_heard_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.links_http_client.ASIDE_S_MAX", 0.05)
    terminal = Streaming()
    terminal.silent = True
    family = hikvision.FAMILY
    async with behind(tmp_path) as made, device(terminal) as url, stream(made, family, url, MAC, device=MAC):
        await until(lambda: len(terminal.asked) == 2, "who it is, and its log: both unanswered")
        await terminal.say(part(HIKVISION_FORCED, "application/json"))
        await until(lambda: [kind for kind, _, _ in alarms(made)] == ["door_forced"], "stored")
        assert len(terminal.lines) == 1


async def test_a_command_is_refused_while_the_device_is_away(tmp_path: Path) -> None:
    async with behind(tmp_path) as made:
        link = HttpStream(made.wiring(hikvision.Settings(), MAC), hikvision.FAMILY, url="http://127.0.0.1:9/events")
        with pytest.raises(NotHere):
            link.command(DeviceCommand(nonce="n-1", native_id=MAC, action="open"), clock.now())
