"""Commands of the hub to devices: given to the link on which the device is, and answered as the device answers.

    command "device.locate" for "watch:8800000015" → link → session → wire      wire → session → intake → cmd_result

Rules
- Only to an enrolled device, and only what its family can be asked; `value` holds the arguments, a JSON object.
- It is sent at once or refused with the reason: what would wait for a device that is away would act when nobody expects
  it any more.
- "accepted", "refused" and "confirmed" are the device's own words. When it has said nothing at all until the command
  expires, the result is "expired": it may have acted all the same. "accepted" stands when nothing follows.
- At most WAITING_MAX wait for an answer. Arguments are not logged: telephone numbers and texts are people's.
"""

import asyncio
from collections.abc import Callable, Container, Iterable
from datetime import datetime
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from devices.documents import COMMAND_S_MAX, Command
from devices.envelope import CommandResult
from devices.family import AnyFamily, CommandRefused, DeviceCommand
from devices.observation import CommandAnswer, GatewayId
from edge import clock
from edge.flow import Link, NotHere

PREFIX = "device."
WAITING_MAX = 64

log = structlog.get_logger()

Args = dict[str, str | int | float]


class Waiting(Struct):
    command: Command
    timer: asyncio.TimerHandle
    accepted: bool = False


class DeviceCommands:
    def __init__(
        self,
        gateway: str,
        enrolled: Container[str],
        links: Callable[[], Iterable[tuple[AnyFamily, Link]]],
        answer: Callable[[CommandResult], None],
    ) -> None:
        self._gateway = gateway
        self._enrolled = enrolled
        self._links = links
        self._answer = answer
        self._waiting: dict[str, Waiting] = {}

    def cannot(self, command: Command) -> str:
        """Why a command is not sent, as far as that is known before its turn comes; "" when nothing is against it."""
        if command.target not in self._enrolled:
            return f"{command.target} is not enrolled at this gateway"
        try:
            msgspec.json.decode(command.value or "{}", type=Args)
        except msgspec.DecodeError:
            return "the value is no JSON object of texts and numbers"
        return ""

    def send(self, command: Command, now: datetime) -> str:
        """ "" once it is on its way, else why not."""
        if len(self._waiting) >= WAITING_MAX:
            return "too many commands wait for their devices"
        _, _, native_id = command.target.partition(":")
        args = msgspec.json.decode(command.value or "{}", type=Args)
        asked = DeviceCommand(
            nonce=command.nonce,
            native_id=native_id,
            action=command.action.removeprefix(PREFIX),
            args={name: str(value) for name, value in args.items()},
        )
        try:
            self._give(command.target, asked, now)
        except CommandRefused as error:
            return str(error)
        patience_s = min((command.expires_at - now).total_seconds(), COMMAND_S_MAX)
        timer = asyncio.get_running_loop().call_later(patience_s, self._expire, command.nonce)
        self._waiting[command.nonce] = Waiting(command, timer)
        return ""

    def answered(self, answer: CommandAnswer) -> None:
        """A device said something to a command; one that nobody waits for any more has been told already."""
        waiting = self._waiting.get(answer.nonce)
        if waiting is None:
            return
        if answer.result == "accepted":
            waiting.accepted = True
        else:
            waiting.timer.cancel()
            del self._waiting[answer.nonce]
        self._say(waiting.command, answer.result, answer.reason)

    def _give(self, target: str, asked: DeviceCommand, now: datetime) -> None:
        """To the link that has the device; raises CommandRefused."""
        links = [(family, link) for family, link in self._links() if target.startswith(f"{family.name}:")]
        if links and asked.action not in {kind.name for kind in links[0][0].commands}:
            able = ", ".join(kind.name for kind in links[0][0].commands) or "none"
            raise CommandRefused(f"no command {asked.action!r} for {target}; there are {able}")
        refused = CommandRefused(f"{target} is not connected")
        for _, link in links:
            try:
                link.command(asked, now)
            except NotHere:
                continue
            except CommandRefused as error:
                refused = error  # another link may have it
            else:
                return
        raise refused

    def _expire(self, nonce: str) -> None:
        waiting = self._waiting.pop(nonce)
        if not waiting.accepted:
            self._say(waiting.command, "expired", "the device has not answered; it may have acted all the same")

    def _say(
        self, command: Command, result: Literal["refused", "accepted", "confirmed", "expired"], reason: str
    ) -> None:
        log.info("device_command", device=command.target, action=command.action, nonce=command.nonce, result=result)
        self._answer(
            CommandResult(
                gateway=GatewayId(self._gateway), nonce=command.nonce, result=result, reason=reason, at=clock.now()
            )
        )
