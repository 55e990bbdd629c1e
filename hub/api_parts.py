"""What the API is made of: the parts of the running hub that it shows and drives, given to it once.

Routes ask for them as parameters: `parts: Given`, `auth: GivenAuth`, `session: Whose`.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends
from msgspec import Struct
from starlette.requests import Request

from hub.api_gate import session_of
from hub.auth import Auth, Session
from hub.documents import Documents
from hub.live import Live
from hub.reported import Reported
from hub.store import Store

# (gateway, action, target, value, actor) -> {"nonce", "result", "reason"}; waits a few seconds for the gateway.
SendCommand = Callable[[str, str, str, str, str], Awaitable[dict[str, Any]]]


class Parts(Struct, frozen=True, kw_only=True):
    """`health`: the body of GET /health; `metrics`: Prometheus text; `console`: the built console, if there is one."""

    store: Store
    live: Live
    hub_id: str
    session_hours: float
    health: Callable[[], dict[str, Any]]
    metrics: Callable[[], bytes]
    command: SendCommand
    documents: Documents
    reported: Reported
    key: Ed25519PrivateKey
    console: Path | None = None


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _auth(request: Request) -> Auth:
    auth: Auth = request.app.state.auth
    return auth


async def _session(request: Request) -> Session:
    return session_of(request)


Given = Annotated[Parts, Depends(_parts)]
GivenAuth = Annotated[Auth, Depends(_auth)]
Whose = Annotated[Session, Depends(_session)]
