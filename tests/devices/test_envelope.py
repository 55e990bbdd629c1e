"""The contract between edge and hub, and the table of names both use."""

from datetime import UTC, datetime

import pytest

from devices.dictionary import ALARMS, METRICS, alarm_priority, in_range
from devices.envelope import (
    Batch,
    decode_batch,
    encode,
    encode_batch,
    encode_rows,
    join_batch,
    lane_of,
    parse_topic,
    shard_of,
    topic,
)
from devices.framing import Cut, Framer, sum8, xor8
from devices.observation import Alarm, DeviceId, Event, GatewayId, Observation, Position, Rejected, Telemetry, digest

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GATEWAY = GatewayId("gw-1")
BODIES = (
    Telemetry({"heart_rate_bpm": 71.5}),
    Telemetry({}, "1-3"),
    Event(kind="reset", attributes={"operator": "1"}),
    Alarm(kind="smoke", description="大堂"),
    Position(longitude=120.5, latitude=30.7),
)


def rows() -> list[tuple[int, Observation]]:
    return [
        (seq, Observation(device=DeviceId("watch:1"), observed_at=NOW, received_at=NOW, body=body, flags=("late",)))
        for seq, body in enumerate(BODIES, start=1)
    ]


def test_a_batch_survives_the_wire_and_joins_from_pieces() -> None:
    batch = Batch(gateway=GATEWAY, epoch="e", lane="urgent", rows=tuple(rows()), dropped_through=0)
    assert decode_batch(encode(batch)) == batch
    encoded = [(seq, encode(observation)) for seq, observation in rows()]
    assert encode_batch(GATEWAY, "e", "urgent", encoded) == encode(batch)
    pieces = [encode_rows(encoded[:2]), encode_rows(encoded[2:])]
    assert join_batch(GATEWAY, "e", "urgent", pieces, 0) == encode(batch)
    assert decode_batch(join_batch(GATEWAY, "e", "urgent", [], 9)).dropped_through == 9


def test_urgent_are_alarms_and_events() -> None:
    assert [lane_of(observation) for _, observation in rows()] == [
        "routine",
        "routine",
        "urgent",
        "urgent",
        "routine",
    ]


def test_topics_name_their_gateway_and_shard() -> None:
    name = topic(GATEWAY, "up", "urgent")
    assert name == f"gridward/v1/{shard_of(GATEWAY)}/gw-1/up/urgent"
    assert parse_topic(name) == (GATEWAY, ("up", "urgent"))
    wrong_shard = name.replace(f"/{shard_of(GATEWAY)}/", "/99/")
    for other in (wrong_shard, "gridward/v1/00", "other/v1/00/gw-1/up/urgent", ""):
        assert parse_topic(other) is None


def test_values_out_of_range_are_not_published() -> None:
    assert in_range("heart_rate_bpm", 71)
    for value in (0, 1e9, float("nan"), float("inf"), float("-inf")):
        assert not in_range("heart_rate_bpm", value)
    assert not in_range("unheard_of", 1)


def test_an_unknown_alarm_is_too_loud_never_too_quiet() -> None:
    assert alarm_priority("unheard_of") == 1
    assert alarm_priority("smoke") == 0
    assert all(0 <= kind.priority <= 4 for kind in ALARMS.values())
    assert all(metric.low < metric.high for metric in METRICS.values())


def test_checksums() -> None:
    assert (sum8(b"\xff\x02"), xor8(b"\x0f\xf0\x01")) == (1, 0xFE)


def test_parts_of_a_digest_are_kept_apart() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert len(digest(b"a")) == 16


def _line(buffer: bytes, final: bool) -> Cut:
    if buffer[:1] == b"!":
        return Cut(1, reason="noise")
    end = buffer.find(b"\n")
    return Cut(end + 1, frame=buffer[:end]) if end >= 0 else Cut(0)


def test_the_framer_joins_noise_and_bounds_what_waits() -> None:
    framer = Framer(_line, 8)
    assert framer.feed(b"!!") == []
    assert framer.feed(b"!ab") == []
    assert framer.waiting == 2
    assert framer.feed(b"\n") == [Rejected(reason="noise", frame=b"!!!"), b"ab"]
    framer.feed(b"x" * 100)
    assert framer.waiting < 8
    assert [piece for piece in framer.idle() if isinstance(piece, bytes)] == []
    assert framer.waiting == 0


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"gateway":"g"}', b"\xff"])
def test_what_is_no_batch_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_batch(payload)
