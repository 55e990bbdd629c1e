"""Links that ask, with a real HTTP server: what it says is stored, a refused login is not tried in a loop."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from structlog.testing import capture_logs

from devices.families import dahua, onvif
from devices.observation import Alarm
from edge.links_http_client import HttpClient, HttpStream, Login
from tests.devices.frames import part
from tests.devices.test_onvif import CREATED, TIME, answer, message
from tests.edge.site import until
from tests.edge.wired import ROWS_MAX, Behind, behind

LOGIN = Login("admin", "secret")
SUBCODE = "<Subcode><Value>ter:NotAuthorized</Value></Subcode>"
NOT_AUTHORIZED = f"<Fault><Code><Value>s:Sender</Value>{SUBCODE}</Code></Fault>"
CAMERA, RECORDER = "cam-7", "nvr-1"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
FIELD = re.compile(r'(\w+)="?([^",]+)"?')


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def knows(request: web.BaseRequest, password: str = LOGIN.password) -> bool:
    """Whether the digest of the request proves the password (RFC 7616, MD5, qop auth)."""
    said = dict(FIELD.findall(request.headers.get("authorization", "")))
    if not said:
        return False
    ours, asked = md5(f"{LOGIN.username}:cam:{password}"), md5(f"{request.method}:{said['uri']}")
    return said["response"] == md5(f"{ours}:{said['nonce']}:{said['nc']}:{said['cnonce']}:auth:{asked}")


def challenge() -> web.Response:
    return web.Response(status=401, headers={"www-authenticate": 'Digest realm="cam", nonce="n1", qop="auth"'})


@asynccontextmanager
async def device(handler: Handler) -> AsyncIterator[str]:
    """A device's own HTTP server; its address."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def stream(made: Behind, url: str, login: Login = LOGIN) -> AsyncIterator[HttpStream]:
    settings = msgspec.convert({"device": RECORDER, "channels": 0}, dahua.Settings)  # nothing is asked beside it
    link = HttpStream(made.wiring(settings, RECORDER), dahua.FAMILY, url=f"{url}/events?codes=[All]", login=login)
    await link.open()
    try:
        yield link
    finally:
        link.stop_reading()
        await link.close()


@asynccontextmanager
async def client(made: Behind, url: str) -> AsyncIterator[HttpClient]:
    settings = msgspec.convert({"device": CAMERA, "event_path": "/onvif/event_service"}, onvif.Settings)
    link = HttpClient(made.wiring(settings, CAMERA), onvif.FAMILY, url=url, period_s=0.1, login=LOGIN)
    await link.open()
    try:
        yield link
    finally:
        link.stop_reading()
        await link.close()


