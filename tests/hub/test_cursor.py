"""What of a batch is new: exactly once, in order, nothing beyond a hole that was not declared."""

from hypothesis import given
from hypothesis import strategies as st

from hub.cursor import Taken, take

SEQS = st.lists(st.integers(1, 40), unique=True, max_size=20).map(sorted)


def test_the_plain_cases() -> None:
    assert take(0, [1, 2, 3]) == Taken(0, 3, 3)
    assert take(2, [1, 2, 3]) == Taken(2, 3, 3)
    assert take(3, [1, 2, 3]) == Taken(3, 3, 3)
    assert take(3, []) == Taken(0, 0, 3)


def test_a_hole_is_refused_unless_it_is_declared() -> None:
    assert take(3, [5, 6]) == Taken(0, 0, 3, refused=True)
    assert take(3, [4, 6, 7]) == Taken(0, 1, 4, refused=True)
    assert take(3, [5, 6], dropped_through=4) == Taken(0, 2, 6, ((4, 4),))
    assert take(3, [6, 7], dropped_through=4) == Taken(0, 0, 3, refused=True)
    assert take(3, [4, 7], dropped_through=6) == Taken(0, 2, 7, ((5, 6),))


def test_an_empty_batch_declares_what_was_dropped() -> None:
    assert take(3, [], dropped_through=9) == Taken(0, 0, 9, ((4, 9),))
    assert take(9, [], dropped_through=9) == Taken(0, 0, 9)


@given(committed=st.integers(0, 45), seqs=SEQS, dropped_through=st.integers(0, 45))
def test_each_row_is_taken_or_refused_for_one_reason(committed: int, seqs: list[int], dropped_through: int) -> None:
    taken = take(committed, seqs, dropped_through)
    new = seqs[taken.first : taken.beyond]
    assert all(seq <= committed for seq in seqs[: taken.first])
    assert all(seq > committed for seq in new)
    assert taken.committed == max([committed, *new, *(last for _, last in taken.gaps)])
    assert taken.refused == (taken.beyond < len(seqs))
    gone = [seq for first, last in taken.gaps for seq in range(first, last + 1)]
    assert sorted([*new, *gone]) == list(range(committed + 1, taken.committed + 1))  # no hole, nothing twice
    assert all(seq <= dropped_through for seq in gone)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10)), max_size=30))
def test_batches_of_one_spool_in_any_order_count_each_row_once(pieces: list[tuple[int, int]]) -> None:
    committed, stored = 0, []
    for first, length in pieces:
        seqs = list(range(first, first + length))
        taken = take(committed, seqs)
        stored += seqs[taken.first : taken.beyond]
        committed = taken.committed
    assert stored == list(range(1, committed + 1))
