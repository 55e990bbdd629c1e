"""Links on which the edge asks: HTTP requests that a session of messages wants sent (http_client), and one request
whose answer never ends (http_stream). The only home of httpx in the edge.

Rules
- Whatever goes wrong ends the session; a new one begins after a wait with full jitter. Lost and found again are a line
  each.
- A login that the device refuses is tried again after REFUSED_S: many devices lock an account after a few tries.
- The next request goes out, and the next bytes are read, when what the last ones brought is durable; when the spool
  does not take it, the session ends and asks again later.
- What a session asks beside its stream goes to the same host, a request at a time. No answer to that, or a refusal, is
  the session's to judge; it does not end the stream.
- Bounded: an answer by the family's `message_bytes_max` (ASIDE_BYTES_MAX beside a stream), the wait for it by
  ANSWER_S_MAX (ASIDE_S_MAX), a silent stream by twice the silence that the family allows.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any

import httpx
import structlog
from msgspec import Struct

from devices.family import (
    Asking,
    Commanded,
    CommandRefused,
    DeviceCommand,
    Family,
    Message,
    MessageFamily,
    MessageSession,
    Session,
)
from devices.observation import Result
from edge import clock
from edge.flow import NO_WAY, Flow, NotHere, Seldom, Wiring, hand_over
from edge.mqtt import end
from edge.pause import Pause
from edge.spool_file import SpoolError

CONNECT_S_MAX = 10.0
ANSWER_S_MAX = 90.0  # a pull point may answer after a minute
ASIDE_S_MAX = 10.0
ASIDE_BYTES_MAX = 262_144
QUIET_S = 3.0
REFUSED_S = 300.0
UNAUTHORIZED = (401, 403)

log = structlog.get_logger()


class Login(Struct, frozen=True):
    """HTTP digest, so that the password does not travel; none when `username` is ""."""

    username: str = ""
    password: str = ""

    def auth(self) -> httpx.DigestAuth | None:
        return httpx.DigestAuth(self.username, self.password) if self.username else None


class _Ended(Exception):
    """The session is over; the text says why, for the log."""


class _Refused(_Ended):
    """The device does not know us."""


class _NotTaken(_Ended):
    """The spool did not take what was found."""


class _Asking:
    """What both kinds of link have: a task that works until something goes wrong, and works again."""

    def __init__(self, wiring: Wiring, url: str, login: Login, tls: ssl.SSLContext | None) -> None:
        self.name = wiring.name
        self.port = httpx.URL(url).port or (443 if url.startswith("https") else 80)
        self._may_read = asyncio.Event()
        self.flow = Flow(wiring.rows_max, lambda: None, self._may_read.set)
        self._wiring = wiring
        self._url = url
        self._login = login
        self._tls = tls
        self._lost = self._connected = False
        self._crash = Seldom()
        self._asking: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return int(self._connected)

    async def open(self) -> None:
        self._asking = asyncio.create_task(self._ask_for_ever())

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        if self._asking is not None:
            await end([self._asking])

    def sweep(self) -> None:
        """Time limits are kept where the answers are waited for."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        raise CommandRefused(NO_WAY)

    async def _work(self, client: httpx.AsyncClient) -> None:
        raise NotImplementedError

    async def _ask_for_ever(self) -> None:
        pause = Pause()
        while True:
            pause.begin()
            wait_s = await self._ask()
            pause_s = pause.seconds()
            await clock.sleep(wait_s or pause_s)

    async def _ask(self) -> float:
        """One session; for how long to wait at least before the next."""
        timeout = httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX)
        verify = self._tls if self._tls is not None else ssl.create_default_context()
        try:
            async with httpx.AsyncClient(
                auth=self._login.auth(), verify=verify, timeout=timeout, trust_env=False
            ) as client:
                await self._work(client)
        except _Refused as error:
            self._say_lost(str(error))
            return REFUSED_S
        except (_Ended, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self._say_lost(str(error) or type(error).__name__)
        except Exception:
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
        finally:
            self._connected = False
        return 0.0

    async def _stored(self, results: Sequence[Result]) -> None:
        """Hand over, and wait until it is durable and more may come; raises _NotTaken."""
        if await hand_over(self._wiring, self.flow, results) is not None:
            raise _NotTaken("the spool does not take it")
        while self.flow.holding:
            self._may_read.clear()
            await self._may_read.wait()

    def _heard(self, status: int) -> None:
        """A device answered; raises when it is no answer that can be read."""
        if status in UNAUTHORIZED:
            raise _Refused(f"the device refuses the login (HTTP {status})")
        self._connected = True
        if self._lost:
            self._lost = False
            log.info("link_recovered", link=self.name)

    def _say_lost(self, error: str) -> None:
        if not self._lost:
            self._lost = True
            log.warning("link_lost", link=self.name, error=error)


class HttpClient(_Asking):
    """`url` is scheme, host and port; what the session wants sent names method and path. When nothing waits to be sent,
    the link looks again after `period_s`; when nothing waits then either, the session has given up."""

    def __init__(
        self,
        wiring: Wiring,
        family: MessageFamily,
        *,
        url: str,
        period_s: float,
        login: Login = Login(),  # noqa: B008 - frozen
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(wiring, url, login, tls)
        self._family = family
        self._period_s = period_s

    async def _work(self, client: httpx.AsyncClient) -> None:
        session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)
        while True:
            requests = session.to_send()
            if not requests:
                await clock.sleep(self._period_s)
                requests = session.to_send()
            if not requests:
                raise _Refused("the device refused what it was asked")
            for request in requests:
                await self._exchange(client, session, request)

    async def _exchange(self, client: httpx.AsyncClient, session: MessageSession, request: Message) -> None:
        method, _, path = request.channel.partition(" ")
        headers = dict(request.headers)
        async with client.stream(method, self._url + path, content=request.data, headers=headers) as answer:
            self._heard(answer.status_code)
            body = await _whole(answer, self._family.message_bytes_max)
        told = {"status": str(answer.status_code), "content-type": answer.headers.get("content-type", "")}
        await self._stored(session.receive(Message(request.channel, body, told), clock.now()))


class HttpStream(_Asking):
    """`url` is the whole of what is asked for; its answer is the family's stream of bytes."""

    def __init__(
        self,
        wiring: Wiring,
        family: Family,
        *,
        url: str,
        login: Login = Login(),  # noqa: B008 - frozen
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(wiring, url, login, tls)
        self._family = family
        self._host = str(httpx.URL(url).copy_with(path="/", query=None, fragment=None)).rstrip("/")
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._more_to_ask = asyncio.Event()
        self._last_not_taken = False  # what the last stream told at its end

    def command(self, command: DeviceCommand, now: datetime) -> None:
        if not isinstance(self._session, Commanded):
            raise CommandRefused(NO_WAY)
        if not self._connected:
            raise NotHere("the device is not connected")
        self._session.command(command, now)
        self._more_to_ask.set()

    async def _work(self, client: httpx.AsyncClient) -> None:
        if self._last_not_taken:
            self._begin_anew()
        try:
            await self._read(client, self._session)
        except (_Ended, httpx.HTTPError, OSError) as error:
            if not isinstance(self._session, Asking) or isinstance(error, _NotTaken):
                self._begin_anew()
            raise
        except Exception:
            self._begin_anew()
            raise

    def _begin_anew(self) -> None:
        """A session that does not believe that it has told what nobody took."""
        self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)
        self._last_not_taken = False

    async def _read(self, client: httpx.AsyncClient, session: Session) -> None:
        silence = httpx.Timeout(self._family.silence_s_max, connect=CONNECT_S_MAX)
        async with client.stream("GET", self._url, timeout=silence) as answer:
            self._heard(answer.status_code)
            if answer.status_code != httpx.codes.OK:
                raise _Ended(f"HTTP {answer.status_code}")
            if isinstance(session, Asking):
                session.begin(clock.now())
                await first_of(self._listen(answer, session), self._ask_aside(client, session))
            else:
                await self._listen(answer, session)
        raise _Ended("the device ended the stream")

    async def _listen(self, answer: httpx.Response, session: Session) -> None:
        try:
            async for piece in _quietly(answer.aiter_bytes(), lambda: self._stored(session.idle(clock.now()))):
                await self._stored(session.receive(piece, clock.now()))
                self._more_to_ask.set()
        finally:
            self._wiring.intake.take(self.name, session.idle(clock.now()), self._at_the_end)

    def _at_the_end(self, error: SpoolError | None) -> None:
        self._last_not_taken = error is not None

    async def _ask_aside(self, client: httpx.AsyncClient, session: Asking) -> None:
        while True:
            for request in session.requests():
                answer = await self._aside(client, request)
                await self._stored(session.answered(request, answer, clock.now()))
                self._more_to_ask.set()
            await self._more_to_ask.wait()
            self._more_to_ask.clear()

    async def _aside(self, client: httpx.AsyncClient, request: Message) -> Message:
        """The answer, or none."""
        method, _, path = request.channel.partition(" ")
        headers = dict(request.headers)
        try:
            async with (
                asyncio.timeout(ASIDE_S_MAX),
                client.stream(method, self._host + path, content=request.data, headers=headers) as answer,
            ):
                body = await _whole(answer, ASIDE_BYTES_MAX)
        except (TimeoutError, httpx.HTTPError, _Ended):
            return Message(request.channel, b"", {"status": ""})
        return Message(request.channel, body, {"status": str(answer.status_code)})


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until one of them is over; the others are ended, and what went wrong in it goes on."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        over, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks)
    for task in over:
        task.result()


async def _quietly(pieces: AsyncIterator[bytes], quiet: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
    """The pieces; `quiet` is called once in each pause of QUIET_S."""
    while True:
        coming = asyncio.ensure_future(anext(pieces, None))
        try:
            await asyncio.wait([coming], timeout=QUIET_S)
            if not coming.done():
                await quiet()
            piece = await coming
        finally:
            coming.cancel()
        if piece is None:
            return
        yield piece


async def _whole(answer: httpx.Response, bytes_max: int) -> bytes:
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > bytes_max:
            raise _Ended(f"an answer of more than {bytes_max} bytes")
    return body
