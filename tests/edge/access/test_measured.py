"""What may be said of scores, and what too few trials do not carry."""

import random
from math import comb, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.access.measured import (
    FARS,
    TooFew,
    Trial,
    accuracy,
    at_far,
    best_threshold,
    by_group,
    misses,
    rate,
)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [  # from tables of exact binomial bounds
        (0, 300, 0.0, 0.01222),
        (0, 10, 0.0, 0.30850),
        (10, 10, 0.69150, 1.0),
        (5, 10, 0.18709, 0.81291),
        (1, 100, 0.00025, 0.05446),
        (95, 100, 0.88716, 0.98357),
    ],
)
def test_bounds_are_the_exact_ones(hits: int, trials: int, low: float, high: float) -> None:
    found = rate(hits, trials)
    assert (found.low, found.high) == (pytest.approx(low, abs=2e-5), pytest.approx(high, abs=2e-5))


@given(st.integers(1, 200), st.data())
def test_bounds_hold_the_tails_that_they_promise(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    found = rate(hits, trials)

    def tail(probability: float, first: int, last: int) -> float:
        several = range(first, last + 1)
        return sum(comb(trials, at) * probability**at * (1 - probability) ** (trials - at) for at in several)

    assert found.low <= hits / trials <= found.high
    if hits:
        assert tail(found.low, hits, trials) == pytest.approx(0.025, abs=1e-6)
    if hits < trials:
        assert tail(found.high, 0, hits) == pytest.approx(0.025, abs=1e-6)


def test_many_trials_do_not_overflow() -> None:
    found = rate(30, 3_000_000)
    assert 5e-6 < found.low < 1e-5 < found.high < 2e-5


def world(seed: int, same: int, different: int, gap: float = 1.0) -> list[Trial]:
    chance = random.Random(seed)
    trials = [Trial(True, chance.gauss(gap, 0.3)) for _ in range(same)]
    trials += [Trial(False, chance.gauss(0, 0.3)) for _ in range(different)]
    chance.shuffle(trials)
    return trials


@pytest.mark.parametrize("far", FARS)
def test_rate_of_false_matches_that_the_trials_do_not_carry_is_refused(far: float) -> None:
    needed = round(3 / far)
    with pytest.raises(TooFew, match=f"need {needed:,} pairs of different people, not {needed - 1:,}"):
        at_far(world(1, 10, needed - 1), far)
    if needed <= 30_000:
        found = at_far(world(1, 10, needed), far)
        assert found.false_matches.value <= far and found.false_matches.trials == needed


def test_threshold_lets_pass_no_more_than_allowed_also_with_equal_scores() -> None:
    trials = [Trial(False, 0.5)] * 290 + [Trial(False, 0.9)] * 10 + [Trial(True, 0.9)] * 5 + [Trial(True, 0.95)] * 5
    found = at_far(trials, 0.01)
    assert found.false_matches.value == 0.0, "all ten or none"
    assert found.threshold > 0.9 and found.tar.value == 0.5
    trials = [Trial(False, 0.5)] * 297 + [Trial(False, 0.9)] * 3 + [Trial(True, 0.9)] * 10
    found = at_far(trials, 0.01)
    assert found.false_matches.value == pytest.approx(0.01) and found.tar.value == 1.0


def test_face_that_is_not_found_gets_nobody_in() -> None:
    trials = [Trial(False, 0.1)] * 300 + [Trial(True, 0.9)] * 8 + [Trial(True, None), Trial(True, float("nan"))]
    found = at_far(trials, 0.01)
    assert found.tar.value == 0.8
    assert misses(trials).value == pytest.approx(1 / 310)


def test_accuracy_of_ten_folds() -> None:
    perfect = accuracy(world(2, 300, 300, gap=5.0))
    assert (perfect.mean, perfect.error, perfect.trials) == (1.0, 0.0, 600)
    blind = accuracy(world(3, 3_000, 3_000, gap=0.0))
    assert 0.46 < blind.mean < 0.54
    good = accuracy(world(4, 3_000, 3_000, gap=1.0))
    assert 0.94 < good.mean < 0.97, "two normal curves 3.3 deviations apart: 95.2 %"


def test_accuracy_needs_trials_of_both_kinds() -> None:
    with pytest.raises(TooFew):
        accuracy(world(1, 10, 9))
    with pytest.raises(TooFew):
        accuracy([Trial(True, 0.5)] * 100)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5])), min_size=1, max_size=40))
def test_best_threshold_is_the_best(drawn: list[tuple[bool, float]]) -> None:
    trials = [Trial(same, score) for same, score in drawn]

    def right(threshold: float) -> int:
        return sum((score >= threshold) == same for same, score in drawn)

    assert right(best_threshold(trials)) == max(right(each) for each in (-inf, 0.1, 0.15, 0.25, 0.35, 0.45, 0.55))


def test_groups_are_measured_apart() -> None:
    trials = [Trial(True, 0.9, "a"), Trial(False, 0.1, "b"), Trial(True, 0.2, "a")]
    assert {group: len(each) for group, each in by_group(trials).items()} == {"a": 2, "b": 1}
    with pytest.raises(TooFew):
        misses([])
