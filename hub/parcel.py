"""A batch as it came from the broker, checked and made ready for the database while the last commit is still running.

Anything that cannot be taken raises Unfit: bytes that are no Batch, a batch under another's topic, more than the contract
allows, times without a zone. The edge that sent it will send it again; it is counted and never acknowledged.
"""

import re
from collections.abc import Callable
from operator import ge

from msgspec import DecodeError, Struct

from devices.envelope import (
    BATCH_BYTES_MAX,
    BATCH_ROWS_MAX,
    LANES,
    NAME_PATTERN,
    Batch,
    Lane,
    decode_batch,
    parse_topic,
)
from hub.copy_rows import NAME_CHARS_MAX, Series, pack_series

SEQ_MAX = 2**62
ENVELOPE_BYTES_MAX = 1_000  # of a Batch beside its rows
_NAME = re.compile(NAME_PATTERN)


class Unfit(Exception):
    """A batch that will never be stored; the text is a constant phrase, with the decoder's own words behind a colon."""


class Parcel(Struct, kw_only=True):
    """`series` is packed for all rows; a parcel with rows that were seen before is packed anew."""

    batch: Batch
    seqs: list[int]
    series: Series
    size: int
    acknowledge: Callable[[], None]

    @property
    def spool(self) -> tuple[str, str]:
        return (self.batch.gateway, self.batch.epoch)


def sender_of(topic: str) -> tuple[str, Lane] | None:
    """(gateway, lane) of an `up` topic, else None."""
    found = parse_topic(topic)
    if found is None or not _NAME.match(found[0]):
        return None
    return next(((found[0], lane) for lane in LANES if found[1] == ("up", lane)), None)


def open_parcel(topic: str, payload: bytes, acknowledge: Callable[[], None] = lambda: None) -> Parcel:
    """Raises Unfit."""
    sender = sender_of(topic)
    if sender is None:
        raise Unfit("topic is not one of ours")
    if len(payload) > BATCH_BYTES_MAX + ENVELOPE_BYTES_MAX:
        raise Unfit("more bytes than a batch may have")
    try:
        batch = decode_batch(payload)
        _check(batch, sender)
        series = pack_series(batch.rows)
    except DecodeError as error:
        raise Unfit(f"not a batch: {error}") from error
    except (TypeError, OverflowError) as error:
        raise Unfit(f"a value cannot be stored: {error}") from error
    return Parcel(
        batch=batch, seqs=[seq for seq, _ in batch.rows], series=series, size=len(payload), acknowledge=acknowledge
    )


def _check(batch: Batch, sender: tuple[str, Lane]) -> None:
    if (batch.gateway, batch.lane) != sender:
        raise Unfit("gateway or lane differs from the topic's")
    if len(batch.rows) > BATCH_ROWS_MAX:
        raise Unfit("more rows than a batch may have")
    if not 0 < len(batch.epoch) <= NAME_CHARS_MAX or not batch.epoch.isprintable():
        raise Unfit("epoch is not a name")
    if not 0 <= batch.dropped_through <= SEQ_MAX:
        raise Unfit("dropped_through is out of range")
    seqs = [seq for seq, _ in batch.rows]
    if seqs and (seqs[0] < 1 or seqs[-1] > SEQ_MAX or any(map(ge, seqs, seqs[1:]))):
        raise Unfit("sequence numbers do not rise from 1")
    if any(row.observed_at.tzinfo is None or row.received_at.tzinfo is None for _, row in batch.rows):
        raise Unfit("a time without a zone")
