"""The documents that edges hold: what they are told of their site. Signed, versioned, published retained.

Rules
- One document of each name per gateway; its version rises by one with each change and never otherwise. Content that is
  the same keeps its version, so that a restart of the hub tells the edges nothing new.
- It is signed again, under the next version, RENEW_BEFORE it expires, and when it was signed with another key. When the
  gateway says that it holds a newer one than was ever issued, the database is an older copy: the next version is newer.
- Versions are given out under a lock: two hubs do not make two documents of one version.
- What changes something that a document says issues it in the same transaction, and publishes it after the commit:
  nobody waits for a period. Write first, then `issue`: whoever has the lock waits for no row.
- Everything is published with each connection to the broker, which may have forgotten it, and with each period: two
  hubs may have published in another order than they issued. One hub never goes back to an older version.
- Of each document the newest VERSIONS_KEPT stay in the database.

Another document is an entry of KINDS here and a Reader at the edge (edge.downlink).
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw, Struct

from devices.documents import DOCUMENT_BYTES_MAX, Document, sign
from devices.envelope import topic
from devices.observation import GatewayId
from hub.store import Row, Store, Transaction

ZONES, DEVICES = "zones", "devices"
VALID_FOR = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
VERSIONS_KEPT = 10
VERSION_SAID_MAX = 1_000_000_000  # a gateway that says more is not believed

Publish = Callable[[str, bytes], bool]  # topic, payload; retained. False when the broker is away
Bodies = Callable[[Transaction, Sequence[Row]], Awaitable[dict[str, bytes]]]

log = structlog.get_logger()


class Issued(Struct, frozen=True):
    """A document as it is published. `fresh`: made just now."""

    gateway: str
    name: str
    version: int
    content: bytes
    fresh: bool

    @property
    def topic(self) -> str:
        return topic(GatewayId(self.gateway), "down", self.name)


async def _zones(tx: Transaction, gateways: Sequence[Row]) -> dict[str, bytes]:
    sites = {row["site"] for row in gateways}
    drawn = {site: body_of(await _zones_of(tx, site)) for site in sites}
    return {row["gateway"]: drawn[row["site"]] for row in gateways}


async def _zones_of(tx: Transaction, site: str) -> dict[str, list[Any]]:
    said: dict[str, list[Any]] = {"zones": await tx.rows("zones_of_site", site=site)}
    for row in await tx.rows("relations_of_site", site=site):
        said.setdefault(row["kind"], []).append(row["rules"])
    return said


async def _devices(tx: Transaction, gateways: Sequence[Row]) -> dict[str, bytes]:
    enrolled: dict[str, list[Row]] = {row["gateway"]: [] for row in gateways}
    for device in await tx.rows("devices_enrolled", gateways=list(enrolled)):
        enrolled[device.pop("gateway")].append(device)
    return {gateway: body_of({"devices": devices}) for gateway, devices in enrolled.items()}


KINDS: dict[str, Bodies] = {  # name -> what it says (JSON) to each of these gateways (rows with gateway and site)
    ZONES: _zones,
    DEVICES: _devices,
}


class Documents:
    def __init__(self, key: Ed25519PrivateKey, publish: Publish) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw()
        self._publish = publish
        self._published: dict[str, int] = {}  # topic -> version

    async def issue(
        self, tx: Transaction, name: str, now: datetime, gateways: Sequence[str] | None = None
    ) -> list[Issued]:
        """The document of every gateway that has a site, or of these, made where it is missing or not right. Nothing is
        published. Raises StoreError."""
        await tx.execute("document_lock")
        rows = await tx.rows("gateways_with_site", gateways=gateways)
        bodies = await KINDS[name](tx, rows)
        return [await self._issue(tx, name, row, bodies[row["gateway"]], now) for row in rows]

    async def issue_all(self, store: Store, now: datetime) -> list[Issued]:
        """Those of every name. Raises StoreError."""
        issued: list[Issued] = []
        for name in KINDS:
            async with store.transaction() as tx:
                issued += await self.issue(tx, name, now)
        return issued

    def publish(self, issued: Iterable[Issued]) -> None:
        """To be called when they are committed. When the broker is away, it is done with the next connection."""
        for document in issued:
            if len(document.content) > DOCUMENT_BYTES_MAX:  # an edge would not take it
                size = len(document.content)
                log.error("document_too_large", gateway=document.gateway, name=document.name, bytes=size)
            elif document.version >= self._published.get(document.topic, 0) and self._publish(
                document.topic, document.content
            ):
                self._published[document.topic] = document.version

    async def _issue(self, tx: Transaction, name: str, to: Row, body: bytes, now: datetime) -> Issued:
        gateway: str = to["gateway"]
        which = {"audience": gateway, "name": name}
        held_there = min(to["held"].get(name, 0), VERSION_SAID_MAX)
        digest = sha256(body).digest()
        held = await tx.row("document_newest", **which)
        newest: int = held["version"] if held is not None else 0
        right = held is not None and (held["body_sha256"], held["signed_by"]) == (digest, self._public)
        if held is not None and right and held["expires_at"] > now + RENEW_BEFORE and held_there <= newest:
            row = await tx.one("document_content", **which, version=newest)
            return Issued(gateway, name, newest, row["content"], False)
        version = max(newest, held_there) + 1
        document = Document(
            name=name, version=version, audience=gateway, issued_at=now, expires_at=now + VALID_FOR, body=Raw(body)
        )
        content = sign(document, self._key)
        made = {"body_sha256": digest, "signed_by": self._public, "expires_at": document.expires_at, "now": now}
        await tx.execute("document_add", **which, version=version, content=content, **made)
        await tx.execute("document_forget", **which, version=version - VERSIONS_KEPT)
        log.info("document_issued", gateway=gateway, name=name, version=version)
        return Issued(gateway, name, version, content, True)


def body_of(body: Any) -> bytes:
    """JSON that is the same for the same values."""
    return msgspec.json.encode(body, order="sorted")
