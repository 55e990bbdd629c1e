"""Joining the sub-packets of JT/T 808 messages. Pure; one `Parts` a link.

Rules
- A message is known by (phone, id, total). A part whose serial number belongs to another message of that key starts
  anew, so that halves of two messages are never joined, unless that part was asked for: some terminals number again.
- PARTS_S_MAX after its first part an incomplete message is given up. What is given up is said to be.
- Bounded: PARTS_MAX parts a message, JOINING_MAX messages and JOINING_BYTES_MAX bytes a link. A message that cannot fit
  is refused at its first part (photos and recordings are not read here); for one that fits the oldest are given up.
"""

from datetime import datetime, timedelta

from msgspec import Struct, field
from msgspec.structs import replace

from devices.families.jt808_wire import Message

PARTS_S_MAX = 30.0
PARTS_MAX = 256
JOINING_MAX = 32
JOINING_BYTES_MAX = 128_000
ASKED_MAX = 255  # the count has one byte

Key = tuple[bytes, int, int]


class Joining(Struct):
    """Sub-packets of one message so far; `asked`: indexes that were missing when the last part came."""

    since: datetime
    first_serial: int
    parts: dict[int, bytes] = field(default_factory=dict)
    asked: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        return sum(map(len, self.parts.values()))


class Joined(Struct, frozen=True):
    """What one part led to: the whole message, parts to ask for, a refusal, or (nothing set) waiting."""

    whole: Message | None = None
    first_serial: int = 0
    missing: tuple[int, ...] = ()
    refused: str = ""


class Parts:
    def __init__(self) -> None:
        self._joining: dict[Key, Joining] = {}
        self._lost: list[bytes] = []  # phones

    @property
    def size(self) -> int:
        """Bytes held."""
        return sum(joining.size for joining in self._joining.values())

    def expire(self, now: datetime) -> None:
        patience = timedelta(seconds=PARTS_S_MAX)
        for key in [key for key, joining in self._joining.items() if now - joining.since > patience]:
            self._give_up(key)

    def given_up(self) -> list[bytes]:
        """Take the phones of the messages that never became whole, one for each message."""
        lost, self._lost = self._lost, []
        return lost

    def add(self, message: Message, now: datetime) -> Joined:
        total, index = message.total, message.index
        if not 1 <= index <= total:
            return Joined(refused="sub-packet number wrong")
        if total > PARTS_MAX or (total - 1) * len(message.body) > JOINING_BYTES_MAX:
            return Joined(refused="sub-packets too large")
        key = (message.phone, message.id, total)
        joining = self._of(key, message, now)
        joining.parts[index] = message.body
        if not self._fits(key):
            return Joined(refused="sub-packets too large")
        missing = tuple(number for number in range(1, total + 1) if number not in joining.parts)
        if not missing:
            del self._joining[key]
            body = b"".join(joining.parts[number] for number in range(1, total + 1))
            whole = replace(message, serial=joining.first_serial, total=0, index=0, body=body)
            return Joined(whole=whole)
        if index < total:
            return Joined()
        joining.asked = frozenset(missing[:ASKED_MAX])
        return Joined(first_serial=joining.first_serial, missing=missing[:ASKED_MAX])

    def _of(self, key: Key, message: Message, now: datetime) -> Joining:
        first_serial = (message.serial - message.index + 1) & 0xFFFF
        joining = self._joining.get(key)
        if joining is not None and joining.first_serial != first_serial and message.index not in joining.asked:
            self._give_up(key)
            joining = None
        if joining is None:
            if len(self._joining) >= JOINING_MAX:
                self._give_up(next(iter(self._joining)))
            joining = self._joining[key] = Joining(now, first_serial)
        return joining

    def _give_up(self, key: Key) -> None:
        del self._joining[key]
        self._lost.append(key[0])

    def _fits(self, key: Key) -> bool:
        """Make room for the message `key` by giving up others, oldest first; False when it has to go itself."""
        for other in [other for other in self._joining if other != key]:
            if self.size <= JOINING_BYTES_MAX:
                break
            self._give_up(other)
        if self.size <= JOINING_BYTES_MAX:
            return True
        del self._joining[key]
        return False
