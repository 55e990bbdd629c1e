"""The stream of changes (server-sent events).

Rules
- `hello` first, then what `hub.live` tells, and every HEARTBEAT_S a comment, so that nobody in between closes it.
- With each comment, however much else there is to tell, the session is looked up again: what another hub ended, or
  whose user is gone, ends here then. What this hub ended (`Auth`) ends at once, and so does a session that expires.
- It ends, too, when the hub stops, and when the client does not take what was sent for SEND_S_MAX.
"""

import asyncio
from contextlib import AsyncExitStack, suppress

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from hub import clock
from hub.api_parts import Given, GivenAuth, Whose
from hub.api_problems import Refused
from hub.auth import Auth, Session
from hub.live import Subscription, TooManyClients, frame
from hub.store import DatabaseUnavailable

HEARTBEAT_S = 15.0
SEND_S_MAX = 30.0
FULL_RETRY_S = 5
HEARTBEAT = b":\n\n"

router = APIRouter(tags=["live"])


class EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, held: AsyncExitStack, client: Subscription, hello: bytes, auth: Auth, session: Session) -> None:
        """`held` closes the subscription, however the stream ends."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._held = held
        self._client = client
        self._hello = hello
        self._auth = auth
        self._session = session
        self._due_at = clock.monotonic() + HEARTBEAT_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held, asyncio.TaskGroup() as group:
            leaving = group.create_task(self._wait_for_leaving(receive))
            with suppress(OSError, TimeoutError):
                await self._stream(send)
            leaving.cancel()

    async def _stream(self, send: Send) -> None:
        """Until there is nothing more to say; raises OSError, TimeoutError when nobody listens."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _send(send, self._hello)
        while (piece := await self._next()) is not None:
            await _send(send, piece)
        await _send(send, b"", more=False)

    async def _next(self) -> bytes | None:
        """The next piece of the stream, a heartbeat when it is time for one; None at the end."""
        lasts_s = (self._session.expires_at - clock.now()).total_seconds()
        left_s = min(self._due_at - clock.monotonic(), lasts_s)
        try:
            if left_s > 0:
                async with asyncio.timeout(left_s):
                    return await self._client.next_frame()
        except StopAsyncIteration:
            return None
        except TimeoutError:
            pass
        self._due_at = clock.monotonic() + HEARTBEAT_S
        return HEARTBEAT if await self._goes_on() else None

    async def _goes_on(self) -> bool:
        """Whether the session is still there. Not knowing is no reason to end: the stream itself needs no database."""
        if self._session.expires_at <= clock.now():
            return False
        with suppress(DatabaseUnavailable):
            return await self._auth.look_up(self._session.key) is not None
        return True

    async def _wait_for_leaving(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._client.end()


@router.get(
    "/live",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def live(parts: Given, auth: GivenAuth, session: Whose) -> Response:
    """Server-sent events, each with one JSON object as data.

    `hello` {hub, version, at} comes first; then `incident` (an Incident), `device` {device, last_seen, alarms},
    `positions` {items: [Position]} (the newest of each device, at most two a second), `gateway` (a Gateway), and
    `resync` {} when this client was too slow and must load everything again.
    """
    held = AsyncExitStack()
    try:
        client = await held.enter_async_context(parts.live.subscribe(session.key))
    except TooManyClients:
        raise Refused(503, "too many clients follow the stream", {"Retry-After": str(FULL_RETRY_S)}) from None
    hello = frame("hello", {"hub": parts.hub_id, "version": parts.health()["version"], "at": clock.now()})
    return EventStream(held, client, hello, auth, session)


async def _send(send: Send, piece: bytes, more: bool = True) -> None:
    async with asyncio.timeout(SEND_S_MAX):
        await send({"type": "http.response.body", "body": piece, "more_body": more})
