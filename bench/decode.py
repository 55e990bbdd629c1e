"""Bytes of a link → Observations and answers, frames a second on one core, each family.

The streams are what the simulated devices say in a long day (heartbeats, values, positions, now and then an alarm and
its end), in pieces as a socket gives them. The limit beside each number is the least that any reader has to do with the
same bytes in the same language: find the frames and test their checksum.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from bench.result import Result
from devices.families import FAMILIES
from devices.families.gbt26875_wire import FRAME_BYTES_MIN, UNIT_BYTES_MAX
from devices.observation import Observation
from simulators import band, panel, terminal
from simulators.device import SimulatedDevice

FRAMES, FRAMES_QUICK = 40_000, 8_000
ROUNDS = 5
PIECE_BYTES = 4_096
GOALS = {"gbt26875": 40_000, "jt808": 30_000, "watch": 40_000}
START = datetime(2026, 11, 24, tzinfo=UTC)


class Stream(Struct, frozen=True):
    """`pieces`: bytes and when they come."""

    pieces: list[tuple[bytes, datetime]]
    frames: int
    native_id: str


def run(quick: bool) -> list[Result]:
    wanted = FRAMES_QUICK if quick else FRAMES
    return [_measure(family, wanted, bare) for family, bare in BARE.items()]


def _measure(family: str, wanted: int, bare: Callable[[bytes], int]) -> Result:
    stream = _stream(family, wanted)
    whole = b"".join(data for data, _ in stream.pieces)
    assert bare(whole) == stream.frames, "the limit must see the same frames"
    value = max(stream.frames / _decode_s(family, stream) for _ in range(ROUNDS))
    limit = max(stream.frames / _timed(lambda: bare(whole)) for _ in range(ROUNDS))
    goal = GOALS[family]
    return Result(
        name=f"{family} decode, one core",
        value=value,
        unit="frames/s",
        limit=limit,
        limit_name="cut and checksum only,",
        goal=f"≥ {goal:,} frames/s",
        met=value >= goal,
        note=f"{stream.frames:,} frames of {len(whole) / stream.frames:.0f} bytes, best of {ROUNDS} rounds",
    )


def _decode_s(family: str, stream: Stream) -> float:
    """Seconds for one new link; every frame has to come out."""
    kind = FAMILIES[family]
    session = kind.open_session(kind.settings(), frozenset({stream.native_id}))
    heard = 0

    def decode() -> None:
        nonlocal heard
        for data, now in stream.pieces:
            heard += sum(isinstance(result, Observation) for result in session.receive(data, now))
            session.to_send()

    seconds = _timed(decode)
    assert heard >= stream.frames, "frames were lost"
    return seconds


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# --- the streams ---------------------------------------------------------------------------------

DEVICES: dict[str, tuple[str, Callable[..., SimulatedDevice], dict[str, Any]]] = {
    "gbt26875": ("889", panel.build, {"report_every_s": 5, "components": tuple(range(1, 100))}),
    "watch": ("8800000001", band.build, {"report_every_s": 10}),
    "jt808": ("13957300001", terminal.build, {"report_every_s": 5}),
}
# What happens every 100 simulated seconds, in turn.
HAPPENS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "gbt26875": [
        ("smoke", {"component": 7}),
        ("clear", {"component": 7}),
        ("fault", {}),
        ("repaired", {}),
        ("reset", {}),
    ],
    "watch": [("heart", {"bpm": 71}), ("off_wrist", {}), ("on_wrist", {}), ("sos", {})],
    "jt808": [("overspeed", {}), ("overspeed_over", {}), ("emergency", {}), ("emergency_over", {})],
}


def _stream(family: str, wanted: int) -> Stream:
    """Frames of one device that is answered as it should be."""
    native_id, build, settings = DEVICES[family]
    device = build(native_id, settings, 1)
    kind = FAMILIES[family]
    session = kind.open_session(kind.settings(), frozenset({native_id}))
    now, said, frames = START, b"", 0
    pieces: list[tuple[bytes, datetime]] = []
    device.connected(now)
    for second in range(100 * wanted):
        if frames >= wanted:
            break
        now += timedelta(seconds=1)
        if second % 100 == 50:
            action, args = HAPPENS[family][second // 100 % len(HAPPENS[family])]
            device.act(action, args, now)
        device.tick(now)
        sent = b"".join(device.to_send())
        frames += BARE[family](sent)
        said += sent
        while len(said) >= PIECE_BYTES:
            pieces.append((said[:PIECE_BYTES], now))
            said = said[PIECE_BYTES:]
        session.receive(sent, now)
        device.receive(session.to_send(), now)
    return Stream([*pieces, (said, now)], frames, native_id)


# --- the limits: whole frames in `data`, cut and summed ------------------------------------------


def _bare_gbt26875(data: bytes) -> int:
    at = frames = 0
    while at < len(data):
        assert data[at : at + 2] == b"@@"
        length = data[at + 24] | data[at + 25] << 8
        assert length <= UNIT_BYTES_MAX
        end = at + FRAME_BYTES_MIN + length
        frame = data[at:end]
        assert sum(frame[2:-3]) & 0xFF == frame[-3]
        frames += 1
        at = end
    return frames


def _bare_watch(data: bytes) -> int:
    """These have no checksum: their length has to fit."""
    at = frames = 0
    while at < len(data):
        start = data.index(b"*", at + 20) + 1
        end = start + int(data[start - 5 : start - 1], 16)
        assert data[end] == ord("]")
        frames += 1
        at = end + 1
    return frames


def _bare_jt808(data: bytes) -> int:
    frames = 0
    for piece in data.split(b"\x7e"):
        if piece:
            frame = piece.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
            folded = 0
            for byte in frame:
                folded ^= byte
            assert folded == 0
            frames += 1
    return frames


BARE: dict[str, Callable[[bytes], int]] = {"gbt26875": _bare_gbt26875, "watch": _bare_watch, "jt808": _bare_jt808}
