"""The whole edge <-> hub contract over MQTT 5, QoS 1: topics and what travels on them as JSON.

    gridward/v1/{shard}/{gateway}/up/{lane}          edge -> hub            Batch
    gridward/v1/{shard}/{gateway}/committed/{lane}   hub -> edge, retained  Committed: stored up to seq
    gridward/v1/{shard}/{gateway}/state              edge, retained + will  GatewayState
    gridward/v1/{shard}/{gateway}/down/{document}    hub -> edge, retained  devices.documents.Signed
    gridward/v1/{shard}/{gateway}/cmd                hub -> edge            devices.documents.Signed, never retained
    gridward/v1/{shard}/{gateway}/cmd_result         edge -> hub            CommandResult

shard = crc32(gateway) mod 64 as two digits. A broker's PUBACK proves nothing; only Committed does.
Sequence numbers start at 1 and are per (gateway, epoch, lane); the epoch is made with the spool file.
"""

from binascii import crc32
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from devices.observation import Alarm, Event, GatewayId, Observation

ROOT = "gridward/v1"
SHARDS = 64
BATCH_ROWS_MAX = 5_000
BATCH_BYTES_MAX = 4_000_000
NAME_WORDS = "lower-case letters, digits, _ and - (at most 64, the first a letter or digit)"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # gateways, zones, sites, links: safe in topics, paths and URLs

Instant = Annotated[datetime, Meta(tz=True)]  # one without a zone cannot be compared with any other

Lane = Literal["urgent", "routine"]
LANES: tuple[Lane, Lane] = ("urgent", "routine")


class Batch(Struct, frozen=True, kw_only=True):
    """Rows of one lane in rising seq order. Rows up to `dropped_through` were dropped on purpose (0 = none)."""

    gateway: GatewayId
    epoch: str
    lane: Lane
    rows: tuple[tuple[int, Observation], ...]
    dropped_through: int = 0


class Committed(Struct, frozen=True, kw_only=True):
    epoch: str
    seq: Annotated[int, Meta(ge=0)]
    committed_at: Instant


class GatewayState(Struct, frozen=True, kw_only=True):
    gateway: GatewayId
    online: bool
    at: Instant | None = None  # None in the last will, which is written before the fact
    version: str = ""
    epoch: str = ""
    spool_rows: int = 0
    clock_skew_s: float = 0.0
    documents: dict[str, int] = {}
    documents_refused: dict[str, str] = {}  # name of the newest one offered -> why it is not in force
    actuators: dict[str, str] = {}  # name -> "on", "off" or "unknown"
    devices_refused: dict[str, str] = {}  # device of the document "devices" -> why it is not enrolled by that


class CommandResult(Struct, frozen=True, kw_only=True):
    gateway: GatewayId
    nonce: str
    result: Literal["refused", "accepted", "confirmed", "expired"]
    reason: str = ""
    at: Instant


def lane_of(observation: Observation) -> Lane:
    return "urgent" if isinstance(observation.body, Alarm | Event) else "routine"


def shard_of(gateway: GatewayId) -> str:
    return f"{crc32(gateway.encode()) % SHARDS:02d}"


def topic(gateway: GatewayId, *tail: str) -> str:
    """`topic(g, "up", "urgent")`; the whole address of one gateway's channel."""
    return "/".join((ROOT, shard_of(gateway), gateway, *tail))


def parse_topic(text: str) -> tuple[GatewayId, tuple[str, ...]] | None:
    """(gateway, tail) of a topic under ROOT whose shard fits its gateway, else None."""
    parts = text.split("/")
    if len(parts) < 5 or "/".join(parts[:2]) != ROOT:
        return None
    gateway = GatewayId(parts[3])
    return (gateway, tuple(parts[4:])) if parts[2] == shard_of(gateway) else None


_encoder = msgspec.json.Encoder()
_piece = msgspec.json.Decoder(list[tuple[int, msgspec.Raw]])
_batch = msgspec.json.Decoder(Batch)
_observation = msgspec.json.Decoder(Observation)
encode = _encoder.encode


def encode_batch(
    gateway: GatewayId, epoch: str, lane: Lane, rows: Sequence[tuple[int, bytes]], dropped_through: int = 0
) -> bytes:
    """A Batch from observations that are encoded already (spool rows), byte-identical to `encode(Batch(...))`."""
    return join_batch(gateway, epoch, lane, [encode_rows(rows)] if rows else [], dropped_through)


def encode_rows(rows: Sequence[tuple[int, bytes]]) -> bytes:
    """A piece of a Batch: rows that follow one another, made once and joined as often as they are sent."""
    return b",".join([b"[%d,%b]" % row for row in rows])


def decode_rows(piece: bytes) -> list[bytes]:
    """The observations of such a piece, encoded. Raises msgspec.DecodeError."""
    return [bytes(raw) for _, raw in _piece.decode(b"[%b]" % piece)]


def join_batch(gateway: GatewayId, epoch: str, lane: Lane, pieces: Sequence[bytes], dropped_through: int = 0) -> bytes:
    """A Batch from pieces made by `encode_rows`, in rising order."""
    head = _encoder.encode({"gateway": gateway, "epoch": epoch, "lane": lane})
    return b'%b,"rows":[%b],"dropped_through":%d}' % (head[:-1], b",".join(pieces), dropped_through)


def decode_batch(payload: bytes) -> Batch:
    """Raises msgspec.DecodeError (its subclass ValidationError included) for anything that is not a Batch."""
    return _batch.decode(payload)


def decode_observation(payload: bytes) -> Observation:
    return _observation.decode(payload)
