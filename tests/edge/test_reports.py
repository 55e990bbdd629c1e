"""A second delivery is known by its device and frame id, for as long as its device's share reaches, and only once it is
certain that the first one was stored."""

from hypothesis import given
from hypothesis import strategies as st

from edge import reports
from edge.reports import Reports

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


def test_a_talkative_device_does_not_push_out_the_memory_of_another() -> None:
    known = Reports(devices=16)
    known.offer("quiet:1", "x.0")
    for number in range(reports.SHARE_MAX + 1):
        known.offer("loud:1", f"{number}.0")
    known.settle()
    assert known.holds("quiet:1", "x.0")
    assert not known.holds("loud:1", "0.0") and known.holds("loud:1", "1.0")


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
        assert again.whole() == first.whole() or kept is stored


def test_bytes_across_the_border_of_two_reports_are_no_report() -> None:
    known = Reports(1)
    known._held[b"a-device"] = bytearray(b"0123456789abcdef89abcdef")
    assert not known._knows(b"a-device", b"456789ab") and not known._knows(b"a-device", b"xxxxxxxx")
    assert known._knows(b"a-device", b"01234567") and known._knows(b"a-device", b"89abcdef")
    assert not known._knows(b"another-", b"01234567")
