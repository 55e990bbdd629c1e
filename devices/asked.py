"""What the devices of a link were asked and have not answered yet, and what people say to a command. Pure; bounded.

Rules
- A command waits under a key of its protocol's own: a serial number, or the word of the answer.
- It is forgotten once it is answered for good, at `until`, and when more than WAITING_MAX wait: the oldest first.
  Forgetting costs an answer, nothing else; whoever gave the command has a time limit of its own.
- A command is never sent a second time: it would act after its person was told that it has expired.
"""

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from msgspec import Struct

from devices.family import CommandKind, CommandRefused, DeviceCommand
from devices.observation import CommandAnswer, CommandOutcome

WAITING_MAX = 200
ANSWER_S_MAX = 60.0
ARG_CHARS_MAX = 2_000

Key = TypeVar("Key", bound=Hashable)


class Asked(Struct, frozen=True):
    """`kind` and `wanted`: what its family must know of the command to read the answer."""

    nonce: str
    kind: str
    until: datetime
    wanted: Mapping[str, str] = {}

    def answer(self, result: CommandOutcome, reason: str = "") -> CommandAnswer:
        return CommandAnswer(nonce=self.nonce, result=result, reason=reason)


class Waiting(Generic[Key]):
    def __init__(self) -> None:
        self._asked: dict[Key, Asked] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def add(self, key: Key, asked: Asked) -> None:
        self._asked.pop(key, None)
        if len(self._asked) >= WAITING_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[key] = asked

    def find(self, key: Key, now: datetime) -> Asked | None:
        """What waits for this answer; a further answer may come."""
        asked = self._asked.get(key)
        if asked is not None and asked.until < now:
            del self._asked[key]
            return None
        return asked

    def take(self, key: Key, now: datetime) -> Asked | None:
        """What waits for this answer, its last one."""
        asked = self.find(key, now)
        self._asked.pop(key, None)
        return asked

    def forget(self, nonce: str) -> None:
        """Under whatever keys it waits."""
        for key in [key for key, asked in self._asked.items() if asked.nonce == nonce]:
            del self._asked[key]


def until(now: datetime, seconds: float = ANSWER_S_MAX) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:  # a clock at the end of the calendar
        return now


def check_args(kinds: Mapping[str, CommandKind], command: DeviceCommand) -> None:
    """Refuse an action that the family does not have, and arguments that it does not take."""
    kind = kinds.get(command.action)
    if kind is None:
        raise CommandRefused(f"no command {command.action!r}; there are {', '.join(kinds)}")
    unknown = sorted(set(command.args) - set(kind.args))
    if unknown and not kind.other_args:
        takes = ", ".join(kind.args) or "no arguments"
        raise CommandRefused(f"{command.action} does not take {', '.join(unknown)}; it takes {takes}")
    if any(len(text) > ARG_CHARS_MAX for text in command.args.values()):
        raise CommandRefused(f"an argument has more than {ARG_CHARS_MAX} characters")


def whole(args: Mapping[str, str], name: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number among the arguments."""
    text = args.get(name, "")
    if not text and default is not None:
        return default
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 10 and low <= int(text) <= high:
        return int(text)
    raise CommandRefused(f"{name}: {text!r} is no whole number from {low} to {high}")


def chosen(args: Mapping[str, str], name: str, words: Mapping[str, Key], default: str = "") -> Key:
    """What one of the words stands for."""
    word = args.get(name, "") or default
    if word in words:
        return words[word]
    raise CommandRefused(f"{name}: {word!r} is none of {', '.join(words)}")
