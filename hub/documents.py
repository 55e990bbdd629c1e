"""The documents that edges hold: today the zones of a gateway's site. Signed, versioned, published retained.

Rules
- One document per gateway; its version rises by one with each change and never otherwise. Content that is the same
  keeps its version, so that a restart of the hub tells the edges nothing new.
- It is signed again, under the next version, RENEW_BEFORE it expires, and when it was signed with another key.
- Versions are given out under a lock: two hubs do not make two documents of one version.
- Everything is published with each connection to the broker, which may have forgotten it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from devices.documents import DOCUMENT_BYTES_MAX, Document, TrustError, sign, verify_document
from devices.envelope import topic
from devices.observation import GatewayId
from hub.store import Row, Store, Transaction

ZONES = "zones"
VALID_FOR = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)

Publish = Callable[[str, bytes], object]  # topic, payload; retained

log = structlog.get_logger()


class Issued(Struct, frozen=True):
    """A document as it is published. `fresh`: made just now."""

    gateway: str
    name: str
    content: bytes
    fresh: bool

    @property
    def topic(self) -> str:
        return topic(GatewayId(self.gateway), "down", self.name)


async def issue_zones(store: Store, key: Ed25519PrivateKey, now: datetime) -> list[Issued]:
    """The zones document of every gateway that has a site, made where it is missing or not right. Raises StoreError."""
    issued: list[Issued] = []
    async with store.transaction() as tx:
        await tx.execute("document_lock")
        bodies: dict[str, dict[str, Any]] = {}
        for row in await tx.rows("gateways_with_site"):
            site = row["site"]
            if site not in bodies:
                bodies[site] = {"zones": [_drawn(zone) for zone in await tx.rows("zones_of_site", site=site)]}
            issued.append(await _issue(tx, key, row["gateway"], bodies[site], now))
    return issued


def drop_too_large(issued: Iterable[Issued]) -> list[Issued]:
    """Those that an edge would take; what is too large is said."""
    fit = []
    for document in issued:
        if len(document.content) > DOCUMENT_BYTES_MAX:
            log.error("document_too_large", gateway=document.gateway, name=document.name, bytes=len(document.content))
        else:
            fit.append(document)
    return fit


async def _issue(tx: Transaction, key: Ed25519PrivateKey, gateway: str, body: dict[str, Any], now: datetime) -> Issued:
    held = await tx.row("document_newest", audience=gateway, name=ZONES)
    if held is not None and _still_right(held, key, gateway, body, now):
        return Issued(gateway, ZONES, held["content"], False)
    version = held["version"] + 1 if held else 1
    document = Document(
        name=ZONES, version=version, audience=gateway, issued_at=now, expires_at=now + VALID_FOR, body=body
    )
    content = sign(document, key)
    await tx.execute("document_add", audience=gateway, name=ZONES, version=version, content=content, now=now)
    log.info("document_issued", gateway=gateway, name=ZONES, version=version)
    return Issued(gateway, ZONES, content, True)


def _still_right(held: Row, key: Ed25519PrivateKey, gateway: str, body: dict[str, Any], now: datetime) -> bool:
    """Whether an edge would take it, also for some time to come, and it says what is to be said."""
    try:
        document = verify_document(held["content"], key.public_key(), gateway, 0, now + RENEW_BEFORE)
    except TrustError:
        return False
    return bool(document.body == body)


def _drawn(row: Row) -> dict[str, Any]:
    """What an edge reads of a zone."""
    return {"id": row["id"], "shape": row["shape"], "purpose": row["purpose"], "ring": row["ring"]}
