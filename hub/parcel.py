"""A batch as it came from the broker, checked and made ready for the database while the last commit is still running.

- What is no batch at all raises Unfit: bytes that cannot be read, a batch under another's topic, more than the contract
  allows. It is counted and never committed.
- One row that cannot be read must not hold up the alarms behind it: it is set aside in `unreadable`, as it came, and is
  stored in refused_rows with its place in the sequence.
"""

import re
from collections.abc import Callable
from operator import ge

import msgspec
from msgspec import DecodeError, Raw, Struct

from devices.envelope import (
    BATCH_BYTES_MAX,
    BATCH_ROWS_MAX,
    LANES,
    NAME_PATTERN,
    Batch,
    Lane,
    decode_batch,
    decode_observation,
    encode,
    parse_topic,
)
from devices.observation import GatewayId, Observation
from hub.copy_rows import NAME_CHARS_MAX, Series, micros, pack_series

SEQ_MAX = 2**62
ENVELOPE_BYTES_MAX = 1_000  # of a Batch beside its rows
_NAME = re.compile(NAME_PATTERN)

Rows = tuple[tuple[int, Observation], ...]


class Unfit(Exception):
    """A batch that will never be stored; the text says why."""


class Unreadable(Struct, frozen=True):
    """A row that no table of ours takes. `observation`: its JSON as it came."""

    seq: int
    observation: bytes
    error: str


class Parcel(Struct, kw_only=True):
    """`seqs` are those of all rows, the unreadable ones included; `series` is packed for all that could be read.

    The rows themselves are read again from `payload` when they are needed, which is seldom: thousands of small objects
    that wait for a commit cost more than the bytes.
    """

    gateway: str
    epoch: str
    lane: Lane
    dropped_through: int
    payload: bytes
    seqs: list[int]
    series: Series
    unreadable: tuple[Unreadable, ...] = ()
    acknowledge: Callable[[], None] = lambda: None

    @property
    def spool(self) -> tuple[str, str]:
        return (self.gateway, self.epoch)

    def rows(self) -> Rows:
        """Those that could be read, in order."""
        wanted = range(self.seqs[0], self.seqs[-1] + 1) if self.seqs else range(0)
        return tuple(row for row in _read(self.payload)[0].rows if row[0] in wanted)

    def part(self, first: int, beyond: int) -> "Parcel":
        """Rows [first:beyond] by index in `seqs`, as a parcel of its own. `acknowledge` stays behind."""
        if first == 0 and beyond == len(self.seqs):
            return self
        seqs = self.seqs[first:beyond]
        wanted = range(seqs[0], seqs[-1] + 1) if seqs else range(0)
        unreadable = tuple(row for row in self.unreadable if row.seq in wanted)
        part = msgspec.structs.replace(self, seqs=seqs, unreadable=unreadable, acknowledge=lambda: None)
        part.series = pack_series(part.rows())
        return part

    def set_aside(self, error: str) -> "Parcel":
        """The same rows, none of which is tried again: the database refuses one of them."""
        refused = tuple(Unreadable(seq, encode(observation), error) for seq, observation in self.rows())
        return msgspec.structs.replace(self, series=Series(), unreadable=(*self.unreadable, *refused))


class _LooseBatch(Struct, frozen=True, kw_only=True):
    """devices.envelope.Batch with rows that are not looked into."""

    gateway: GatewayId
    epoch: str
    lane: Lane
    rows: tuple[tuple[int, Raw], ...]
    dropped_through: int = 0


def sender_of(topic: str) -> tuple[str, Lane] | None:
    """(gateway, lane) of an `up` topic, else None."""
    found = parse_topic(topic)
    if found is None or not _NAME.fullmatch(found[0]):
        return None
    return next(((found[0], lane) for lane in LANES if found[1] == ("up", lane)), None)


def open_parcel(topic: str, payload: bytes, acknowledge: Callable[[], None] = lambda: None) -> Parcel:
    """Raises Unfit."""
    sender = sender_of(topic)
    if sender is None:
        raise Unfit("topic is not one of ours")
    if len(payload) > BATCH_BYTES_MAX + ENVELOPE_BYTES_MAX:
        raise Unfit("more bytes than a batch may have")
    batch, unreadable, series = _read(payload)
    seqs = [seq for seq, _ in batch.rows]
    if unreadable:
        seqs = sorted([*seqs, *(row.seq for row in unreadable)])
    _check(batch, seqs, sender)
    return Parcel(
        gateway=batch.gateway,
        epoch=batch.epoch,
        lane=batch.lane,
        dropped_through=batch.dropped_through,
        payload=payload,
        seqs=seqs,
        series=series,
        unreadable=tuple(unreadable),
        acknowledge=acknowledge,
    )


def _read(payload: bytes) -> tuple[Batch, list[Unreadable], Series]:
    """Raises Unfit."""
    try:
        batch = decode_batch(payload)
        return batch, [], _packed(batch.rows)
    except (DecodeError, TypeError, OverflowError):
        batch, unreadable = _read_row_by_row(payload)
        return batch, unreadable, pack_series(batch.rows)


def _packed(rows: Rows) -> Series:
    """Raises TypeError for a time without a zone, OverflowError for a number that has no place in its column."""
    series = pack_series(rows)
    for _, observation in series.events:
        micros(observation.observed_at)
        micros(observation.received_at)
    return series


def _read_row_by_row(payload: bytes) -> tuple[Batch, list[Unreadable]]:
    """The rows that can be read, and those that cannot; raises Unfit when it is no batch at all."""
    try:
        loose = msgspec.json.decode(payload, type=_LooseBatch)
    except DecodeError as error:
        raise Unfit(f"not a batch: {error}") from error
    rows: list[tuple[int, Observation]] = []
    unreadable: list[Unreadable] = []
    for seq, raw in loose.rows:
        try:
            observation = decode_observation(bytes(raw))
            _packed(((seq, observation),))
        except (DecodeError, TypeError, OverflowError) as error:
            unreadable.append(Unreadable(seq, bytes(raw), str(error)))
        else:
            rows.append((seq, observation))
    whole = Batch(
        gateway=loose.gateway,
        epoch=loose.epoch,
        lane=loose.lane,
        rows=tuple(rows),
        dropped_through=loose.dropped_through,
    )
    return whole, unreadable


def _check(batch: Batch, seqs: list[int], sender: tuple[str, Lane]) -> None:
    if (batch.gateway, batch.lane) != sender:
        raise Unfit("gateway or lane differs from the topic's")
    if len(seqs) > BATCH_ROWS_MAX:
        raise Unfit("more rows than a batch may have")
    if not 0 < len(batch.epoch) <= NAME_CHARS_MAX or not batch.epoch.isprintable():
        raise Unfit("epoch is not a name")
    if not 0 <= batch.dropped_through <= SEQ_MAX:
        raise Unfit("dropped_through is out of range")
    if seqs and (seqs[0] < 1 or seqs[-1] > SEQ_MAX or any(map(ge, seqs, seqs[1:]))):
        raise Unfit("sequence numbers do not rise from 1")
