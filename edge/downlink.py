"""Documents of the hub. Nothing is in force that `devices.documents` does not trust. Commands: edge/commands.py.

Each name has a Reader: how its body is read, and who works by it. Adding a document is a line in the table that the
agent gives to Documents.

They are kept as signed bytes in state_dir/documents and are in force again after a restart, expired or not: an edge
without its hub keeps its zones. Each name waits in a queue of its own, so that a large one holds up no other.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Meta, Struct

from devices.documents import AlreadyHeld, Document, NotNewer, SignatureWrong, TrustError, verify_document
from edge import clock, small_file
from edge.fences import Drawn
from geofences.cells import Cells
from geofences.plan import Plan
from geofences.rules import NO_RULES, Rules
from geofences.together import RULES_MAX, MovingZone, Proximity, twice
from geofences.zones import zone

ZONES = "zones"
OFFERED_MAX = 8  # of each name
REASON_CHARS_MAX = 300
COPY_KEY = "if this hub is ours: copy its hub.pub to hub_public_key_file again and restart"
UNUSABLE = (TrustError, msgspec.ValidationError, ValueError)  # what reading a document may raise

log = structlog.get_logger()
Content = TypeVar("Content")


class KeyUnusable(Exception):
    """The hub's public key cannot be read; the text is the one line to show."""


class Reader(Struct, Generic[Content], frozen=True):
    """Of one document: `read` it, in a thread (raises what UNUSABLE names); `use` what was read, in the event
    loop."""

    read: Callable[[Document], Content]
    use: Callable[[Content], None]


class DrawnZone(Struct, frozen=True):
    id: str
    shape: dict[str, Any]
    purpose: str = ""
    ring: int = 0
    rules: Rules = NO_RULES


class ZonesBody(Struct, frozen=True):
    zones: tuple[DrawnZone, ...]
    moving: Annotated[tuple[MovingZone, ...], Meta(max_length=RULES_MAX)] = ()
    proximity: Annotated[tuple[Proximity, ...], Meta(max_length=RULES_MAX)] = ()


def read_zones(document: Document) -> Drawn:
    """The document "zones". Raises what UNUSABLE names."""
    body = msgspec.convert(document.body, ZonesBody)
    cells = Cells(zone(drawn.id, drawn.shape) for drawn in body.zones)
    plan = Plan(cells, {drawn.id: drawn.rules for drawn in body.zones}, document.version)
    if name := twice(body.moving, body.proximity, plan.ids):
        raise ValueError(f"{name} is given twice")
    return Drawn(plan, body.moving, body.proximity)


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
    """The documents held, by name. `changed` is called when one came into force that arrived just now."""

    def __init__(
        self,
        folder: Path,
        key: Ed25519PublicKey | None,
        gateway: str,
        readers: Mapping[str, Reader[Any]],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._key = key
        self._gateway = gateway
        self._readers = readers
        self._changed = changed
        self._offered: dict[str, asyncio.Queue[bytes]] = {name: asyncio.Queue(OFFERED_MAX) for name in readers}
        self.versions: dict[str, int] = {}
        self.refused: dict[str, str] = {}  # name -> why the one offered last is not in force

    async def load(self) -> None:
        """Put in force what was held before."""
        for name in self._readers if self._key is not None else ():
            path = self._folder / f"{name}.json"
            if not path.exists():
                continue
            try:
                self._apply(*await asyncio.to_thread(self._read, name, path.read_bytes(), -1, clock.LONG_AGO))
            except (*UNUSABLE, OSError) as error:
                log.error("document_unusable", document=name, error=str(error))

    def offer(self, name: str, offered: bytes) -> None:
        """A document arrived on `down/{name}`; `run` looks at it."""
        queue = self._offered.get(name)
        if self._key is None:
            log.warning("document_ignored", document=name, reason="no hub_public_key_file")
        elif queue is None:
            log.warning("document_ignored", document=name, reason="not known to this version")
        elif queue.full():
            log.warning("document_ignored", document=name, reason="too many at once")
        elif offered:
            queue.put_nowait(offered)

    async def run(self) -> None:
        """Look at what was offered, of each name one after the other, for ever."""
        async with asyncio.TaskGroup() as group:
            for name, queue in self._offered.items():
                group.create_task(self._consider(name, queue))

    async def _consider(self, name: str, queue: asyncio.Queue[bytes]) -> None:
        """Reading thousands of corners takes its time: a thread does it, and the siren does not wait."""
        while True:
            offered = await queue.get()
            try:
                held = self.versions.get(name, 0)
                document, content = await asyncio.to_thread(self._read, name, offered, held, clock.now())
            except AlreadyHeld:
                self.refused.pop(name, None)
                continue
            except UNUSABLE as error:
                advice = {"advice": COPY_KEY} if isinstance(error, SignatureWrong) else {}
                log.warning("document_refused", document=name, error=str(error), **advice)
                if not isinstance(error, NotNewer):
                    self.refused[name] = str(error)[:REASON_CHARS_MAX]
                    self._changed()
                continue
            self.refused.pop(name, None)
            self._apply(document, content)
            await asyncio.to_thread(self._store, name, offered)
            log.info("document_accepted", document=name, version=document.version)
            self._changed()

    def _read(self, name: str, offered: bytes, held_version: int, now: datetime) -> tuple[Document, Any]:
        """Raises what UNUSABLE names."""
        assert self._key is not None
        document = verify_document(offered, self._key, self._gateway, held_version, now)
        if document.name != name:
            raise TrustError(f"not a document of this topic: {document.name}")
        return document, self._readers[name].read(document)

    def _apply(self, document: Document, content: Any) -> None:
        self._readers[document.name].use(content)
        self.versions[document.name] = document.version

    def _store(self, name: str, offered: bytes) -> None:
        try:
            small_file.write(self._folder / f"{name}.json", offered)
        except OSError as error:
            log.error("document_not_stored", document=name, error=error.strerror)