class Recorder:
    """A Dahua recorder: an answer without end, to those who know its password."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lines: list[web.StreamResponse] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if not knows(request):
            return challenge()
        answer = web.StreamResponse(headers={"content-type": "multipart/x-mixed-replace; boundary=myboundary"})
        await answer.prepare(request)
        self.lines.append(answer)
        try:
            await asyncio.Event().wait()
        finally:
            if answer in self.lines:
                self.lines.remove(answer)
        return answer

    async def say(self, code: str, action: str) -> None:
        await self.lines[-1].write(part(f"Code={code};action={action};index=0"))


def kinds(made: Behind) -> list[tuple[str, bool]]:
    return [(row.body.kind, row.body.raised) for row in made.rows() if isinstance(row.body, Alarm)]


async def test_a_stream_is_read_as_it_comes(tmp_path: Path) -> None:
    recorder = Recorder()
    async with behind(tmp_path) as made, device(recorder) as url, stream(made, url) as link:
        await until(lambda: recorder.lines, "asked, with a login")
        assert recorder.asked == ["/events?codes=[All]"] * 2
        await recorder.say("FireWarning", "Start")
        await until(lambda: kinds(made) == [("fire", True)], "stored")
        await recorder.say("FireWarning", "Stop")
        await until(lambda: kinds(made) == [("fire", True), ("fire", False)], "stored")
        assert link.connections == 1


async def test_a_stream_that_ends_is_asked_for_again(tmp_path: Path) -> None:
    recorder = Recorder()
    with capture_logs() as logs:
        async with behind(tmp_path) as made, device(recorder) as url, stream(made, url):
            for _ in range(2):
                await until(lambda: recorder.lines, "asked")
                await recorder.lines.pop().write_eof()
            await until(lambda: recorder.lines, "asked again")
            await recorder.say("FireWarning", "Start")
            await until(lambda: kinds(made) == [("fire", True)], "stored")
    assert [line["event"] for line in logs if line["event"].startswith("link_")][:2] == ["link_lost", "link_recovered"]


async def test_a_wrong_password_is_not_tried_in_a_loop(tmp_path: Path) -> None:
    recorder = Recorder()
    with capture_logs() as logs:
        async with behind(tmp_path) as made, device(recorder) as url, stream(made, url, Login("admin", "guess")):
            await until(lambda: [line for line in logs if line["event"] == "link_lost"], "told")
            assert len(recorder.asked) == 2, "one try: the challenge, and the wrong answer to it"
            await asyncio.sleep(1.0)
            assert len(recorder.asked) == 2
    [lost] = [line for line in logs if line["event"] == "link_lost"]
    assert "login" in lost["error"] and "guess" not in str(lost)


async def test_what_the_disk_refuses_ends_the_stream_and_it_goes_on_later(tmp_path: Path) -> None:
    recorder = Recorder()
    async with behind(tmp_path) as made, device(recorder) as url, stream(made, url):
        await until(lambda: recorder.lines, "asked")
        made.disk_full(True)
        await recorder.say("FireWarning", "Start")
        await until(lambda: made.spool.failing, "the disk refuses")
        made.disk_full(False)
        await until(lambda: len(recorder.asked) >= 4 and recorder.lines, "asked again")
        await recorder.say("FireWarning", "Start")
        await until(lambda: ("fire", True) in kinds(made), "stored")


async def test_a_stream_that_holds_is_not_read(tmp_path: Path) -> None:
    recorder = Recorder()
    async with behind(tmp_path) as made, device(recorder) as url, stream(made, url) as link:
        await until(lambda: recorder.lines, "asked")
        held = link.flow.deliver(ROWS_MAX + 1)
        await recorder.say("FireWarning", "Start")
        await until(lambda: kinds(made) == [("fire", True)], "what was on its way is stored")
        await recorder.say("FireWarning", "Stop")
        link.flow.settle(held)
        await until(lambda: kinds(made) == [("fire", True), ("fire", False)], "and the rest when it may")


class Camera:
    """An ONVIF pull point with one alarm to tell, then none."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.events = [message("tns1:RuleEngine/TamperDetector", "Changed", State="true").data.decode()]
        self.authorized = True

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = (await request.read()).decode()
        if not self.authorized:
            return self._say(NOT_AUTHORIZED, 400)
        self.asked.append(request.path_qs)
        if "GetSystemDateAndTime" in body:
            return self._say(TIME)
        if "CreatePullPointSubscription" in body:
            return self._say(CREATED)
        events = [self.events.pop()] if self.events else []
        await asyncio.sleep(0.01)
        return self._say(f"<PullMessagesResponse>{''.join(events)}</PullMessagesResponse>")

    def _say(self, body: str, status: int = 200) -> web.Response:
        return web.Response(body=answer(body).data, status=status, content_type="application/soap+xml")


async def test_a_pull_point_is_asked_again_and_again(tmp_path: Path) -> None:
    camera = Camera()
    async with behind(tmp_path) as made, device(camera) as url, client(made, url) as link:
        await until(lambda: kinds(made) == [("tamper", True)], "stored")
        await until(lambda: len(camera.asked) > 6, "goes on asking")
        assert camera.asked[:3] == ["/onvif/device_service", "/onvif/event_service", "/onvif/Subscription?Idx=3"]
        assert link.connections == 1


async def test_a_device_that_refuses_is_left_alone_for_a_while(tmp_path: Path) -> None:
    camera = Camera()
    camera.authorized = False
    with capture_logs() as logs:
        async with behind(tmp_path) as made, device(camera) as url, client(made, url):
            await until(lambda: [line for line in logs if line["event"] == "link_lost"], "told")
            assert made.rows() == []
    [lost] = [line for line in logs if line["event"] == "link_lost"]
    assert lost["error"] == "the device refused what it was asked"


async def test_an_answer_that_is_too_long_ends_the_session(tmp_path: Path) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b" " * (onvif.FAMILY.message_bytes_max + 1))

    with capture_logs() as logs:
        async with behind(tmp_path) as made, device(endless) as url, client(made, url):
            await until(lambda: [line for line in logs if line["event"] == "link_lost"], "told")
    assert "an answer of more than" in next(line for line in logs if line["event"] == "link_lost")["error"]
