"""Family: all devices speaking one protocol. Session: the protocol state of one link, a machine without a socket.

A link either carries bytes (TCP, serial, datagrams: `Family`, `Session`) or keeps whole messages apart (MQTT, HTTP,
advertisements, register reads: `MessageFamily`, `MessageSession`). The family says which; the edge knows the links.

Rules every Session keeps (the property suite in tests/devices runs over FAMILIES):
- `receive` never raises, whatever the bytes; cutting the same bytes differently gives the same results.
- A good frame after noise comes out. At most `frame_bytes_max` bytes wait inside.
- Replies wait in `to_send` until the caller has made the results durable: a device is answered only after acceptance.
- A device outside `enrolled` yields Rejected("not enrolled") and no observation.
- No clock: `now` (aware UTC) is an argument.
- Commands to devices go out by `to_send` as answers do; what devices say to them are results (Commanded).
"""

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from devices.observation import Result


class Session(Protocol):
    def receive(self, data: bytes, now: datetime) -> list[Result]:
        """Take bytes as they came; return what they meant."""

    def idle(self, now: datetime) -> list[Result]:
        """Silence inside a frame, or the end of the stream: give up on the half frame, rescan behind its mark."""

    def to_send(self) -> bytes:
        """Take the replies that wait; the caller writes them to the link."""


class DeviceCommand(Struct, frozen=True, kw_only=True):
    """One act asked of one device: `action` is the name of a CommandKind of its family, `args` what that kind needs."""

    nonce: str
    native_id: str
    action: str
    args: Mapping[str, str] = {}


class CommandKind(Struct, frozen=True, kw_only=True):
    """An act that devices of a family can be asked for. `args`: name -> what may stand there, for people. `other_args`:
    further names are allowed (terminal parameters by number)."""

    name: str
    meaning: str
    args: Mapping[str, str] = {}
    other_args: bool = False


class CommandRefused(ValueError):
    """A command that cannot be sent; the text says why, for the person who gave it."""


@runtime_checkable
class Commanded(Protocol):
    """A Session or MessageSession whose family has `commands`."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        """Put it into `to_send`; what the device says to it comes out of `receive` as a CommandAnswer. A device that
        never answers has none; the caller's time limit ends the wait. Raises CommandRefused."""


class Example(Struct, frozen=True):
    """A device, and its link where that needs more than an address, as an installer would write them (docs/families).
    `link`: its keys, for the kinds that have them ("url", "topics"); `settings` of the family. `kinds`: what a link of
    one kind has over these; its "settings", too."""

    native_id: str
    link: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    kinds: Mapping[str, Mapping[str, Any]] = {}


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
    one_connection: bool = False  # of a device at a time: a newer one replaces the older
    asks_every_s: float = 0.0  # above 0 the session speaks first: `idle` is called so often while the line is silent
    commands: tuple[CommandKind, ...] = ()
    native_id: str = ""  # what names a device of this family, for people; the page of every family has it
    native_id_pattern: str = ""  # what every such id looks like, where that is sure: another one is noted, not refused
    example: Example = Example("")
    kinds_by_settings: bool = False  # settings can name any metric or alarm of the dictionary
    lacks: Callable[[Any, str], str] | None = None  # (settings, native id) -> what they need for it and lack, else ""


class Message(Struct, frozen=True):
    """One whole message of a transport that keeps them apart.

    `channel` is the MQTT topic, the HTTP method and path ("POST /events"), the BLE address and characteristic, the
    place of a register read ("unit/1/holding/0"), or a datagram's ports and peer ("udp/4001/10.0.0.20:4001": ours
    first). `headers` have lower-case names ("content-type"); MQTT's retain flag is the header "retained": "1".
    """

    channel: str
    data: bytes
    headers: Mapping[str, str] = {}


@runtime_checkable
class Asking(Protocol):
    """A Session whose device is asked for more beside the stream that it gives: on http_stream, by further requests to
    the same host with the same login, one after the other. Such a session lives on when the stream is asked for again.
    """

    def begin(self, now: datetime) -> None:
        """The stream has begun (again); what was asked before will not be answered any more."""

    def requests(self) -> list[Message]:
        """Take what is to be asked now, oldest first."""

    def answered(self, request: Message, answer: Message, now: datetime) -> list[Result]:
        """What came back to one of them: the header "status" is that of HTTP, "" when there was no answer."""


class MessageSession(Protocol):
    """As Session, a message at a time. Nothing waits inside but what the protocol itself remembers."""

    def receive(self, message: Message, now: datetime) -> list[Result]:
        """Return what the message meant."""

    def to_send(self) -> list[Message]:
        """Take the answers that wait: what to publish, or the bodies of the HTTP answers, oldest first."""


class MessageFamily(Struct, frozen=True, kw_only=True):
    """What the edge must know of a protocol of messages. Sizes in bytes, times in seconds."""

    name: str
    title: str
    links: tuple[str, ...]  # "mqtt", "http_server", "http_client", "ble", "modbus", "datagrams"
    integrity: str
    message_bytes_max: int
    silence_s_max: float
    settings: type[Struct]
    open_session: Callable[[Any, Container[str]], MessageSession]
    commands: tuple[CommandKind, ...] = ()
    native_id: str = ""
    native_id_pattern: str = ""
    example: Example = Example("")
    kinds_by_settings: bool = False
    lacks: Callable[[Any, str], str] | None = None
    # Over HTTP, to a request that brought nothing else, where the session does not answer itself:
    strangers_told: bool = True  # 403 for a device that is not enrolled; not where one sender speaks for many
    unreadable_told: bool = True  # 400 for what cannot be read; not where it would be sent again for ever


AnyFamily = Family | MessageFamily


class Everyone:
    """The container that holds every native id: for `gridward decode`, where nothing is enrolled yet."""

    def __contains__(self, native_id: object) -> bool:
        return True
