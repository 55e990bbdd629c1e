"""Family: all devices speaking one protocol. Session: the protocol state of one link, a machine without a socket.

Rules every Session keeps (the property suite in tests/devices runs over FAMILIES):
- `receive` never raises, whatever the bytes; cutting the same bytes differently gives the same results.
- A good frame after noise comes out. At most `frame_bytes_max` bytes wait inside.
- Replies wait in `to_send` until the caller has made the results durable: a device is answered only after acceptance.
- A device outside `enrolled` yields Rejected("not enrolled") and no observation.
- No clock: `now` (aware UTC) is an argument.
"""

from collections.abc import Callable, Container
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from devices.observation import Result


class Session(Protocol):
    def receive(self, data: bytes, now: datetime) -> list[Result]:
        """Take bytes as they came; return what they meant."""

    def idle(self, now: datetime) -> list[Result]:
        """Silence inside a frame, or the end of the stream: give up on the half frame, rescan behind its mark."""

    def to_send(self) -> bytes:
        """Take the replies that wait; the caller writes them to the link."""


class Family(Struct, frozen=True, kw_only=True):
    """What the edge must know of a protocol before it opens a link. Sizes in bytes, times in seconds."""

    name: str
    title: str
    links: tuple[str, ...]  # link kinds it can run on: "tcp_server"
    integrity: str  # "" when the protocol has none
    frame_bytes_max: int
    silence_s_max: float  # silent for longer: P2 lost_contact
    settings: type[Struct]  # what an installer may set, unknown keys refused
    open_session: Callable[[Any, Container[str]], Session]  # (settings, enrolled native ids)


class Everyone:
    """The container that holds every native id: for `gridward decode`, where nothing is enrolled yet."""

    def __contains__(self, native_id: object) -> bool:
        return True
