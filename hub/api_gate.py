"""What every request passes before any route sees it. An ASGI middleware, so that no route can forget it.

Rules
- Everything below /api/ needs a session, but PUBLIC. A route that does not exist is no exception.
- A token in the Authorization header counts before the cookie.
- A request that changes something and came with the cookie, or logs in, must come from our own pages: what the
  browser says of its origin must fit. Without a browser there is nothing to say.
- A body is read here, at most BODY_BYTES_MAX within BODY_S_MAX.
- Answers of the API are never kept by anyone in between.
"""

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api_problems import problem, unavailable
from hub.auth import Auth, Session
from hub.store import DatabaseUnavailable

API = "/api/"
LOGIN = "/api/v1/login"
PUBLIC = frozenset({LOGIN, "/api/v1/health"})
COOKIE = "gridward_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_BYTES_MAX = 64 * 1024
BODY_S_MAX = 10
UNAUTHENTICATED = {"WWW-Authenticate": "Bearer"}


class Gate:
    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _protected(scope, send)
        try:
            receive = await self._admit(scope, receive)
        except _Turned as away:
            await problem(away.status, away.detail, away.headers)(scope, receive, send)
        except DatabaseUnavailable:
            await unavailable()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """What to read the request from; raises _Turned, DatabaseUnavailable. Leaves the session in the scope."""
        path: str = scope["path"]
        headers = Headers(scope=scope)
        if "\0" in path or b"%00" in scope["query_string"]:
            raise _Turned(422, "a NUL character is not possible here")
        if path.startswith(API) and path not in PUBLIC:
            session, by_cookie = await self._session(headers)
            if by_cookie and scope["method"] not in SAFE_METHODS:
                _check_origin(headers)
            scope["gridward.session"] = session
        elif path == LOGIN:
            _check_origin(headers)
        if scope["method"] in SAFE_METHODS:
            return receive
        return _replay(await _read(headers, receive), receive)

    async def _session(self, headers: Headers) -> tuple[Session, bool]:
        """(session, whether it was the cookie that said so)."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        by_cookie = not scheme
        if by_cookie:
            token = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        elif scheme.lower() != "bearer":
            token = ""
        session = await self._auth.session(token.strip()) if token.strip() else None
        if session is None:
            detail = "the session is over or was never there: log in" if token else "log in first"
            raise _Turned(401, detail, UNAUTHENTICATED)
        return session, by_cookie


def session_of(request: Request) -> Session:
    """Whose request it is, behind the gate."""
    session: Session = request.scope["gridward.session"]
    return session


class _Turned(Exception):
    """Turned away at the gate."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def _check_origin(headers: Headers) -> None:
    """What a browser says of where the request comes from must be this host."""
    origin = headers.get("origin")
    if origin is not None and _host_of(origin) != headers.get("host", "").lower():
        raise _Turned(403, "the request comes from a page of another origin")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise _Turned(403, "the request comes from a page of another site")


def _host_of(origin: str) -> str | None:
    """As a Host header would say it; None when it is no origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


async def _read(headers: Headers, receive: Receive) -> bytes:
    """The whole body."""
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length) > BODY_BYTES_MAX:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            return await _read_pieces(receive)
    except TimeoutError:
        raise _Turned(408, f"the body did not come within {BODY_S_MAX} s", {"Connection": "close"}) from None


async def _read_pieces(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
        if not message.get("more_body", False):  # the last, or the client has left
            return bytes(body)


def _too_large() -> _Turned:
    return _Turned(413, f"a body has at most {BODY_BYTES_MAX} bytes", {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then whatever comes after it (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _protected(scope: Scope, send: Send) -> Send:
    """Headers that every answer has."""
    api = scope["path"].startswith(API)

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
            if api:
                headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return with_headers
