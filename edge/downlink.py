"""Documents of the hub. Nothing is in force that `devices.documents` does not trust. Commands: edge/commands.py.

They are kept as signed bytes in state_dir/documents and are in force again after a restart, expired or not: an edge
without its hub keeps its zones.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from devices.documents import AlreadyHeld, Document, SignatureWrong, TrustError, verify_document
from edge import clock, small_file
from geofences.zones import Zones, zone

ZONES = "zones"
OFFERED_MAX = 8
COPY_KEY = "if this hub is ours: copy its hub.pub to hub_public_key_file again and restart"
UNUSABLE = (TrustError, msgspec.ValidationError, ValueError)  # what reading a document may raise

log = structlog.get_logger()


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
            self._apply(*await asyncio.to_thread(self._read, path.read_bytes(), -1, clock.LONG_AGO))
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
                advice = {"advice": COPY_KEY} if isinstance(error, SignatureWrong) else {}
                log.warning("document_refused", document=ZONES, error=str(error), **advice)
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
        try:
            small_file.write(self._folder / f"{name}.json", offered)
        except OSError as error:
            log.error("document_not_stored", document=name, error=error.strerror)
