"""Links on which the edge asks: HTTP requests that a session of messages wants sent (http_client), and one request
whose answer never ends (http_stream). The only home of httpx in the edge.

Rules
- Whatever goes wrong ends the session; a new one begins after a wait with full jitter. Lost and found again are a line
  each.
- A login that the device refuses is tried again after REFUSED_S: many devices lock an account after a few tries.
- The next request goes out, and the next bytes are read, when what the last ones brought is durable; when the spool
  does not take it, the session ends and asks again later.
- Bounded: an answer by the family's `message_bytes_max`, the wait for it by ANSWER_S_MAX, a silent stream by twice the
  silence that the family allows.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime

import httpx
import structlog
from msgspec import Struct

from devices.family import CommandRefused, DeviceCommand, Family, Message, MessageFamily, MessageSession
from devices.observation import Result
from edge import clock
from edge.flow import NO_WAY, Flow, Seldom, Wiring, hand_over
from edge.mqtt import end

CONNECT_S_MAX = 10.0
ANSWER_S_MAX = 90.0  # a pull point may answer after a minute
QUIET_S = 3.0
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.5, 60.0
HEALTHY_S = 60.0
REFUSED_S = 300.0
UNAUTHORIZED = (401, 403)

log = structlog.get_logger()
_jitter = random.SystemRandom()


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
        attempt = 0
        while True:
            began = clock.monotonic()
            wait_s = await self._ask()
            attempt = 0 if clock.monotonic() - began > HEALTHY_S else attempt + 1
            longest_s = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(attempt, 10))
            await clock.sleep(wait_s or _jitter.uniform(0, longest_s))

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

    async def _work(self, client: httpx.AsyncClient) -> None:
        session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)
        silence = httpx.Timeout(2 * self._family.silence_s_max, connect=CONNECT_S_MAX)
        async with client.stream("GET", self._url, timeout=silence) as answer:
            self._heard(answer.status_code)
            if answer.status_code != httpx.codes.OK:
                raise _Ended(f"HTTP {answer.status_code}")
            try:
                async for piece in _quietly(answer.aiter_bytes(), lambda: self._stored(session.idle(clock.now()))):
                    await self._stored(session.receive(piece, clock.now()))
            finally:
                self._wiring.intake.take(self.name, session.idle(clock.now()), lambda error: None)
        raise _Ended("the device ended the stream")


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
