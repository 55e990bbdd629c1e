"""A walk up to a gate: heads that turn, pictures that are turned, people who swap, frames that are no good."""

from collections.abc import Iterator
from math import radians
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from edge.access.decision import Face
from edge.access.liveness import Challenge, Look, judge
from edge.access.walk import FRAMES_MAX, WALK_S_MAX, Seen, Walk
from tests.edge.access.heads import HEAD, PRINT, Solid, seen

STEP_S = 0.2


def turning(solid: Solid, to_deg: float, random: Random, **how: Any) -> Iterator[Look]:
    """Looks ahead for a second, turns within one, stays a second, turns back."""
    angles = [0.0] * 5 + [to_deg * part / 5 for part in range(1, 6)] + [to_deg] * 5 + [0.0] * 3
    for number, angle in enumerate(angles):
        yield Look(number * STEP_S, seen(solid, radians(angle + random.gauss(0, 2)), random, **how))


def verdicts(solid: Solid, to_deg: float, asked: Any, count: int = 200, **how: Any) -> list[str]:
    random = Random(20261125)
    looks = [list(turning(solid, to_deg, random, **how)) for _ in range(count)]
    return [judge(Challenge(asked, 0.8), each) for each in looks]


@pytest.mark.parametrize("distance_mm", [400.0, 600.0, 750.0])
@pytest.mark.parametrize("degrees", [30.0, 40.0])
def test_head_that_turns_as_asked_is_live(degrees: float, distance_mm: float) -> None:
    assert verdicts(HEAD, degrees, "left", distance_mm=distance_mm).count("live") >= 190
    assert verdicts(HEAD, -degrees, "right", distance_mm=distance_mm).count("live") >= 190


@pytest.mark.parametrize("distance_mm", [400.0, 600.0, 750.0])
@pytest.mark.parametrize("degrees", [0.0, 20.0, 35.0, 50.0])
def test_picture_is_never_live_however_it_is_turned(degrees: float, distance_mm: float) -> None:
    for asked in ("left", "right"):
        found = verdicts(PRINT, degrees, asked, distance_mm=distance_mm)
        assert "live" not in found
        assert "live" not in verdicts(PRINT, degrees, asked, distance_mm=distance_mm, roll=0.5)
    if degrees == 35:
        assert found.count("spoof") >= 180, "turned so far that it shows, and not so far that landmarks get rough"


def test_head_that_turns_the_other_way_or_not_at_all_is_neither() -> None:
    assert set(verdicts(HEAD, -35, "left")) == {"not_checked"}, "a head is no picture, whatever it does"
    assert set(verdicts(HEAD, 0, "left")) == {"not_checked"}


def test_turn_before_it_was_asked_for_does_not_count() -> None:
    looks = list(turning(HEAD, 40, Random(1)))
    assert judge(Challenge("left", looks[-1].at), looks) == "not_checked"
    assert judge(Challenge("left", looks[4].at), looks) == "live"


def test_too_far_away_to_tell() -> None:
    assert "live" not in verdicts(HEAD, 40, "left", distance_mm=1200.0)


AHEAD = seen(HEAD, 0.0, Random(3), noise_px=0.0)
GOOD = Seen(area=10_000, landmarks=AHEAD, similarity=0.7, same_as_first=0.9)


def walk_of(frames: list[list[Seen]], side: Any = None) -> Walk:
    walk = Walk(0.0, side)
    for number, faces in enumerate(frames):
        walk.frame(number * STEP_S, faces)
    return walk


def test_median_of_three_good_frames_is_the_similarity() -> None:
    frames = [[replace(GOOD, similarity=value)] for value in (0.3, 0.95, 0.6)]
    assert walk_of(frames[:2]).result(1.0) is None
    assert walk_of(frames).result(1.0) == Face("compared", 0.6, "not_checked")


def test_one_lucky_frame_among_poor_ones_is_no_result() -> None:
    walk = walk_of([[GOOD], [replace(GOOD, faults=("blurred",))], [replace(GOOD, faults=("blurred",))]])
    assert walk.asks() == "hold_still"
    assert walk.result(1.0) is None
    assert walk.result(WALK_S_MAX) == Face("low_quality")


@pytest.mark.parametrize(
    ("faces", "status", "asks"),
    [
        ([], "no_face", "look_here"),
        ([replace(GOOD, faults=("too_small",))], "low_quality", "come_closer"),
        ([replace(GOOD, faults=("dark",))], "low_quality", "more_light"),
        ([GOOD, replace(GOOD, area=6_000)], "several_faces", "one_at_a_time"),
        ([replace(GOOD, area=60)] * 200, "several_faces", "one_at_a_time"),
    ],
)
def test_frames_that_are_no_good_end_with_the_reason(faces: list[Seen], status: Any, asks: str) -> None:
    walk = walk_of([faces] * 5)
    assert walk.asks() == asks
    assert walk.result(1.0) is None
    assert walk.result(WALK_S_MAX) == Face(status)


def test_somebody_far_behind_does_not_disturb() -> None:
    found = walk_of([[replace(GOOD, area=900), GOOD]] * 3).result(1.0)
    assert found is not None
    assert found.status == "compared"


def test_another_person_in_mid_walk_ends_it() -> None:
    other = replace(GOOD, similarity=0.9, same_as_first=0.1)
    walk = walk_of([[GOOD], [GOOD], [other]])
    assert walk.changed_person
    found = walk.result(1.0)
    assert found is not None
    assert (found.status, found.similarity) == ("another_person", None)


def test_head_turned_as_asked_is_compared_and_live() -> None:
    looks = list(turning(HEAD, 35, Random(5)))
    walk = Walk(0.0, "left")
    asked = []
    for look in looks[:15]:
        walk.frame(look.at, [replace(GOOD, landmarks=look.landmarks)])
        asked.append(walk.asks())
    assert asked[0] == "look_here"
    assert "turn_left" in asked
    assert walk.result(3.0) == Face("compared", 0.7, "live")


def test_challenge_that_is_not_answered_is_not_passed() -> None:
    walk = walk_of([[GOOD]] * 20, "right")
    assert walk.asks() == "turn_right"
    assert walk.result(4.0) is None
    assert walk.result(WALK_S_MAX) == Face("compared", 0.7, "not_checked")


def test_passive_model_alone_does_not_do_for_a_challenge_and_its_spoof_outweighs_one() -> None:
    assert walk_of([[replace(GOOD, passive="live")]] * 20, "left").result(WALK_S_MAX) == Face(
        "compared", 0.7, "not_checked"
    )
    assert walk_of([[replace(GOOD, passive="live")]] * 3).result(1.0) == Face("compared", 0.7, "live")
    looks = list(turning(HEAD, 35, Random(5)))
    walk = Walk(0.0, "left")
    for look in looks:
        walk.frame(look.at, [replace(GOOD, landmarks=look.landmarks, passive="spoof")])
    found = walk.result(4.0)
    assert found is not None
    assert found.liveness == "spoof"


def test_model_that_falls_silent_is_not_a_match() -> None:
    assert walk_of([[replace(GOOD, similarity=None)]] * 5).result(1.0) == Face("not_checked")


def test_no_more_frames_are_kept_than_the_limit() -> None:
    walk = walk_of([[replace(GOOD, faults=("dark",))]] * (FRAMES_MAX + 50))
    assert walk.result(1.0) == Face("low_quality")
