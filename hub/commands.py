"""Commands to gateways: signed, for one gateway, used once, short-lived; and the answers to them.

Rules
- A command expires EXPIRES_S after it was issued: ANSWER_S that a person waits, and the clock skew that edges allow.
- The answer is the last word within ANSWER_S: "confirmed", "refused" or "expired" (came too late, says the gateway: it
  did nothing) end the waiting, "accepted" stands when nothing more comes.
- When nothing came at all the result is "unanswered", which promises nothing: the gateway may have acted, and may still
  act until the command has expired by a clock that is as far behind as edges allow. The reason says until when.
- At most PENDING_MAX commands wait; one more is refused at once. An answer counts only for the gateway that was asked.
- Every command and its result are logged with the person who gave it; not the arguments of a command to a device, which
  may be telephone numbers and texts.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from devices.documents import CLOCK_SKEW_S_MAX, COMMAND_BYTES_MAX, COMMAND_S_MAX, Command, sign
from devices.envelope import NAME_PATTERN, CommandResult, topic
from devices.observation import GatewayId
from hub import clock
from hub.incident_view import iso

ANSWER_S = 5.0
EXPIRES_S = ANSWER_S + CLOCK_SKEW_S_MAX
PENDING_MAX = 100
NONCE_BYTES = 16
DEVICE_ACTION = "device."
FINAL = frozenset({"confirmed", "refused", "expired"})
assert EXPIRES_S <= COMMAND_S_MAX

Publish = Callable[[str, bytes], bool]  # topic, payload; not retained. False when the broker is away

log = structlog.get_logger()
_NAME = re.compile(NAME_PATTERN)


class Pending(Struct):
    """A command that waits. `answer` is the newest one; `done` is set by the last one."""

    gateway: str
    done: asyncio.Event
    answer: CommandResult | None = None


class Commands:
    def __init__(self, key: Ed25519PrivateKey, publish: Publish) -> None:
        self._key = key
        self._publish = publish
        self._pending: dict[str, Pending] = {}

    async def command(self, gateway: str, action: str, target: str, value: str, actor: str) -> dict[str, Any]:
        """Send one and wait for its answer, at most ANSWER_S: {nonce, result, reason}."""
        nonce = secrets.token_hex(NONCE_BYTES)
        bound = {"gateway": gateway, "action": action, "target": target, "actor": actor, "nonce": nonce}
        if not action.startswith(DEVICE_ACTION):
            bound["value"] = value
        result, reason = await self._send(nonce, gateway, action, target, value, actor)
        log.info("command_done", **bound, result=result, reason=reason)
        return {"nonce": nonce, "result": result, "reason": reason}

    def answered(self, gateway: str, result: CommandResult) -> None:
        """A `cmd_result` arrived on the topic of `gateway`."""
        pending = self._pending.get(result.nonce)
        if pending is None or pending.gateway != gateway or result.gateway != gateway:
            log.warning("command_answer_unknown", gateway=gateway, nonce=result.nonce[:64], result=result.result)
            return
        pending.answer = result
        if result.result in FINAL:
            pending.done.set()

    async def _send(  # noqa: PLR0917
        self, nonce: str, gateway: str, action: str, target: str, value: str, actor: str
    ) -> tuple[str, str]:
        if not _NAME.fullmatch(gateway):
            return "refused", "not the name of a gateway"
        if len(self._pending) >= PENDING_MAX:
            return "refused", "too many commands are waiting"
        now = clock.now()
        expires_at = now + timedelta(seconds=EXPIRES_S)
        command = Command(
            gateway=gateway,
            nonce=nonce,
            action=action,
            target=target,
            value=value,
            actor=actor,
            issued_at=now,
            expires_at=expires_at,
        )
        signed = sign(command, self._key)
        if len(signed) > COMMAND_BYTES_MAX:
            return "refused", "too long for a command"
        pending = self._pending[nonce] = Pending(gateway, asyncio.Event())
        try:
            if not self._publish(topic(GatewayId(gateway), "cmd"), signed):
                return "refused", "the broker is not reachable"
            await _wait(pending.done, ANSWER_S)
        finally:
            del self._pending[nonce]
        if pending.answer is None:
            return "unanswered", _no_promise(expires_at)
        return pending.answer.result, pending.answer.reason


def _no_promise(expires_at: datetime) -> str:
    latest = expires_at + timedelta(seconds=CLOCK_SKEW_S_MAX + 1)
    said = iso(latest.replace(microsecond=0))
    return f"no answer within {ANSWER_S:.0f} s: it may have been done, and may still be done until {said}"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
