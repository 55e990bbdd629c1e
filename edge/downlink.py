"""What the hub sends down: documents and commands. Nothing acts that `devices.documents` does not trust.

- Documents are kept as signed bytes in state_dir/documents and are in force again after a restart, expired or not: an
  edge without its hub keeps its zones.
- A command that was issued before this agent started is refused, because the nonces used before are not known.
- Every command that the hub meant for us is answered on `cmd_result`, with the reason when it is refused; a replayed
  one was answered before.
"""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from devices.documents import (
    CLOCK_SKEW_S_MAX,
    COMMAND_S_MAX,
    AlreadyHeld,
    Command,
    Document,
    TrustError,
    Untimely,
    verify_command,
    verify_document,
)
from devices.envelope import CommandResult
from devices.observation import GatewayId
from edge import clock
from edge.actuators import Actuators
from edge.rules import Act
from geofences.zones import Zones, zone

ZONES = "zones"
OFFERED_MAX = 8
NONCES_MAX = 10_000
NONCE_S = 2 * COMMAND_S_MAX + 2 * CLOCK_SKEW_S_MAX  # longer than a command can be good
LONG_AGO = datetime.min.replace(tzinfo=UTC)
UNUSABLE = (TrustError, msgspec.ValidationError, ValueError)  # what reading a document may raise

log = structlog.get_logger()

Answer = Callable[[CommandResult], None]
Result = Literal["refused", "accepted", "confirmed", "expired"]


class KeyUnusable(Exception):
    """The hub's public key cannot be read; the text is the one line to show."""


class DrawnZone(Struct, frozen=True):
    id: str
    shape: dict[str, Any]
    purpose: str = ""
    ring: int = 0


class ZonesBody(Struct, frozen=True):
    zones: tuple[DrawnZone, ...]


def read_key(path: Path) -> Ed25519PublicKey:
    """Raises KeyUnusable."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeyUnusable(f"{path}: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{path}: not an Ed25519 key")
    return key


class Documents:
    """The documents held, by name. `use_zones` is called with each new set of zones, in the event loop."""

    def __init__(
        self, folder: Path, key: Ed25519PublicKey | None, gateway: str, use_zones: Callable[[Zones], None]
    ) -> None:
        self._folder = folder
        self._key = key
        self._gateway = gateway
        self._use_zones = use_zones
        self._offered: asyncio.Queue[bytes] = asyncio.Queue(OFFERED_MAX)
        self.versions: dict[str, int] = {}

    async def load(self) -> None:
        """Put in force what was held before."""
        path = self._folder / f"{ZONES}.json"
        if self._key is None or not path.exists():
            return
        try:
            self._apply(*await asyncio.to_thread(self._read, path.read_bytes(), -1, LONG_AGO))
        except (*UNUSABLE, OSError) as error:
            log.error("document_unusable", document=ZONES, error=str(error))

    def offer(self, name: str, offered: bytes) -> None:
        """A document arrived on `down/{name}`; `run` looks at it."""
        if self._key is None:
            log.warning("document_ignored", document=name, reason="no hub_public_key_file")
        elif name != ZONES:
            log.warning("document_ignored", document=name, reason="not known to this version")
        elif self._offered.full():
            log.warning("document_ignored", document=name, reason="too many at once")
        elif offered:
            self._offered.put_nowait(offered)

    async def run(self) -> None:
        """Look at what was offered, one after the other, for ever. Reading thousands of corners takes its time: a
        thread does it, and the siren does not wait."""
        while True:
            offered = await self._offered.get()
            try:
                held = self.versions.get(ZONES, 0)
                document, zones = await asyncio.to_thread(self._read, offered, held, clock.now())
            except AlreadyHeld:
                continue
            except UNUSABLE as error:
                log.warning("document_refused", document=ZONES, error=str(error))
                continue
            self._apply(document, zones)
            await asyncio.to_thread(self._store, ZONES, offered)
            log.info("document_accepted", document=ZONES, version=document.version)

    def _read(self, offered: bytes, held_version: int, now: datetime) -> tuple[Document, Zones]:
        """Raises what UNUSABLE names."""
        assert self._key is not None
        document = verify_document(offered, self._key, self._gateway, held_version, now)
        if document.name != ZONES:
            raise TrustError(f"not a document of this topic: {document.name}")
        body = msgspec.convert(document.body, ZonesBody)
        return document, Zones(zone(drawn.id, drawn.shape) for drawn in body.zones)

    def _apply(self, document: Document, zones: Zones) -> None:
        self._use_zones(zones)
        self.versions[document.name] = document.version

    def _store(self, name: str, offered: bytes) -> None:
        path = self._folder / f"{name}.json"
        new = path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                file.write(offered)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            log.error("document_not_stored", document=name, error=error.strerror)


class Commands:
    def __init__(
        self, key: Ed25519PublicKey | None, gateway: str, actuators: Actuators, answer: Answer, started_at: datetime
    ) -> None:
        self._key = key
        self._gateway = gateway
        self._actuators = actuators
        self._answer = answer
        self._started_at = started_at
        self._used: dict[str, float] = {}  # nonce -> when, in monotonic seconds

    def offer(self, offered: bytes, now: datetime, at: float) -> None:
        """A command arrived; refused, or done and answered when the actuator was seen to have moved. `at`: the same
        moment in monotonic seconds, so that a clock that jumps does not make us forget a nonce too soon."""
        if self._key is None:
            log.warning("command_refused", error="no hub_public_key_file")
            return
        for nonce in [nonce for nonce, used_at in self._used.items() if at - used_at > NONCE_S]:
            del self._used[nonce]
        try:
            command = verify_command(offered, self._key, self._gateway, self._used, now)
        except Untimely as error:
            log.warning("command_refused", error=str(error))
            self._say(error.nonce, "expired", str(error), now)
            return
        except TrustError as error:
            log.warning("command_refused", error=str(error))
            return
        if len(self._used) >= NONCES_MAX:
            self._say(command.nonce, "refused", "too many commands", now)
            return
        self._used[command.nonce] = at
        self._carry_out(command, now)

    def _carry_out(self, command: Command, now: datetime) -> None:
        if command.issued_at < self._started_at:
            self._say(command.nonce, "refused", "issued before this gateway started", now)
        elif command.action != "actuator.set" or command.value not in ("on", "off"):
            self._say(command.nonce, "refused", "unknown action or value", now)
        elif command.target not in self._actuators.names:
            self._say(command.nonce, "refused", f"no actuator {command.target}", now)
        else:
            self._say(command.nonce, "accepted", "", now)
            act = Act(command.target, command.value == "on", f"command {command.nonce}", command.actor)
            self._actuators.drive(act, lambda error: self._done(command.nonce, error))

    def _done(self, nonce: str, error: str) -> None:
        self._say(nonce, "refused" if error else "confirmed", error, clock.now())

    def _say(self, nonce: str, result: Result, reason: str, now: datetime) -> None:
        self._answer(CommandResult(gateway=GatewayId(self._gateway), nonce=nonce, result=result, reason=reason, at=now))
