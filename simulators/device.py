"""The device side of a link, as a machine without a socket, and what it was told was accepted.

Every simulator module has `build(native_id, settings, seed) -> SimulatedDevice`. Devices keep what was not answered and
send the same bytes again, after RESEND_S and on every new connection, until the other side confirms: the rows of
`accepted` are the ground truth that nothing may be lost from, whatever was killed in between.

Many protocols confirm nothing. Their devices say each thing once (`Mailbag.unconfirmed`), and what they said is told
apart from what was accepted: it may have been lost.

Encoders here are written from the byte tables, apart from devices.families, so that the two check each other.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, Protocol, TypeVar

from msgspec import Meta, Struct, ValidationError, convert, field

RESEND_S = 5.0
Seconds = Annotated[float, Meta(ge=0, le=1_000_000)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
METRES_PER_DEGREE = 111_320.0  # of latitude, nearly: enough to stray by

UNANSWERED_MAX = 5_000  # reports that a device keeps; beyond it the oldest is gone, as in real ones


class Accepted(Struct, frozen=True, kw_only=True):
    """One report that was confirmed on the wire. `kind`: an alarm, an event, "position" or "telemetry"."""

    device: str
    kind: str
    observed_at: datetime
    component: str = ""
    values: dict[str, Any] = {}


class Packet(Struct, frozen=True):
    """A whole message, of transports that keep them apart. `channel`: the MQTT topic, "POST /path" of HTTP, the port of
    a datagram. `key`: of the report that the transport confirms with it, None for what needs no confirmation."""

    channel: str
    data: bytes
    key: int | None = None
    headers: dict[str, str] = {}


_Frame = TypeVar("_Frame", bytes, Packet)


class _Device(Protocol[_Frame]):
    native_id: str

    def connected(self, now: datetime) -> None:
        """A new connection is there: log in, and send again what was not answered."""

    def act(self, action: str, args: dict[str, Any], now: datetime) -> None:
        """Something happens in the device's world; raises ActionError for what it cannot do."""

    def tick(self, now: datetime) -> None:
        """Time passes: heartbeats, periodic reports, sending again."""

    def to_send(self) -> list[_Frame]:
        """Take the frames that wait, in order."""

    def accepted(self) -> list[Accepted]:
        """Take the rows that were confirmed since last asked."""

    def said(self) -> list[Accepted]:
        """Take the rows that were sent and that nobody will ever confirm."""

    def owed(self) -> list[Accepted]:
        """Take the rows of the reports that wait, and forget these: for the ground truth, where nobody answers."""

    @property
    def unanswered(self) -> int:
        """How many reports wait for their confirmation."""


class SimulatedDevice(_Device[bytes], Protocol):
    """A device whose link carries bytes."""

    def receive(self, data: bytes, now: datetime) -> None:
        """Bytes from the other side."""


class MessageDevice(_Device[Packet], Protocol):
    """A device whose link keeps messages apart and confirms them itself."""

    def confirm(self, key: int) -> None:
        """The transport has confirmed the packet with this key."""

    def receive(self, packet: Packet, now: datetime) -> None:
        """A message from the other side."""


class ActionError(ValueError):
    """The scenario asks a device for something that it cannot do."""


class NoArgs(Struct, frozen=True, forbid_unknown_fields=True):
    """Most actions need nothing to be said."""


_Args = TypeVar("_Args", bound=Struct)


def args_of(known: Mapping[str, type[_Args]], device: str, action: str, args: Mapping[str, Any]) -> _Args:
    """What a scenario says to an action, checked; raises ActionError. `device` as in "a panel"."""
    if action not in known:
        raise ActionError(f"{device} cannot {action}; it can {', '.join(known)}")
    try:
        return convert(args, known[action])
    except ValidationError as error:
        raise ActionError(f"{action}: {str(error).replace(' - at `$', ' - at `args')}") from error


class Report(Struct, Generic[_Frame]):
    """One frame that must be confirmed, and the rows that are true once it is. `sent_at` None: not on this link."""

    key: int  # what the confirmation names: serial number or index
    frame: _Frame
    rows: list[Accepted] = field(default_factory=list)
    sent_at: datetime | None = None


class Mailbag(Generic[_Frame]):
    """The reports of one device that are not confirmed yet, sent in order and again when nothing comes back.

    `unconfirmed`: nothing ever comes back; a report is said once and counts as said when it is taken out."""

    def __init__(self, unconfirmed: bool = False) -> None:
        self._unconfirmed = unconfirmed
        self._waiting: deque[Report[_Frame]] = deque()
        self._out: list[_Frame] = []
        self._accepted: list[Accepted] = []
        self._said: list[Accepted] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def say(self, frame: _Frame) -> None:
        """Send something that needs no confirmation."""
        self._out.append(frame)

    def report(self, report: Report[_Frame]) -> None:
        self._waiting.append(report)
        if len(self._waiting) > UNANSWERED_MAX:
            self._waiting.popleft()

    def start_over(self) -> None:
        """A new connection: what was said on the old one counts for nothing."""
        self._out.clear()
        for report in self._waiting:
            report.sent_at = None

    def send_due(self, now: datetime) -> None:
        patience = timedelta(seconds=RESEND_S)
        for report in self._waiting:
            if report.sent_at is None or now - report.sent_at > patience:
                report.sent_at = now
                self._out.append(report.frame)
        if self._unconfirmed:
            self._said += [row for report in self._waiting for row in report.rows]
            self._waiting.clear()

    def confirm(self, key: int) -> bool:
        """The other side has this report; whether we were waiting for that."""
        for report in self._waiting:
            if report.key == key and report.sent_at is not None:
                self._waiting.remove(report)
                self._accepted += report.rows
                return True
        return False

    def owed(self) -> list[Accepted]:
        """Take the rows of all reports that wait, and the reports with them."""
        rows = [row for report in self._waiting for row in report.rows]
        self._waiting.clear()
        return rows

    def take_out(self) -> list[_Frame]:
        out, self._out = self._out, []
        return out

    def take_accepted(self) -> list[Accepted]:
        accepted, self._accepted = self._accepted, []
        return accepted

    def take_said(self) -> list[Accepted]:
        """What was said and cannot be confirmed."""
        said, self._said = self._said, []
        return said


class OwnSeconds:
    """The whole seconds that a device's reports name, each only once.

    The first report on a new connection makes the other side clear whatever it does not raise. With a second of its
    own for each report, that is never taken for a second storing of what another report has claimed.
    """

    def __init__(self) -> None:
        self._last: datetime | None = None

    def free(self, now: datetime) -> bool:
        """Whether this second is not taken: a periodic report waits for that."""
        return self._last is None or now.replace(microsecond=0) > self._last

    def take(self, now: datetime) -> datetime:
        """This second, or the next one that is free."""
        at = now.replace(microsecond=0)
        if self._last is not None and at <= self._last:
            at = self._last + timedelta(seconds=1)
        self._last = at
        return at


class Every:
    """Due at most once in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._pause = timedelta(seconds=seconds)
        self._last: datetime | None = None

    def due(self, now: datetime) -> bool:
        if self._last is not None and now - self._last < self._pause:
            return False
        self._last = now
        return True
