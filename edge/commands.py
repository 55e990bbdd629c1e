"""Commands of the hub. Nothing acts that `devices.documents` does not trust, and nothing acts twice.

Rules
- Only a command that was issued after every command that acted before is taken. That one instant (the hub's own clock,
  signed) is all that has to be remembered; no clock of ours has a part in it, so neither a restart nor a wall clock
  that is set back, or wrong from the boot on, makes an old command good again. It is kept in state_dir/newest_command,
  and written there before the actuator is driven.
- A disk that does not take it within RECORD_S_MAX does not keep a person from the siren: the command acts, and the log
  says `command_not_recorded`.
- So that such a one does not act again after a restart, a command must also be issued since this agent started, as its
  clock shows that now. Where state_dir has no newest_command (a first start, a lost disk) CLOCK_SKEW_S_MAX later: the
  hub's clock may be ahead by that much.
- Every command that the hub meant for us is answered on `cmd_result`, with the reason when it is refused; a replayed
  one was answered before.
- A command to a device (`device.…`) is edge.device_commands' once its turn has come. They have a queue of their own, so
  that no siren waits behind them.
- They act one after the other, in the order of their coming; at most WAITING_MAX wait.

A command out of order (two hubs, a hub's clock set back by a little) is refused with the reason, and a person gives it
again. If clocks of hub and edge were both far ahead when a command acted, later ones are refused until that time comes:
stop the edge, remove newest_command, start it (docs/operate.md).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from devices.documents import CLOCK_SKEW_S_MAX, Command, TrustError, Untimely, verify_command
from devices.envelope import CommandResult
from devices.observation import GatewayId
from edge import clock, small_file
from edge.actuators import Actuators
from edge.device_commands import PREFIX, DeviceCommands
from edge.rules import Act
from edge.supervisor import apart, outcome_of

FILE_NAME = "newest_command"
FILE_BYTES_MAX = 64
RECORD_S_MAX = 0.2
WAITING_MAX = 64
NONCES_KEPT = 256  # only so that a second delivery of one that acted is not answered as out of order
JUST_STARTED = f"this gateway has just started and did nothing: give the command again in {CLOCK_SKEW_S_MAX:g} s"

log = structlog.get_logger()

Answer = Callable[[CommandResult], None]
Result = Literal["refused", "accepted", "confirmed", "expired"]


class Newest:
    """When the newest command that acted was issued, kept in a file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._writing: asyncio.Task[str] | None = None
        self.issued_at = self._written = clock.LONG_AGO
        try:
            self.issued_at = self._written = datetime.fromisoformat(self._path.read_bytes()[:FILE_BYTES_MAX].decode())
            self.known = self.issued_at.tzinfo is not None
        except FileNotFoundError:
            self.known = False
        except (OSError, ValueError) as error:
            self.known = False
            log.error("newest_command_unreadable", file=str(self._path), error=str(error))
        if not self.known:
            self.issued_at = self._written = clock.LONG_AGO

    async def record(self) -> str:
        """Make it durable: "" once it is, or why not, after RECORD_S_MAX at the latest."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        done, _ = await asyncio.wait([self._writing], timeout=RECORD_S_MAX)
        return self._writing.result() if done else f"not within {RECORD_S_MAX} s"

    async def _write(self) -> str:
        while (at := self.issued_at) != self._written:
            try:
                await apart(small_file.write, self._path, at.isoformat().encode())
            except (OSError, RuntimeError) as error:  # no room, or no thread to be had
                return str(getattr(error, "strerror", "") or error)
            self._written = at
        return ""


class Commands:
    """`run` and `run_devices` are tasks; `offer` what arrives."""

    def __init__(
        self,
        key: Ed25519PublicKey | None,
        gateway: str,
        *,
        actuators: Actuators,
        devices: DeviceCommands,
        answer: Answer,
        newest: Newest,
        started_at: float,
    ) -> None:
        """`started_at`: of this agent, in monotonic seconds."""
        self._key = key
        self._gateway = gateway
        self._actuators = actuators
        self._devices = devices
        self._answer = answer
        self._newest = newest
        self._started_at = started_at
        self._used: deque[str] = deque(maxlen=NONCES_KEPT)
        self._waiting: asyncio.Queue[Command] = asyncio.Queue(WAITING_MAX)
        self._waiting_devices: asyncio.Queue[Command] = asyncio.Queue(WAITING_MAX)

    def offer(self, offered: bytes, now: datetime, at: float) -> None:
        """A command arrived, at `at` in monotonic seconds: refused, or given to `run`."""
        if self._key is None:
            log.warning("command_refused", error="no hub_public_key_file")
            return
        try:
            command = verify_command(offered, self._key, self._gateway, self._used, self._newest.issued_at, now)
        except Untimely as error:
            log.warning("command_refused", error=str(error))
            self._say(error.nonce, "expired", str(error), now)
            return
        except TrustError as error:
            log.warning("command_refused", error=str(error))
            return
        if reason := self._cannot(command, self._started(now, at)):
            self._say(command.nonce, "refused", reason, now)
            return
        self._used.append(command.nonce)
        self._newest.issued_at = command.issued_at
        self._queue_of(command).put_nowait(command)

    async def run(self) -> None:
        """Drive the actuators as was taken, for ever."""
        while True:
            command = await self._next(self._waiting)
            self._say(command.nonce, "accepted", "", clock.now())
            act = Act(command.target, command.value == "on", f"command {command.nonce}", command.actor)
            self._actuators.drive(act, lambda error, nonce=command.nonce: self._done(nonce, error))  # type: ignore[misc]

    async def run_devices(self) -> None:
        """Send to devices what was taken, for ever."""
        while True:
            command = await self._next(self._waiting_devices)
            now = clock.now()
            if reason := outcome_of(partial(self._devices.send, command, now)):
                self._say(command.nonce, "refused", reason, now)

    def _queue_of(self, command: Command) -> asyncio.Queue[Command]:
        return self._waiting_devices if command.action.startswith(PREFIX) else self._waiting

    async def _next(self, queue: asyncio.Queue[Command]) -> Command:
        """The next one that is recorded, as far as the disk lets it be, and has not expired."""
        while True:
            command = await queue.get()
            if error := await self._newest.record():
                log.error("command_not_recorded", error=error)
            now = clock.now()
            if command.expires_at > now:
                return command
            self._say(command.nonce, "expired", "expired while it waited", now)

    def _started(self, now: datetime, at: float) -> datetime:
        """When this agent started, as the clock shows that now; later where it is not known what acted before."""
        skew_s = 0 if self._newest.known else CLOCK_SKEW_S_MAX
        try:
            return now - timedelta(seconds=at - self._started_at - skew_s)
        except OverflowError:
            return now

    def _cannot(self, command: Command, started: datetime) -> str:
        """Why a command that is trusted is not carried out."""
        if command.issued_at <= started:
            return JUST_STARTED
        if self._queue_of(command).full():
            return "too many commands"
        if command.action.startswith(PREFIX):
            return self._devices.cannot(command)
        if command.action != "actuator.set" or command.value not in ("on", "off"):
            return "unknown action or value"
        return "" if command.target in self._actuators.names else f"no actuator {command.target}"

    def _done(self, nonce: str, error: str) -> None:
        self._say(nonce, "refused" if error else "confirmed", error, clock.now())

    def _say(self, nonce: str, result: Result, reason: str, now: datetime) -> None:
        self._answer(CommandResult(gateway=GatewayId(self._gateway), nonce=nonce, result=result, reason=reason, at=now))
