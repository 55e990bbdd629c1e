"""A batch from the broker: what is none is unfit, one bad row does not spoil the others."""

from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.envelope import BATCH_BYTES_MAX, BATCH_ROWS_MAX, Batch, encode, topic
from devices.observation import Alarm, DeviceId, GatewayId, Observation, Telemetry
from hub.parcel import ENVELOPE_BYTES_MAX, SEQ_MAX, Unfit, open_parcel, sender_of

GATEWAY = GatewayId("gw-1")
TOPIC = topic(GATEWAY, "up", "routine")
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def reading(value: float = 1.0) -> Observation:
    return Observation(device=DeviceId("watch:1"), observed_at=AT, received_at=AT, body=Telemetry({"steps": value}))


def batch(rows=(1, 2, 3), **changed) -> bytes:
    fields = {"gateway": GATEWAY, "epoch": "e1", "lane": "routine", "rows": tuple((seq, reading()) for seq in rows)}
    return encode(Batch(**{**fields, **changed}))


def with_row(row: object, at: int = 1) -> bytes:
    """A good batch whose row of that index is replaced by whatever."""
    found = msgspec.json.decode(batch())
    found["rows"][at] = row
    return encode(found)


def test_a_good_batch() -> None:
    parcel = open_parcel(TOPIC, batch())
    assert (parcel.spool, parcel.lane, parcel.seqs) == (("gw-1", "e1"), "routine", [1, 2, 3])
    assert parcel.series.telemetry_rows == 3 and not parcel.unreadable


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not a batch"),
        (b"{", "not a batch"),
        (b"[]", "not a batch"),
        (b'{"gateway":"gw-1"}', "not a batch"),
        (b"\xff\xfe", "not a batch"),
        (batch(gateway=GatewayId("gw-2")), "differs from the topic"),
        (batch(lane="urgent"), "differs from the topic"),
        (batch(epoch=""), "epoch"),
        (batch(epoch="a\nb"), "epoch"),
        (batch(epoch="e" * 1000), "epoch"),
        (batch(dropped_through=-1), "dropped_through"),
        (batch(dropped_through=SEQ_MAX + 1), "dropped_through"),
        (batch((0, 1)), "do not rise"),
        (batch((2, 1)), "do not rise"),
        (batch((1, 1)), "do not rise"),
        (batch((1, SEQ_MAX + 1)), "do not rise"),
        (batch(range(1, BATCH_ROWS_MAX + 2)), "more rows"),
        (b" " * (BATCH_BYTES_MAX + ENVELOPE_BYTES_MAX + 1), "more bytes"),
    ],
)
def test_what_is_no_batch_is_unfit(payload: bytes, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        open_parcel(TOPIC, payload)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gridward/v1/00/gw-1/up/routine",  # the wrong shard
        topic(GATEWAY, "up", "other"),
        topic(GATEWAY, "up"),
        topic(GATEWAY, "up", "routine", "more"),
        topic(GatewayId("GW 1"), "up", "routine"),
        topic(GatewayId(""), "up", "routine"),
        topic(GatewayId("a" * 65), "up", "routine"),
    ],
)
def test_what_is_no_topic_of_ours_has_no_sender(name: str) -> None:
    assert sender_of(name) is None
    with pytest.raises(Unfit, match="topic"):
        open_parcel(name, batch())


@pytest.mark.parametrize(
    "row",
    [
        [2, {"device": "watch:1"}],
        [2, 7],
        [2, msgspec.to_builtins(reading()) | {"observed_at": "2026-11-24T12:00:00"}],  # no zone
        [2, msgspec.to_builtins(reading()) | {"observed_at": "0001-01-01T00:00:00Z"}],
        [2, msgspec.to_builtins(reading()) | {"received_at": "9999-12-31T23:59:59-14:00"}],
        [2, msgspec.to_builtins(reading()) | {"body": {"type": "telemetry", "values": {"steps": None}}}],
        [2, msgspec.to_builtins(reading()) | {"body": {"type": "unheard_of"}}],
        [2, msgspec.to_builtins(reading()) | {"body": {"type": "alarm", "kind": "smoke"}, "observed_at": "2026-11-24"}],
    ],
)
def test_one_bad_row_is_set_aside_as_it_came(row: list) -> None:
    parcel = open_parcel(TOPIC, with_row(row))
    assert parcel.seqs == [1, 2, 3] and parcel.series.telemetry_rows == 2
    [unreadable] = parcel.unreadable
    assert unreadable.seq == 2 and unreadable.observation == encode(row[1]) and unreadable.error


def test_an_alarm_with_a_time_that_has_no_zone_is_set_aside_too() -> None:
    alarm = Observation(device=DeviceId("a:1"), observed_at=AT, received_at=AT, body=Alarm(kind="smoke"))
    built = msgspec.to_builtins(alarm) | {"observed_at": "2026-11-24T12:00:00"}
    parcel = open_parcel(TOPIC, with_row([2, built]))
    assert [row.seq for row in parcel.unreadable] == [2] and parcel.series.events == []


@given(st.binary(max_size=200))
def test_any_bytes_are_unfit_or_a_parcel(payload: bytes) -> None:
    with pytest.raises(Unfit):
        open_parcel(TOPIC, payload)


@given(st.integers(0, 5), st.integers(0, 5))
def test_parts_are_the_whole(first: int, second: int) -> None:
    parcel = open_parcel(TOPIC, with_row([3, 7], at=2).replace(b'"e1"', b'"e2"'))
    cuts = [0, *sorted((min(first, 3), min(second, 3))), 3]
    parts = [parcel.part(*cut) for cut in pairwise(cuts)]
    assert [seq for part in parts for seq in part.seqs] == parcel.seqs
    assert [row for part in parts for row in part.unreadable] == list(parcel.unreadable)
    assert b"".join(part.series.telemetry for part in parts) == parcel.series.telemetry
    assert [row for part in parts for row in part.rows()] == list(parcel.rows())


def test_set_aside_keeps_every_row_and_tries_none() -> None:
    aside = open_parcel(TOPIC, batch()).part(1, 2).set_aside("no")
    assert [(row.seq, row.error) for row in aside.unreadable] == [(2, "no")]
    assert msgspec.json.decode(aside.unreadable[0].observation, type=Observation) == reading()
    assert aside.seqs == [2] and aside.series.telemetry == b""
