"""HTTP-server links: devices and gateways that push their events as requests. The only home of aiohttp's server.

Rules
- A request is answered 200 (or what the session says) when what it brought is durable; 503 when the spool does not take
  it or the link holds, so that the sender comes again. One that brought nothing but refusals is answered 403 (not
  enrolled) or 400, where that helps the family's senders.
- Who may push: only addresses in `allow` (none named: any), only below /`secret` when one is set, and, with a
  `hmac_key`, only bodies signed with it. What fails is answered 403 or 404 before a family looks at it.
- Bounded: connections, of which one without a request is ended after IDLE_S_MAX, and when there are too many the one
  that was quiet longest and never brought a request of somebody who may push gives way; the body by the family's
  `message_bytes_max` and BODY_S_MAX; rows on their way to the disk.
- A crash inside the session costs the request (500) and begins a new session.
"""

import asyncio
import hashlib
import hmac
import os
import ssl
from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from aiohttp import web
from msgspec import Struct

from devices.family import CommandRefused, DeviceCommand, Message, MessageFamily
from devices.observation import Observation, Rejected, Result
from edge import clock
from edge.flow import NO_WAY, Flow, LinkError, Seldom, Wiring, hand_over
from edge.listener import Listener

BODY_S_MAX = 10.0
DURABLE_S_MAX = 10.0
IDLE_S_MAX = 75.0
HEADERS_MAX = 64
CLOSE_S_MAX = 2.0
AGAIN_S = "5"

log = structlog.get_logger()

Network = IPv4Network | IPv6Network


class Guard(Struct, frozen=True, kw_only=True):
    """Who may push. `hmac_header` holds the SHA-256 HMAC of the body under `hmac_key`, as hex, "sha256=" before it or
    not."""

    allow: tuple[Network, ...] = ()
    secret: str = ""
    hmac_header: str = "x-signature"
    hmac_key: str = ""

    def admits(self, address: str) -> bool:
        return not self.allow or any(ip_address(address) in network for network in self.allow)

    def path_of(self, path: str) -> str | None:
        """Path and query as the family sees them; None when the secret is not in it."""
        if not self.secret:
            return path
        path, mark, query = path.partition("?")
        first, _, rest = path.removeprefix("/").partition("/")
        return f"/{rest}{mark}{query}" if _same(first, self.secret) else None

    def believes(self, body: bytes, signature: str) -> bool:
        if not self.hmac_key:
            return True
        right = hmac.new(self.hmac_key.encode(), body, hashlib.sha256).hexdigest()
        return _same(signature.removeprefix("sha256=").lower(), right)


def _same(offered: str, right: str) -> bool:
    return hmac.compare_digest(offered.encode(errors="replace"), right.encode())


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class HttpServer:
    """One link: a listening port whose requests are one session's messages."""

    def __init__(
        self,
        wiring: Wiring,
        family: MessageFamily,
        guard: Guard,
        *,
        host: str,
        port: int,
        connections_max: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = wiring.name
        self._wiring = wiring
        self._family = family
        self._guard = guard
        self._address = (host, port)
        self._connections_max = connections_max
        self.flow = Flow(wiring.rows_max, lambda: None, lambda: None)
        self._crash, self._refused = Seldom(), Seldom()
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._http = web.Server(self._answer, access_log=None)
        self._trusted: set[asyncio.BaseProtocol] = set()  # have brought such a request
        self._ended: set[asyncio.BaseProtocol] = set()  # have given way, and are not gone yet
        self._quiet_since: dict[asyncio.BaseProtocol, float] = {}
        self._listener = Listener(self._admit, self._not_taken, tls)

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def connections(self) -> int:
        return len(self._http.connections)

    async def open(self) -> None:
        """Listen; raises LinkError."""
        host, port = self._address
        try:
            await self._listener.open(host, port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise LinkError(f"link {self.name}: cannot listen on {host}:{port}: {reason}") from error

    def stop_reading(self) -> None:
        self.flow.stop()
        self._listener.close()

    async def close(self) -> None:
        await self._http.shutdown(CLOSE_S_MAX)

    def sweep(self) -> None:
        """End connections that have brought no request for IDLE_S_MAX."""
        now = clock.monotonic()
        open_now = self._http.connections
        self._quiet_since = {one: self._quiet_since.get(one, now) for one in open_now}
        self._trusted.intersection_update(open_now)
        self._ended.intersection_update(open_now)
        for one in open_now:
            if now - self._quiet_since[one] > IDLE_S_MAX:
                one.force_close()

    def command(self, command: DeviceCommand, now: datetime) -> None:
        raise CommandRefused(NO_WAY)

    def _admit(self) -> asyncio.Protocol:
        here = [one for one in self._http.connections if one not in self._ended]
        if len(here) < self._connections_max:
            return self._http()
        strangers = [one for one in here if one not in self._trusted]
        if not strangers:
            return _TurnedAway()
        now = clock.monotonic()
        quietest = min(strangers, key=lambda one: self._quiet_since.get(one, now))
        self._ended.add(quietest)
        quietest.force_close()
        return self._http()

    def _not_taken(self, error: OSError) -> None:
        if self._refused.due():
            log.error("link_cannot_accept", link=self.name, error=error.strerror)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._guard.admits(request.remote or ""):
            return web.Response(status=403)
        path = self._guard.path_of(request.path_qs)
        if path is None or len(request.headers) > HEADERS_MAX:
            return web.Response(status=404)
        if self.flow.holding:
            return _come_again()
        answer = await self._take(request, path)
        self._quiet_since.pop(request.protocol, None)
        return answer

    async def _take(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        try:
            async with asyncio.timeout(BODY_S_MAX):
                body = await self._body(request)
        except TimeoutError:
            return web.Response(status=408)
        if body is None:
            return web.Response(status=413)
        if not self._guard.believes(body, request.headers.get(self._guard.hmac_header, "")):
            return web.Response(status=403)
        self._trusted.add(request.protocol)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await self._work(Message(f"{request.method} {path}", body, headers))

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """None when there is more of it than the family takes."""
        body = b""
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > self._family.message_bytes_max:
                return None
        return body

    async def _work(self, message: Message) -> web.StreamResponse:
        try:
            results = self._session.receive(message, clock.now())
            answers = self._session.to_send()
            async with asyncio.timeout(DURABLE_S_MAX):
                error = await hand_over(self._wiring, self.flow, results)
        except TimeoutError:
            self._begin_anew()
            return _come_again()
        except Exception:
            self._begin_anew()
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            return web.Response(status=500)
        if error is not None:
            self._begin_anew()
            return _come_again()
        return _response(answers[-1]) if answers else web.Response(status=self._status_of(results))

    def _status_of(self, results: Sequence[Result]) -> int:
        """When the session says nothing."""
        reasons = {result.reason for result in results if isinstance(result, Rejected)}
        if not reasons or any(isinstance(result, Observation) for result in results):
            return 200
        if reasons == {"not enrolled"}:
            return 403 if self._family.strangers_told else 200
        return 400 if self._family.unreadable_told else 200

    def _begin_anew(self) -> None:
        """A session that does not believe that it has told what nobody took."""
        self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)


def _response(answer: Message) -> web.Response:
    headers = {name: value for name, value in answer.headers.items() if name != "status"}
    return web.Response(status=int(answer.headers.get("status", "200")), body=answer.data, headers=headers)


def _come_again() -> web.Response:
    return web.Response(status=503, headers={"retry-after": AGAIN_S})
