"""Along a corridor and on the way to a zone: what is told, what is not, and that neither lateness nor a restart tells
it twice."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise, permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.buffers import corridor as drawn_corridor
from geofences.cells import Cells
from geofences.late import taken
from geofences.plan import Plan
from geofences.rules import Checkpoint, Corridor, Rules
from geofences.step import is_due, until
from geofences.track import Crossing, Fix, Track, kept, read
from geofences.zones import ZoneError, zone
from tests.geofences.shapes import polygon, square

NOON = datetime(2026, 7, 6, 12, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()
METRE = 1 / 96_486.2  # of longitude at 30° north, in degrees
NORTH = 1 / 110_852.4
LINE = tuple((120.0 + at * METRE, 30.0) for at in (0, 1_000, 2_000, 3_000))  # 3 km to the east


def truck_road(posture: str = "", version: int = 1, *, line: Any = LINE, **rules: Any) -> Plan:
    """A corridor 40 m wide along LINE."""
    rings = drawn_corridor(line, 40.0)
    shape = {"type": "MultiPolygon", "coordinates": rings}
    return Plan(Cells([zone("road", shape)]), {"road": Rules(corridor=Corridor(line, **rules))}, version, posture)


def at(second: float, metres: float, beside: float = 0.0, **more: Any) -> Fix:
    return Fix(NOON + second, 120.0 + metres * METRE, 30.0 + beside * NORTH, **more)


def driven(fixes: Iterable[Fix], plan: Plan, track: Track | None = None) -> tuple[Track, list[Crossing]]:
    track, told = track or Track(), list[Crossing]()
    for each in fixes:
        track, more = taken(track, each, plan)
        told += more
    return track, told


def kinds(told: Iterable[Crossing]) -> list[tuple[str, float]]:
    return [(each.kind, each.at - NOON) for each in told]


def test_drive_from_end_to_end_is_entered_and_exited() -> None:
    _, told = driven([at(each * 10, each * 100 - 100) for each in range(34)], truck_road())
    assert kinds(told) == [("entered", 10.0), ("exited", 320.0)]


def test_leaving_half_way_is_left_corridor_and_coming_back_enters() -> None:
    way = [at(0, 0), at(60, 900), at(70, 1_000, 60), at(80, 1_000, 300), at(100, 1_000)]
    _, told = driven(way, truck_road())
    assert kinds(told) == [("entered", 0.0), ("left_corridor", 70.0), ("entered", 100.0)]


def test_leaving_near_an_end_is_no_deviation() -> None:
    _, told = driven([at(0, 1_000), at(60, 2_950), at(70, 2_950, 60)], truck_road(end_m=100))
    assert kinds(told) == [("entered", 0.0), ("exited", 70.0)]
    _, told = driven([at(0, 1_000), at(60, 2_950), at(70, 2_950, 60)], truck_road(end_m=20))
    assert kinds(told)[-1] == ("left_corridor", 70.0)


@pytest.mark.parametrize(("direction", "sign"), [("forward", -1), ("backward", 1)])
def test_wrong_way_is_told_once_until_it_goes_right_again(direction: Any, sign: int) -> None:
    wrong = [at(each * 10, 1_500 + sign * each * 50) for each in range(8)]
    right = [at(100 + each * 10, 1_500 + sign * (350 - each * 50)) for each in range(5)]
    again = [at(200 + each * 10, 1_500 + sign * (150 + each * 50)) for each in range(5)]
    _, told = driven([*wrong, *right, *again], truck_road(direction=direction))
    assert [kind for kind, _ in kinds(told)] == ["entered", "wrong_way", "wrong_way"]
    assert kinds(told)[1] == ("wrong_way", 20.0)


def test_right_way_both_ways_and_a_step_back_are_not_told() -> None:
    there = [at(each * 10, each * 100) for each in range(20)]
    back = [at(200 + each * 10, 1_900 - each * 100) for each in range(10)]
    assert {kind for kind, _ in kinds(driven([*there, *back], truck_road())[1])} == {"entered"}
    step = [at(0, 500), at(10, 600), at(20, 575), at(30, 572), at(40, 640)]
    assert kinds(driven(step, truck_road(direction="forward"))[1]) == [("entered", 0.0)]
    one = [at(0, 500), at(10, 600), at(20, 560), at(30, 640)]
    assert kinds(driven(one, truck_road(direction="forward"))[1]) == [("entered", 0.0)], "one fix is not enough"


POST = Checkpoint("post", LINE[1], 30)


def test_checkpoint_is_visited_between_two_sparse_fixes() -> None:
    _, told = driven([at(0, 0), at(60, 1_400), at(100, 2_500)], truck_road(checkpoints=(POST,)))
    assert kinds(told) == [("entered", 0.0)]


def test_checkpoint_that_is_passed_by_outside_its_radius_is_missed_once() -> None:
    aside = Checkpoint("aside", (120.0 + 1_000 * METRE, 30.0 + 50 * NORTH), 20)
    way = [at(each * 10, each * 100) for each in range(25)]
    _, told = driven(way, truck_road(checkpoints=(aside,)))
    assert kinds(told) == [("entered", 0.0), ("missed_checkpoint", 110.0)]
    assert told[1].why == "aside was passed by"


def test_checkpoint_before_the_place_of_entering_is_not_asked_for() -> None:
    _, told = driven([at(0, 1_500), at(60, 2_000), at(90, 2_500)], truck_road(checkpoints=(POST,)))
    assert kinds(told) == [("entered", 0.0)]


def test_time_of_a_checkpoint_runs_out_without_a_fix() -> None:
    plan = truck_road(checkpoints=(Checkpoint("post", LINE[1], 30, until_s=300),))
    track, told = driven([at(0, 0), at(60, 500)], plan)
    assert kinds(told) == [("entered", 0.0)]
    assert not is_due(track, NOON + 299, plan) and is_due(track, NOON + 300, plan)
    track, told = driven([at(310, 520), at(400, 1_000), at(500, 1_400)], plan, track)
    assert kinds(told) == [("missed_checkpoint", 300.0)], "once, though it was passed by later"
    track, told = driven([at(0, 0), at(60, 1_000)], plan)
    assert until(track, NOON + 320, plan)[1] == ()


def test_checkpoint_by_the_clock() -> None:
    clocked = Checkpoint("post", LINE[1], 30, not_before="12:05", until="12:10")
    plan = truck_road(checkpoints=(clocked,), time_zone="Asia/Shanghai")
    _, told = driven([at(0, 0), at(60, 1_000), at(120, 1_300)], plan)
    assert kinds(told) == [("entered", 0.0), ("missed_checkpoint", 120.0)], "too early does not count"
    _, told = driven([at(0, 0), at(301, 1_000), at(400, 1_300), at(700, 1_400)], plan)
    assert kinds(told) == [("entered", 0.0)]
    _, told = driven([at(0, 0), at(500, 800), at(700, 850)], plan)
    assert kinds(told) == [("entered", 0.0), ("missed_checkpoint", 600.0)]


def test_checkpoint_by_the_clock_after_midnight() -> None:
    clocked = Checkpoint("post", LINE[1], 30, not_before="00:10", until="00:30")
    plan = truck_road(checkpoints=(clocked,), time_zone="Asia/Shanghai")
    night = 12 * 3600 - 600.0  # 23:50
    _, told = driven([at(night, 0), at(night + 100, 900)], plan)
    track, _ = driven([at(night, 0), at(night + 100, 900)], plan)
    assert kinds(told) == [("entered", night)]
    assert kinds(until(track, NOON + night + 2_400, plan)[1])[-1] == ("missed_checkpoint", night + 2_400)


def test_restart_in_mid_ride_tells_neither_twice_nor_less() -> None:
    plan = truck_road(checkpoints=(POST, Checkpoint("late", LINE[2], 30, until_s=500)), direction="forward")
    way = [at(0, 100), at(60, 1_000), at(120, 1_300), at(130, 1_250), at(140, 1_200), at(600, 1_250)]
    whole = driven(way, plan)[1]
    assert [kind for kind, _ in kinds(whole)] == ["entered", "wrong_way", "missed_checkpoint"]
    for cut in range(1, len(way)):
        track, first = driven(way[:cut], plan)
        told = first + driven(way[cut:], plan, read(kept(track)))[1]
        assert [one for one in kinds(told) if one[0] != "wrong_way"] == [
            one for one in kinds(whole) if one[0] != "wrong_way"
        ]


def test_late_fixes_end_in_the_same_state_and_tell_nothing_twice() -> None:
    plan = truck_road(checkpoints=(POST,), direction="forward")
    way = [at(0, 200), at(10, 600), at(20, 1_000), at(30, 1_400), at(40, 1_350), at(50, 1_300), at(60, 1_250)]
    whole = sorted(kinds(driven(way, plan)[1]))
    for order in permutations(range(1, 5)):
        mixed = [way[0], *(way[each] for each in order), *way[5:]]
        track, told = driven(mixed, plan)
        assert sorted(kind for kind, _ in kinds(told)) == [kind for kind, _ in whole]
        assert [ride.visited for ride in track.state.rides] == [("post",)]


def test_late_fix_that_shows_another_way_out_tells_of_no_second_leaving() -> None:
    plan = truck_road()
    track, told = driven([at(0, 1_500), at(60, 2_950, 60)], plan)
    assert kinds(told) == [("entered", 0.0), ("exited", 60.0)]
    track, told = driven([at(30, 1_500, 60)], plan, track)
    assert kinds(told) == [] and not track.state.stays


def test_new_version_of_the_line_forgets_how_far_it_was() -> None:
    track, _ = driven([at(0, 100), at(60, 1_400)], truck_road(direction="forward"))
    turned = truck_road(version=2, line=tuple(reversed(LINE)), direction="backward")
    track, told = driven([at(120, 1_500)], turned, track)
    assert told == [] and read(kept(track)).fix == track.fix, "and can be kept"
    assert driven([at(180, 1_700), at(240, 1_900)], turned, track)[1] == []
    both, _ = driven([at(0, 100), at(60, 1_400)], truck_road())
    both, _ = driven([at(120, 1_500)], truck_road(version=2), both)
    assert read(kept(both)).state.rides[0].turned == both.state.rides[0].turned


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"line": (LINE[0], LINE[0])}, "two different places"),
        ({"checkpoints": (POST, POST)}, "two have one name"),
        ({"checkpoints": (Checkpoint("post", LINE[1], until="12:00"),)}, "corridor.time_zone: '' is not"),
    ],
)
def test_corridor_that_cannot_be_is_refused(rules: dict[str, Any], words: str) -> None:
    with pytest.raises(ZoneError, match=words):
        truck_road_of(**rules)


def truck_road_of(**rules: Any) -> Plan:
    drawn = zone("road", {"type": "MultiPolygon", "coordinates": drawn_corridor(LINE, 40.0)})
    return Plan(Cells([drawn]), {"road": Rules(corridor=Corridor(**({"line": LINE} | rules)))})


# --- on the way to a zone ------------------------------------------------------------------------


def hall(**rules: Any) -> Plan:
    """1 km² from 120 east, 30 north, to be told of a minute before; and a far one."""
    drawn = [zone("hall", polygon(square(120, 30, 0.01))), zone("far", polygon(square(121, 31, 0.01)))]
    return Plan(Cells(drawn), {"hall": Rules(approaching_s=60, **rules)})


def coming(second: float, metres: float, **more: Any) -> Fix:
    """West of the hall, in its middle."""
    return Fix(NOON + second, 120 - metres * METRE, 30.005, **more)


def test_whoever_comes_this_way_is_told_a_minute_before_and_then_enters() -> None:
    _, told = driven([coming(each * 10, 298 - each * 20) for each in range(17)], hall())
    assert kinds(told) == [("approaching", 90.0), ("entered", 150.0)]
    assert told[0].why == "in 59 s at 2.0 m/s"


def test_own_speed_of_the_fix_counts_before_that_of_the_way() -> None:
    _, told = driven([coming(each * 10, 300 - each * 10, speed_m_s=10.0) for each in range(5)], hall())
    assert kinds(told) == [("approaching", 10.0)]


def test_passing_by_standing_still_and_going_away_tell_nothing() -> None:
    along = [Fix(NOON + each * 10, 120 - 30 * METRE, 30.002 + each * 20 * NORTH) for each in range(10)]
    away = [coming(each * 10, 20 + each * 20) for each in range(10)]
    still = [coming(each * 10, 20 + each % 2 * 3) for each in range(10)]
    for way in (along, away, still):
        assert driven(way, hall())[1] == []


def test_jitter_within_the_accuracy_is_no_way() -> None:
    way = [coming(each * 10, 100 - each % 2 * 12, accuracy_m=30.0) for each in range(20)]
    assert driven(way, hall())[1] == []


def test_told_again_only_after_having_gone_away() -> None:
    near = [coming(each * 10, 100 - each * 20) for each in range(4)]
    little = [coming(50, 60), coming(60, 40), coming(70, 80), coming(80, 50)]
    off = [coming(90, 80), coming(100, 120), coming(110, 100)]
    _, told = driven([*near, *little, *off], hall())
    assert [kind for kind, _ in kinds(told)] == ["approaching", "approaching"]
    assert kinds(told)[1][1] == 110.0


def test_zone_that_is_not_in_force_is_not_approached() -> None:
    assert driven([coming(each * 10, 100 - each * 20) for each in range(4)], hall(postures=("calm",)))[1] == []


def test_across_the_antimeridian() -> None:
    drawn = [zone("hall", polygon([(-180, 0), (-179.99, 0), (-179.99, 0.01), (-180, 0.01), (-180, 0)]))]
    plan = Plan(Cells(drawn), {"hall": Rules(approaching_s=60)})
    step = 20 / 111_319.5
    way = [Fix(NOON + each * 10, 180 - 5 * step + each * step, 0.005) for each in range(5)]
    assert [kind for kind, _ in kinds(driven(way, plan)[1])] == ["approaching"]


@given(st.lists(st.floats(-40, 40), min_size=2, max_size=30))
def test_at_most_one_approach_before_having_been_fifty_metres_farther(steps: list[float]) -> None:
    metres, way = 200.0, []
    for number, step in enumerate(steps):
        metres = max(metres + step, 5.0)
        way.append((number * 10.0, metres))
    _, told = driven([coming(*each) for each in way], hall())
    approaches = [each.at - NOON for each in told if each.kind == "approaching"]
    for one, other in pairwise(approaches):
        between = [metres for second, metres in way if one <= second <= other]
        assert max(between[at] - min(between[: at + 1]) for at in range(len(between))) > 49.5
