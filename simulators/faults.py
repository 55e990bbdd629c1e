"""What goes wrong on a device's line. Pure: frames and chance in, pieces out.

- garbage: noise before a frame, as after a glitch on a serial line
- duplicate: the frame twice, as from a device that lost the answer
- delay: the frame later
- drop: on a connection this frame and what follows are lost and it ends: from its middle nothing is lost. Where each
  frame travels alone (datagrams, messages) only the frame is lost.
"""

import random
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from simulators.device import Packet
from simulators.spec import Faults

GARBAGE_BYTES_MAX = 40

_Frame = TypeVar("_Frame", bytes, Packet)


class Piece(Struct, Generic[_Frame], frozen=True):
    """What to send after `wait_s`; None: hang up."""

    data: _Frame | None
    wait_s: float = 0.0


def disturbed(frames: Iterable[bytes], faults: Faults, chance: random.Random) -> list[Piece[bytes]]:
    """On a connection."""
    pieces: list[Piece[bytes]] = []
    for frame in frames:
        if chance.random() < faults.drop:
            return [*pieces, Piece(None)]
        pieces += _one(frame, lambda _, noise: noise, faults, chance)
    return pieces


def disturbed_alone(
    frames: Iterable[_Frame], noise_like: Callable[[_Frame, bytes], _Frame], faults: Faults, chance: random.Random
) -> list[Piece[_Frame]]:
    """Where each frame travels alone. `noise_like` makes of noise what travels beside a frame."""
    return [
        piece
        for frame in frames
        if not chance.random() < faults.drop
        for piece in _one(frame, noise_like, faults, chance)
    ]


def packet_of_noise(packet: Packet, noise: bytes) -> Packet:
    return Packet(packet.channel, noise)


def _one(
    frame: _Frame, noise_like: Callable[[_Frame, bytes], _Frame], faults: Faults, chance: random.Random
) -> list[Piece[_Frame]]:
    pieces: list[Piece[_Frame]] = []
    if chance.random() < faults.garbage:
        pieces.append(Piece(noise_like(frame, chance.randbytes(chance.randint(1, GARBAGE_BYTES_MAX)))))
    wait_s = chance.uniform(0, faults.delay_s) if faults.delay_s else 0.0
    copies = 2 if chance.random() < faults.duplicate else 1
    pieces.append(Piece(frame, wait_s))
    return pieces + [Piece(frame)] * (copies - 1)
