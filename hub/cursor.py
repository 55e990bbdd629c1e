"""What of a batch is new. Pure: the rule that makes rows arrive exactly once.

Rules
- Rows at or below the committed seq were seen and are skipped.
- The next row must be committed + 1; a hole is taken only when the batch declares it (`dropped_through`), as a Gap.
- What stands beyond an undeclared hole is refused: it would be acknowledged together with rows that never came.
- A batch without rows declares everything up to `dropped_through` as dropped.
"""

from collections.abc import Sequence

from msgspec import Struct


class Taken(Struct, frozen=True):
    """Rows [first:beyond] are new; `committed` holds afterwards. `refused`: something stood beyond a hole."""

    first: int
    beyond: int
    committed: int
    gaps: tuple[tuple[int, int], ...] = ()
    refused: bool = False


def take(committed: int, seqs: Sequence[int], dropped_through: int = 0) -> Taken:
    """`seqs` rise strictly and start at 1 or above."""
    first = _first_new(committed, seqs)
    if first < len(seqs) and seqs[first] == committed + 1 and seqs[-1] - seqs[first] == len(seqs) - 1 - first:
        return Taken(first, len(seqs), seqs[-1])  # no hole: nearly always
    gaps: list[tuple[int, int]] = []
    for index in range(first, len(seqs)):
        seq = seqs[index]
        if seq > committed + 1:
            if dropped_through < seq - 1:
                return Taken(first, index, committed, tuple(gaps), refused=True)
            gaps.append((committed + 1, seq - 1))
        committed = seq
    if not seqs and dropped_through > committed:
        gaps.append((committed + 1, dropped_through))
        committed = dropped_through
    return Taken(first, len(seqs), committed, tuple(gaps))


def _first_new(committed: int, seqs: Sequence[int]) -> int:
    if not seqs or seqs[0] > committed:
        return 0
    return next((index for index, seq in enumerate(seqs) if seq > committed), len(seqs))
