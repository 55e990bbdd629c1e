"""Doors that a session drives by requests to its device: what was asked, what the device answered, what its lock says.
Pure; bounded (devices.asked).

Rules
- A door has one request at a time under way.
- The device's answer is accepted or refused; the lock's own event, also when it comes before that, is confirmed.
- No answer says nothing: the door may have acted.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

from devices.asked import Asked, Waiting, check_args, until, whole
from devices.family import CommandKind, CommandRefused, DeviceCommand, Message
from devices.observation import Result

DOORS_MAX = 256
DOOR = {"door": f"its number, 1-{DOORS_MAX}; 1 when it is left out"}


class Way(Struct, frozen=True):
    """How a device is asked for one command: its word for it, and the Event with which a door confirms it."""

    meaning: str
    word: str
    confirmation: str


def kinds_of(ways: Mapping[str, Way]) -> tuple[CommandKind, ...]:
    return tuple(CommandKind(name=name, meaning=way.meaning, args=DOOR) for name, way in ways.items())


class Doors:
    def __init__(
        self, ways: Mapping[str, Way], request: Callable[[int, str], Message], refusal: Callable[[Message], str]
    ) -> None:
        """`request` of a door and a word; `refusal`: why the device did not do it, "" when it did."""
        self._ways = ways
        self._kinds = {kind.name: kind for kind in kinds_of(ways)}
        self._request = request
        self._refusal = refusal
        self.forget()

    def forget(self) -> None:
        """What is under way will not be answered any more."""
        self._asked: Waiting[int] = Waiting()
        self._doors: dict[str, int] = {}  # request under way -> its door
        self._expected: Waiting[tuple[int, str]] = Waiting()

    def drive(self, command: DeviceCommand, now: datetime) -> Message:
        check_args(self._kinds, command)
        door, way = whole(command.args, "door", 1, DOORS_MAX, 1), self._ways[command.action]
        if self._asked.find(door, now):
            raise CommandRefused(f"door {door} has not answered the command before this one")
        request = self._request(door, way.word)
        asked = Asked(command.nonce, command.action, until(now))
        self._asked.add(door, asked)
        self._doors = {channel: one for channel, one in self._doors.items() if one != door} | {request.channel: door}
        self._expected.add((door, way.confirmation), asked)
        return request

    def answered(self, request: Message, answer: Message, now: datetime) -> list[Result]:
        asked = self._asked.take(self._doors.pop(request.channel, 0), now)
        if asked is None or not answer.headers.get("status"):
            return []
        if reason := self._refusal(answer):
            self._expected.forget(asked.nonce)
            return [asked.answer("refused", reason)]
        return [asked.answer("accepted")]

    def happened(self, door: int, event: str, now: datetime) -> list[Result]:
        """A door told of itself."""
        asked = self._expected.take((door, event), now)
        return [asked.answer("confirmed")] if asked is not None else []
