"""A second delivery is known by its device and frame id, for as long as its device's share reaches, and only once it is
certain that the first one was stored."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import reports
from edge.reports import Reports
from simulators.device import UNANSWERED_MAX

ROWS = st.lists(st.tuples(st.sampled_from(["a:1", "a:2", "b:1"]), st.integers(0, 9), st.integers(0, 2)), max_size=40)


def test_rows_of_one_report_come_together_and_a_second_delivery_does_not() -> None:
    known = Reports(2)
    assert [known.offer("a:1", f"x.{number}") for number in range(3)] == [True] * 3
    assert not known.offer("a:1", "x.0")
    assert not known.holds("a:1", "x.0"), "not before it is durable"
    known.settle()
    assert known.holds("a:1", "x.0") and not known.offer("a:1", "x.7")
    assert known.offer("a:2", "x.0") and known.offer("a:1", "y.0") and known.duplicates == 2


def test_what_has_no_frame_id_is_always_new() -> None:
    known = Reports(1)
    assert known.offer("a:1", "") and known.offer("a:1", "")
    known.settle()
    assert known.offer("a:1", "") and not known.holds("a:1", "") and known.fresh() == b""


def test_what_the_disk_did_not_take_is_new_again() -> None:
    known = Reports(1)
    assert known.offer("a:1", "x.0")
    known.undo()
    assert known.offer("a:1", "x.0")


def accept(known: Reports, device: str, *numbers: int) -> list[bool]:
    """One report a transaction; which were stored."""
    stored = []
    for number in numbers:
        stored.append(known.offer(device, f"{number}.0"))
        known.settle()
    return stored


def a_long_day(known: Reports, devices: int) -> None:
    """Every device has talked for so long that the memory is full."""
    for number in range(2 * reports.REPORTS_MAX // devices):
        for device in range(devices):
            known.offer(f"watch:{device}", f"{number}.0")
        known.settle()


@pytest.mark.parametrize("devices", [1, 500, 20_000])
def test_a_device_that_was_cut_off_before_the_answers_may_send_all_again(devices: int) -> None:
    """Twice: the second cut comes while it sends again."""
    known = Reports(devices)
    assert all(accept(known, "jt808:1", *range(UNANSWERED_MAX)))
    assert not any(accept(known, "jt808:1", *range(UNANSWERED_MAX // 2)))
    assert not any(accept(known, "jt808:1", *range(UNANSWERED_MAX)))


def test_so_may_one_among_many_whose_reports_fill_the_memory() -> None:
    """It comes back after hours in which the others went on, and they go on while it sends again."""
    devices = 500
    known = Reports(devices)
    a_long_day(known, devices)
    accept(known, "jt808:1", *range(UNANSWERED_MAX))
    a_long_day(known, devices)
    for number in range(UNANSWERED_MAX):
        assert accept(known, "jt808:1", number) == [False]
        accept(known, f"watch:{number % devices}", 10**6 + number, 2 * 10**6 + number)
    assert len(known.whole()) <= reports.REPORTS_MAX * reports.ENTRY_BYTES


def test_so_may_thirteen_at_once_and_all_after_a_restart() -> None:
    known, stored = Reports(500), b""
    for device in range(13):
        for number in range(UNANSWERED_MAX):
            known.offer(f"jt808:{device}", f"{number}.0")
            stored += known.fresh()
            known.settle()
    again = Reports(500)
    again.load(stored)
    for one in (known, again):
        assert not any(one.offer(f"jt808:{device}", "0.0") for device in range(13))
        assert not any(one.offer(f"jt808:{device}", f"{UNANSWERED_MAX - 1}.0") for device in range(13))


def test_a_talkative_device_does_not_push_out_the_memory_of_another() -> None:
    known = Reports(devices=16)
    known.offer("quiet:1", "x.0")
    for number in range(2 * reports.REPORTS_MAX):
        known.offer(f"loud:{number % 15}", f"{number}.0")
        known.settle()
    assert known.holds("quiet:1", "x.0")
    accept(known, "alone:1", *range(reports.SHARE_MAX + 1))
    assert not known.holds("alone:1", "0.0") and known.holds("alone:1", "1.0")


@given(st.lists(st.tuples(st.sampled_from(["a:1", "b:1", "c:1"]), st.integers(0, 40)), max_size=120))
def test_how_far_a_memory_reaches_is_the_sum_of_its_gaps(offers: list[tuple[str, int]]) -> None:
    known = Reports(3)
    for device, number in offers:
        accept(known, device, number)
    for memory in known._held.values():
        numbers = list(memory.numbers)
        assert numbers == sorted(numbers) and len(memory.reports) == len(numbers) * reports.HASH_BYTES
        gaps = [after - before for before, after in pairwise(numbers)]
        assert memory.reach == sum(min(gap, reports.SILENCE_MAX) for gap in gaps)
    assert known._count == sum(len(memory.numbers) for memory in known._held.values())


def test_memory_stays_bounded_whatever_the_names() -> None:
    known = Reports(devices=10)
    for number in range(500):
        known.offer(f"made-up:{number}", "x.0")
        known.settle()
    assert len(known.whole()) <= (2 * 10 + 16) * reports.ENTRY_BYTES


@given(ROWS)
def test_what_was_stored_gives_the_same_memory(rows: list[tuple[str, int, int]]) -> None:
    first, stored = Reports(3), b""
    for device, frame, part in rows:
        first.offer(device, f"{frame}.{part}")
        stored += first.fresh()
        first.settle()
    for kept in (stored, first.whole()):
        again = Reports(3)
        again.load(kept)
        assert all(again.holds(device, f"{frame}.{part}") for device, frame, part in rows)
        assert again.whole() == first.whole() or kept is stored  # a recognised one is moved in memory only


def test_bytes_across_the_border_of_two_reports_are_no_report() -> None:
    known = Reports(1)
    for report in (b"01234567", b"89abcdef", b"89abcdef"[::-1]):
        known._keep(b"a-device", report)
    assert not known._knows(b"a-device", b"456789ab") and not known._knows(b"a-device", b"xxxxxxxx")
    assert known._knows(b"a-device", b"01234567") and known._knows(b"a-device", b"89abcdef")
    assert not known._knows(b"another-", b"01234567")
