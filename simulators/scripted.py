"""What simulated devices have in common: the mail, the chance, the periods. Each family's module adds its wire.

A module has a subclass of `Talker` (bytes) or `Sender` (whole messages) that says:
- `WHAT` ("a smoke detector"), `ACTIONS` (name -> what may be said to it), `CONFIRMED` (by wire or transport, or not)
- `happened(action, said, at)` and `measured(at)`: what it reports then, by `tell` or `remark`
- where its protocol has them: `hello`, `alive`, `heard`
"""

import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from msgspec import Struct

from simulators.device import Accepted, Every, Mailbag, NoArgs, OwnSeconds, Packet, Report, Seconds
from simulators.device import args_of as _args_of
from simulators.whereabouts import Moving, Spot, Whereabouts

KEYS = 60_000

_Frame = TypeVar("_Frame", bytes, Packet)


class Periods(Struct, frozen=True, forbid_unknown_fields=True):
    """`report_every_s`: of measurements and positions, 0 = never. `heartbeat_s`: of signs of life, 0 = never."""

    report_every_s: Seconds = 30.0
    heartbeat_s: Seconds = 60.0


class Placed(Moving, frozen=True, forbid_unknown_fields=True):
    """Periods of a device that knows where it is."""

    report_every_s: Seconds = 30.0
    heartbeat_s: Seconds = 60.0


class Scripted(Generic[_Frame]):
    WHAT: ClassVar[str]
    FAMILY: ClassVar[str]
    ACTIONS: ClassVar[Mapping[str, type[Struct]]]
    CONFIRMED: ClassVar[bool] = True

    def __init__(self, native_id: str, periods: Periods | Placed, seed: int) -> None:
        self.native_id = native_id
        self.chance = random.Random(f"{seed}/{self.FAMILY}/{native_id}")
        self._mail: Mailbag[_Frame] = Mailbag(unconfirmed=not self.CONFIRMED)
        self._key = self.chance.randrange(KEYS)
        self._seconds = OwnSeconds()
        self._periods = periods
        self._report, self._heartbeat = Every(periods.report_every_s), Every(periods.heartbeat_s)
        self._received = b""
        self._whereabouts = Whereabouts(periods, f"{seed}/{native_id}") if isinstance(periods, Placed) else None
        self.ready = True  # False: reports wait until it has logged in, or is asked

    # --- what a family fills in ---

    def hello(self, now: datetime) -> None:
        """A new connection."""

    def alive(self, now: datetime) -> None:
        """The sign of life is due."""

    def measured(self, at: datetime) -> None:
        """The periodic report is due."""

    def happened(self, action: str, said: Any, at: datetime) -> None:
        raise NotImplementedError

    # --- what it says ---

    def where(self, at: datetime) -> Spot:
        """Of a device that is `Placed`."""
        assert self._whereabouts is not None
        return self._whereabouts.move(at)

    def next_key(self) -> int:
        self._key = self._key % KEYS + 1
        return self._key

    def tell(self, key: int, frame: _Frame, *rows: Accepted) -> None:
        """A report: these rows are true once it is confirmed."""
        self._mail.report(Report(key, frame, list(rows)))

    def remark(self, frame: _Frame) -> None:
        """Something that needs no confirmation."""
        self._mail.say(frame)

    def row(self, kind: str, at: datetime, component: str = "", **values: Any) -> Accepted:
        device = f"{self.FAMILY}:{self.native_id}"
        return Accepted(device=device, kind=kind, observed_at=at, component=component, values=values)

    # --- see simulators.device ---

    @property
    def unanswered(self) -> int:
        return len(self._mail)

    def connected(self, now: datetime) -> None:
        self._received = b""
        self._mail.start_over()
        self.hello(now)

    def act(self, action: str, args: dict[str, Any], now: datetime) -> None:
        said = _args_of(self.ACTIONS, self.WHAT, action, args)
        self.happened(action, said, self._seconds.take(now))

    def tick(self, now: datetime) -> None:
        if self._periods.report_every_s and self._seconds.free(now) and self._report.due(now):
            self.measured(self._seconds.take(now))
        if self._periods.heartbeat_s and self._heartbeat.due(now):
            self.alive(now)
        if self.ready:
            self._mail.send_due(now)

    def to_send(self) -> list[_Frame]:
        return self._mail.take_out()

    def accepted(self) -> list[Accepted]:
        return self._mail.take_accepted()

    def said(self) -> list[Accepted]:
        return self._mail.take_said()

    def owed(self) -> list[Accepted]:
        return self._mail.owed()

    def confirm(self, key: int) -> None:
        self._mail.confirm(key)


class Talker(Scripted[bytes]):
    """Of links that carry bytes. `STREAM`: over HTTP, how the path of the endless answer begins."""

    STREAM: ClassVar[str] = "/"

    def answer(self, method: str, path: str, now: datetime) -> bytes | None:
        """What it says over HTTP beside its stream; None when it knows no such path."""
        return None

    def heard(self, received: bytes, now: datetime) -> bytes:
        """Read what came; what is left of it waits for more."""
        return b""

    def receive(self, data: bytes, now: datetime) -> None:
        self._received = self.heard(self._received + data, now)


class Sender(Scripted[Packet]):
    """Of links that keep messages apart; the transport confirms them. `SAME_PORTS`: a datagram comes from the port that
    it goes to, as answers to it go there."""

    SAME_PORTS: ClassVar[bool] = False

    def receive(self, packet: Packet, now: datetime) -> None:
        """Most devices are not spoken to."""

    def send(self, channel: str, data: bytes, *rows: Accepted, **headers: str) -> None:
        key = self.next_key()
        self.tell(key, Packet(channel, data, key, headers), *rows)


def no_args(*actions: str) -> dict[str, type[NoArgs]]:
    return dict.fromkeys(actions, NoArgs)
