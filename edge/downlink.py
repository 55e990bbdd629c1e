"""What the hub sends down: documents and commands. Nothing acts that `devices.documents` does not trust.

- Documents are kept as signed bytes in state_dir/documents and are in force again after a restart, expired or not: an
  edge without its hub keeps its zones.
- A command that was issued before this agent started is refused, because the nonces used before are not known.
- Every command that was meant for us is answered on `cmd_result`, with the reason when it is refused.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from devices.documents import COMMAND_S_MAX, Command, Document, TrustError, verify_command, verify_document
from devices.envelope import CommandResult
from devices.observation import GatewayId
from edge.actuators import Actuators
from edge.pipeline import Places
from edge.rules import Act

ZONES = "zones"
NONCES_MAX = 10_000
LONG_AGO = datetime.min.replace(tzinfo=UTC)

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
    """The documents held, by name. `use_zones` is called with each new set of zones."""

    def __init__(
        self, folder: Path, key: Ed25519PublicKey | None, gateway: str, use_zones: Callable[[Places], None]
    ) -> None:
        self._folder = folder
        self._key = key
        self._gateway = gateway
        self._use_zones = use_zones
        self.versions: dict[str, int] = {}

    def load(self) -> None:
        """Put in force what was held before."""
        path = self._folder / f"{ZONES}.json"
        if self._key is None or not path.exists():
            return
        try:
            self._apply(verify_document(path.read_bytes(), self._key, self._gateway, -1, LONG_AGO))
        except (TrustError, ValueError, OSError) as error:
            log.error("document_unusable", document=ZONES, error=str(error))

    def offer(self, name: str, offered: bytes, now: datetime) -> None:
        """A document arrived on `down/{name}`."""
        if self._key is None or not offered:
            return
        try:
            document = verify_document(offered, self._key, self._gateway, self.versions.get(name, 0), now)
            if document.name != name or name != ZONES:
                raise TrustError(f"not a document of this topic: {document.name}")
            self._apply(document)
        except (TrustError, ValueError) as error:
            if "is not newer" not in str(error):  # retained: seen again with every connection
                log.warning("document_refused", document=name, error=str(error))
            return
        self._store(name, offered)
        log.info("document_accepted", document=name, version=document.version)

    def _apply(self, document: Document) -> None:
        """Raises ValueError for zones that cannot be drawn."""
        from geofences.zones import Zones, zone  # noqa: PLC0415 - shapely costs memory; many gateways have no zones

        body = msgspec.convert(document.body, ZonesBody)
        self._use_zones(Zones(zone(drawn.id, drawn.shape) for drawn in body.zones))
        self.versions[document.name] = document.version

    def _store(self, name: str, offered: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.json"
        new = path.with_suffix(".new")
        try:
            new.write_bytes(offered)
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
        self._used: dict[str, datetime] = {}

    def offer(self, offered: bytes, now: datetime) -> None:
        """A command arrived; refused, or done and answered when the actuator was seen to have moved."""
        if self._key is None:
            return
        for nonce in [nonce for nonce, at in self._used.items() if now - at > timedelta(seconds=2 * COMMAND_S_MAX)]:
            del self._used[nonce]
        try:
            command = verify_command(offered, self._key, self._gateway, self._used, now)
        except TrustError as error:
            log.warning("command_refused", error=str(error))
            return
        if len(self._used) >= NONCES_MAX:
            self._say(command.nonce, "refused", "too many commands", now)
            return
        self._used[command.nonce] = now
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
            act = Act(command.target, command.value == "on", f"command of {command.actor}")
            self._actuators.drive(act, lambda error: self._done(command.nonce, error, now))

    def _done(self, nonce: str, error: str, now: datetime) -> None:
        self._say(nonce, "refused" if error else "confirmed", error, now)

    def _say(self, nonce: str, result: Result, reason: str, now: datetime) -> None:
        self._answer(CommandResult(gateway=GatewayId(self._gateway), nonce=nonce, result=result, reason=reason, at=now))
