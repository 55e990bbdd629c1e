"""Names of reports that carry no time: the same for copies, another for what is said again."""

from datetime import UTC, datetime, timedelta

from devices.repeats import REPEAT, Repeats

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def test_copies_have_one_name_as_long_as_they_keep_coming() -> None:
    names = Repeats(10)
    first = names.name(NOW, b"a", b"1")
    assert {names.name(NOW + at * REPEAT, b"a", b"1") for at in range(1, 20)} == {first}
    assert names.name(NOW + 21 * REPEAT, b"a", b"1") != first
    assert names.name(NOW, b"a", b"2") != first


def test_another_link_gives_the_same_name_within_the_hour() -> None:
    assert Repeats(10).name(NOW, b"a") == Repeats(10).name(NOW + timedelta(minutes=9), b"a")
    assert Repeats(10).name(NOW, b"a") != Repeats(10).name(NOW + timedelta(hours=2), b"a")


def test_the_oldest_is_forgotten() -> None:
    names = Repeats(2)
    for report in (b"a", b"b", b"a", b"c"):
        names.name(NOW, report)
    late = NOW + timedelta(minutes=20)
    assert names.name(late, b"a") != Repeats(1).name(late, b"a")
    assert names.name(late, b"b") == Repeats(1).name(late, b"b")
