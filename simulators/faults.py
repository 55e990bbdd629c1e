"""What goes wrong on a device's line. Pure: frames and chance in, pieces of bytes out.

- garbage: noise before a frame, as after a glitch on a serial line
- duplicate: the frame twice, as from a device that lost the answer
- delay: the frame later
- drop: this frame and what follows are lost and the connection ends. On TCP nothing is lost from the middle.
"""

import random
from collections.abc import Iterable

from msgspec import Struct

from simulators.scenario import Faults

GARBAGE_BYTES_MAX = 40


class Piece(Struct, frozen=True):
    """Bytes to write after `wait_s`; None: hang up."""

    data: bytes | None
    wait_s: float = 0.0


def disturbed(frames: Iterable[bytes], faults: Faults, chance: random.Random) -> list[Piece]:
    pieces: list[Piece] = []
    for frame in frames:
        if chance.random() < faults.drop:
            return [*pieces, Piece(None)]
        if chance.random() < faults.garbage:
            pieces.append(Piece(chance.randbytes(chance.randint(1, GARBAGE_BYTES_MAX))))
        wait_s = chance.uniform(0, faults.delay_s) if faults.delay_s else 0.0
        copies = 2 if chance.random() < faults.duplicate else 1
        pieces += [Piece(frame, wait_s), *[Piece(frame)] * (copies - 1)]
    return pieces
