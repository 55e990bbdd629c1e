"""What the API is made of: the parts of the running hub that it shows and drives, given to it once."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from hub.live import Live
from hub.store import Store

# (gateway, action, target, value, actor) -> {"nonce", "result", "reason"}; waits a few seconds for the gateway.
SendCommand = Callable[[str, str, str, str, str], Awaitable[dict[str, Any]]]


class Parts(Struct, frozen=True, kw_only=True):
    """`health`: the body of GET /health; `metrics`: Prometheus text; `console`: the built console, when there is one."""

    store: Store
    live: Live
    hub_id: str
    session_hours: float
    health: Callable[[], dict[str, Any]]
    metrics: Callable[[], bytes]
    command: SendCommand
    console: Path | None = None
