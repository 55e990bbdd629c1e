"""How well scores tell the same person from another: what `gridward face measure` says, and when it says nothing. Pure.

Rules
- A number that the trials cannot carry is refused, not rounded: a rate of false matches of 1 in N needs 3 N trials of
  different people without one (rule of three: 95 % sure), TooFew says how many are missing.
- Every rate comes with its 95 % bounds (Clopper-Pearson, exact) and the number of trials behind it.
- A threshold for a rate of false matches is the lowest at which no more than that share of the different pairs passes;
  a pair passes when its score is not below the threshold.
- Accuracy is that of ten folds: in each the threshold is the best one of the other nine (the LFW protocol).
- A pair whose face was not found is a miss: counted, and a failure of the same person to get in.
"""

from collections.abc import Mapping, Sequence
from math import exp, fsum, inf, lgamma, log, nextafter, sqrt

from msgspec import Struct

RULE_OF_THREE = 3
FOLDS = 10
SURE = 0.95
FARS = (1e-2, 1e-3, 1e-4, 1e-5)


class TooFew(ValueError):
    """Fewer trials than the number needs; the text says how many."""


class Trial(Struct, frozen=True):
    """A pair that was compared. `score` None: a face was not found. `group`: of the people in it."""

    same: bool
    score: float | None
    group: str = ""


class Rate(Struct, frozen=True):
    """A share of `trials` with its bounds."""

    value: float
    low: float
    high: float
    trials: int


class AtFar(Struct, frozen=True):
    """What comes of allowing so many false matches: the threshold, and who gets in who should."""

    far: float
    threshold: float
    tar: Rate
    false_matches: Rate


class Accuracy(Struct, frozen=True):
    """Mean and standard error over the folds."""

    mean: float
    error: float
    trials: int


def rate(hits: int, trials: int) -> Rate:
    """Raises TooFew without a trial."""
    if trials <= 0:
        raise TooFew("no trials")
    tail = (1 - SURE) / 2
    low = 0.0 if hits == 0 else _quantile(hits, trials, 1 - tail, at_least=True)
    high = 1.0 if hits == trials else _quantile(hits, trials, tail, at_least=False)
    return Rate(hits / trials, low, high, trials)


def at_far(trials: Sequence[Trial], far: float) -> AtFar:
    """Raises TooFew."""
    different = sorted((_passing(each) for each in trials if not each.same), reverse=True)
    same = [_passing(each) for each in trials if each.same]
    needed = round(RULE_OF_THREE / far)
    if len(different) < needed:
        have = f"{needed:,} pairs of different people, not {len(different):,}"
        raise TooFew(f"false matches of 1 in {1 / far:,.0f} need {have}")
    if not same:
        raise TooFew("no pairs of the same person")
    allowed = int(far * len(different))
    threshold = _above(different[allowed]) if allowed < len(different) else -inf
    passed = sum(score >= threshold for score in different)
    got_in = sum(score >= threshold for score in same)
    return AtFar(far, threshold, rate(got_in, len(same)), rate(passed, len(different)))


def accuracy(trials: Sequence[Trial], folds: int = FOLDS) -> Accuracy:
    """In the order given: the first tenth is the first fold. Raises TooFew."""
    if len(trials) < folds * 2 or len({each.same for each in trials}) < 2:
        raise TooFew(f"{folds} folds need {folds * 2} pairs at least, of both kinds")
    edges = [len(trials) * number // folds for number in range(folds + 1)]
    found = []
    for number in range(folds):
        test = trials[edges[number] : edges[number + 1]]
        threshold = best_threshold([*trials[: edges[number]], *trials[edges[number + 1] :]])
        found.append(sum((_passing(each) >= threshold) == each.same for each in test) / len(test))
    mean = fsum(found) / folds
    spread = sqrt(fsum((each - mean) ** 2 for each in found) / (folds - 1))
    return Accuracy(mean, spread / sqrt(folds), len(trials))


def best_threshold(trials: Sequence[Trial]) -> float:
    """At which most pairs are judged right: in the middle between two scores, the lowest of equal ones."""
    ordered = sorted(trials, key=_passing)
    right = best = sum(each.same for each in ordered)  # everybody passes
    threshold = -inf
    for at, each in enumerate(ordered):
        right += -1 if each.same else 1
        score = _passing(each)
        following = _passing(ordered[at + 1]) if at + 1 < len(ordered) else score
        if right > best and (following > score or at + 1 == len(ordered)):
            best, threshold = right, max(_above(score), (score + following) / 2) if score > -inf else following
    return threshold


def misses(trials: Sequence[Trial]) -> Rate:
    """Pairs in which a face was not found. Raises TooFew."""
    return rate(sum(each.score is None for each in trials), len(trials))


def by_group(trials: Sequence[Trial]) -> Mapping[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for each in trials:
        found.setdefault(each.group, []).append(each)
    return dict(sorted(found.items()))


def _passing(trial: Trial) -> float:
    """A face that was not found passes nowhere."""
    return -inf if trial.score is None or trial.score != trial.score else trial.score


def _above(score: float) -> float:
    """The next number."""
    return nextafter(score, inf)


def _quantile(hits: int, trials: int, share: float, *, at_least: bool) -> float:
    """The probability at which so many hits or more (or fewer) have the tail 1 - `share` (or `share`), by halving."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        tail = _tail(hits, trials, middle) if at_least else 1 - _tail(hits + 1, trials, middle)
        wanted = 1 - share if at_least else share
        grows = tail < wanted if at_least else tail > wanted
        low, high = (middle, high) if grows else (low, middle)
    return (low + high) / 2


def _tail(hits: int, trials: int, probability: float) -> float:
    """Of `hits` or more."""
    if hits <= 0:
        return 1.0
    if probability <= 0.0:
        return 0.0
    if probability >= 1.0:
        return 1.0
    whole, odds = lgamma(trials + 1), log(probability) - log(1 - probability)
    base = trials * log(1 - probability)
    side = _shorter(hits, trials, probability)
    total = fsum(exp(whole - lgamma(at + 1) - lgamma(trials - at + 1) + at * odds + base) for at in side)
    return min(total, 1.0) if hits > trials * probability else max(1 - total, 0.0)


def _shorter(hits: int, trials: int, probability: float) -> range:
    """The side with fewer terms that matter: from `hits` up, or below it."""
    reach = int(12 * sqrt(trials * probability * (1 - probability)) + 40)
    if hits > trials * probability:
        return range(hits, min(trials, hits + reach) + 1)
    return range(max(0, hits - reach), hits)
