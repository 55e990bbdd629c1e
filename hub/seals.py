"""Seals over the logs of incidents: what hub.chain makes, in the database.

A seal is made every PERIOD_S when any log has moved on, and before a log leaves the house in an evidence pack. Two hubs
make one chain of seals, each with its own key.
"""

from contextlib import suppress
from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub import clock
from hub.chain import Sealed, SignedSeal, hash_of_seal, seal
from hub.store import Row, Store, StoreError

PERIOD_S = 60.0
HEADS_MAX = 5_000  # of one seal

log = structlog.get_logger()


async def run(store: Store, key: Ed25519PrivateKey) -> None:
    """Seal for ever."""
    while True:
        with suppress(StoreError):  # the store has said it
            await seal_all(store, key, clock.now())
        await clock.sleep(PERIOD_S)


async def seal_all(store: Store, key: Ed25519PrivateKey, now: datetime) -> int:
    """Seal every log that has moved on, but those that somebody writes to at this moment; how many. Raises
    StoreError."""
    sealed = 0
    while count := await _seal_some(store, key, now):
        sealed += count
    return sealed


async def _seal_some(store: Store, key: Ed25519PrivateKey, now: datetime) -> int:
    async with store.transaction() as tx:
        await tx.execute("seal_lock")
        rows = await tx.rows("incidents_unsealed", limit=HEADS_MAX)
        if not rows:
            return 0
        newest = await tx.row("seal_newest")
        number, previous = (newest["number"] + 1, hash_of_seal(seal_of(newest))) if newest else (1, "")
        heads = [Sealed(row["incident"], row["version"], row["head"].hex()) for row in rows]
        signed = seal(key, number, now, previous, heads)
        incidents = [head.incident for head in heads]
        await tx.execute(
            "seal_add",
            number=number,
            at=now,
            incidents=incidents,
            content=signed.content,
            signature=signed.signature,
            signed_by=signed.signed_by,
        )
        await tx.execute("incidents_sealed", incidents=incidents, versions=[head.number for head in heads])
    log.info("log_sealed", seal=number, incidents=len(heads))
    return len(heads)


def seal_of(row: Row) -> SignedSeal:
    return SignedSeal(row["content"], row["signature"], row["signed_by"])
