"""Moving zones, meetings and crowds: against a naive look at every pair, and that jitter, silence and restarts tell
neither twice nor less."""

import random
from collections.abc import Iterator
from math import cos, radians
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofences.cells import Cells
from geofences.crowds import Crowds
from geofences.late import taken
from geofences.plan import Plan
from geofences.projection import distance
from geofences.rules import Rules
from geofences.step import until
from geofences.together import PAIRS_MAX, MovingZone, Proximity, Together, Told, twice
from geofences.track import Fix, Track, kept, read
from geofences.zones import zone
from tests.geofences.shapes import polygon, square

NORTH = 1 / 110_852.4
MEET = Proximity("meet", ("band:*",), ("unit:*",), 50.0, 20.0)
RING = MovingZone("escort", ("unit:1",), 100.0, ("band:*",))


def at(second: float, metres: float = 0.0, **more: float) -> Fix:
    """So many metres north of 30/120."""
    return Fix(second, 120.0, 30.0 + metres * NORTH, **more)


def said(told: Told) -> list[tuple[str, str, str, str, float]]:
    return [(who, each.kind, each.zone, each.other, each.at) for who, each in told]


def test_band_meets_a_unit_and_leaves_it() -> None:
    world = Together(proximity=[MEET])
    assert world.moved("unit:1", at(0)) == []
    assert world.moved("band:a", at(1, 60)) == []
    assert said(world.moved("band:a", at(2, 40))) == [("band:a", "met", "meet", "unit:1", 2.0)]
    assert world.moved("band:a", at(3, 65)) == [], "not farther than the buffer"
    told = world.moved("unit:1", at(4, -10))
    assert said(told) == [("band:a", "separated", "meet", "unit:1", 4.0)], "whoever moves"
    assert told[0][1].why == "75 m apart"


def test_moving_zone_goes_with_its_carrier() -> None:
    world = Together(moving=[RING])
    world.moved("band:a", at(0, 500))
    assert world.moved("unit:1", at(1, 0)) == []
    assert said(world.moved("unit:1", at(60, 450))) == [("band:a", "entered", "escort", "unit:1", 60.0)]
    assert said(world.moved("unit:1", at(90, 300))) == [("band:a", "exited", "escort", "unit:1", 90.0)]


def test_carrier_is_not_inside_its_own_zone_nor_in_that_of_strangers() -> None:
    world = Together(moving=[MovingZone("round", ("unit:*",), 100.0, ("*",))])
    assert world.moved("unit:1", at(0)) == []
    told = world.moved("unit:2", at(1, 10))
    assert said(told) == [("unit:1", "entered", "round", "unit:2", 1.0)], "a pair of two carriers is told once"


def test_dwell_is_told_without_a_fix_and_only_if_they_stayed() -> None:
    world = Together(proximity=[Proximity("meet", ("band:*",), ("unit:*",), 50.0, dwell_s=30.0)])
    world.moved("unit:1", at(0))
    world.moved("band:a", at(5, 10))
    assert world.due(34.9) == []
    assert said(world.due(35.0)) == [("band:a", "met", "meet", "unit:1", 35.0)]
    assert world.due(60.0) == []
    world.moved("band:b", at(40, 10))
    world.moved("band:b", at(50, 200))
    assert world.due(80.0) == []


def test_whoever_is_not_heard_is_near_nobody() -> None:
    world = Together(proximity=[MEET])
    world.moved("unit:1", at(0))
    world.moved("band:a", at(100, 10))
    assert said(world.due(119)) == []
    told = world.due(125)
    assert said(told) == [("band:a", "separated", "meet", "unit:1", 120.0)]
    assert told[0][1].why == "not heard for 120 s"
    assert world.moved("band:a", at(130, 5)) == [], "the unit is still not heard"


def test_accuracy_widens_the_way_out_and_old_fixes_change_nothing() -> None:
    world = Together(proximity=[MEET])
    world.moved("unit:1", at(0))
    world.moved("band:a", at(1, 10))
    assert world.moved("band:a", at(2, 80, accuracy_m=40.0)) == []
    assert world.moved("band:a", at(1.5, 5_000)) == []
    assert said(world.moved("band:a", at(3, 95, accuracy_m=40.0)))[0][1] == "separated"


def test_across_the_antimeridian() -> None:
    world = Together(proximity=[MEET])
    world.moved("unit:1", Fix(0, 179.9999, 10.0))
    assert [each.kind for _, each in world.moved("band:a", Fix(1, -179.9999, 10.0))] == ["met"]


def test_restart_remembers_who_was_near_whom() -> None:
    world = Together(moving=[RING], proximity=[MEET])
    world.moved("unit:1", at(0))
    world.moved("band:a", at(1, 40))
    after = Together(moving=[RING], proximity=[MEET])
    after.remember(world.kept(), [("unit:1", at(0)), ("band:a", at(1, 40))])
    assert after.moved("band:a", at(2, 41)) == []
    assert [each.kind for _, each in after.moved("band:a", at(3, 300))] == ["exited", "separated"]


def test_withdrawn_rule_and_withdrawn_device_are_taken_back() -> None:
    world = Together(moving=[RING], proximity=[MEET])
    world.moved("unit:1", at(0))
    world.moved("band:a", at(1, 40))
    assert [each.kind for _, each in world.obey([RING], [], 2)] == ["separated"]
    assert [(each.kind, each.why) for _, each in world.forget("unit:1")] == [("exited", "no longer tracked")]
    assert world.moved("band:a", at(2, 40)) == []


def test_no_more_pairs_than_the_limit() -> None:
    world = Together(proximity=[Proximity("all", ("*",), ("*",), 50.0)])
    count = 210  # 21,945 pairs
    told = [each for number in range(count) for each in world.moved(f"band:{number}", at(number / 100))]
    assert len(told) == PAIRS_MAX
    assert world.refused == count * (count - 1) // 2 - PAIRS_MAX


def test_one_name_stands_for_one_thing() -> None:
    assert twice([RING], [MEET], ["yard"]) == ""
    assert twice([RING], [MEET], ["meet"]) == "meet"
    assert twice([RING, RING], [], []) == "escort"


def naive(rule: Proximity, fixes: Iterator[tuple[str, Fix]]) -> list[tuple[str, str, str, float]]:
    """Every pair at every fix, with the ellipsoid's own distances."""
    newest: dict[str, Fix] = {}
    near: set[tuple[str, str]] = set()
    told = []
    for who, fix in fixes:
        newest[who] = fix
        for other in sorted(set(newest) - {who}):
            pair = (who, other) if who.startswith("band") else (other, who)
            if pair[0][:4] == pair[1][:4]:
                continue
            metres = distance(newest[who].place, newest[other].place)
            if pair not in near and metres <= rule.metres:
                near.add(pair)
                told.append((*pair, "met", fix.at))
            elif pair in near and metres > rule.metres + rule.apart_m:
                near.discard(pair)
                told.append((*pair, "separated", fix.at))
    return told


@pytest.mark.parametrize("seed", range(25))
def test_same_as_a_look_at_every_pair(seed: int) -> None:
    chance = random.Random(seed)
    south, west = chance.choice([(0.0, 0.0), (30.7, 120.4), (60.0, -179.999), (-75.0, 179.99)])
    rule = Proximity("meet", ("band:*",), ("unit:*",), chance.choice([20.0, 100.0]), 15.0, heard_s=80_000)
    world = Together(proximity=[rule])
    names = [f"{kind}:{number}" for kind in ("band", "unit") for number in range(8)]
    places = {name: (chance.uniform(0, 300), chance.uniform(0, 300)) for name in names}
    fixes = []
    for second in range(600):
        name = chance.choice(names)
        x, y = (part + chance.gauss(0, 30) for part in places[name])
        places[name] = x, y
        latitude = south + y * NORTH
        fixes.append((name, Fix(second, west + x * NORTH / cos(radians(latitude)), latitude)))
    told = [each for who, fix in fixes for each in world.moved(who, fix)]
    found = [(who, each.other, each.kind, each.at) for who, each in told]
    assert sorted(found, key=str) == sorted(naive(rule, iter(fixes)), key=str)
    assert len(found) >= 10


@given(st.lists(st.floats(-9.0, 9.0), max_size=40))
def test_jitter_below_the_hysteresis_tells_nothing_and_the_two_alternate(steps: list[float]) -> None:
    world = Together(proximity=[MEET])
    world.moved("unit:1", at(0))
    told = list(world.moved("band:a", at(1, 45)))
    for number, step in enumerate(steps):
        told += world.moved("band:a", at(2 + number, 60 + step))
    assert [each.kind for _, each in told] == ["met"]


# --- crowds --------------------------------------------------------------------------------------


def yard(**rules: Any) -> Plan:
    """1.06 km² at 30/120."""
    drawn = [zone("yard", polygon(square(120, 30, 0.01)))]
    return Plan(Cells(drawn), {"yard": Rules(**rules)})


class Crowd:
    """People by name who walk in and out of the yard."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.tracks, self.second = plan, dict[str, Track](), 0.0
        self.crowds = Crowds(plan, {}, {})

    def goes(self, name: str, inside: bool) -> list[tuple[str, str]]:
        self.second += 10
        fix = Fix(self.second, 120.005 if inside else 120.02, 30.005)
        self.tracks[name], _ = taken(self.tracks.get(name, Track()), fix, self.plan)
        return [(each.kind, each.why) for each in self.crowds.moved(name, self.tracks[name])]


def test_too_many_and_eased_alternate() -> None:
    crowd = Crowd(yard(count_max=3, eased_at=1))
    assert [crowd.goes(name, True) for name in "abc"] == [[], [], []]
    assert crowd.goes("d", True) == [("too_many", "4 inside, 3 allowed")]
    assert crowd.goes("e", True) == []
    assert [crowd.goes(name, False) for name in "abc"] == [[], [], []]
    assert crowd.goes("d", False) == [("eased", "1 inside")]
    assert crowd.goes("d", True) == []


def test_density_is_a_count_by_the_area() -> None:
    crowd = Crowd(yard(density_max_per_km2=3.0))
    assert [crowd.goes(name, True) for name in "abc"] == [[], [], []]
    assert crowd.goes("d", True) == [("too_many", "4 inside, 3 allowed")]
    assert crowd.goes("d", False) == []
    assert crowd.goes("c", False) == [("eased", "2 inside")]


def test_crowd_survives_a_restart_and_forgets_who_is_withdrawn() -> None:
    crowd = Crowd(yard(count_max=1, eased_at=0))
    crowd.goes("a", True)
    assert [kind for kind, _ in crowd.goes("b", True)] == ["too_many"]
    since = dict(crowd.crowds.since)
    crowd.tracks = {name: read(kept(track)) for name, track in crowd.tracks.items()}
    crowd.crowds = Crowds(crowd.plan, crowd.tracks, since)
    assert crowd.crowds.count("yard") == 2
    assert crowd.goes("c", True) == []
    crowd.crowds.forget("a")
    crowd.crowds.forget("c")
    assert [kind for kind, _ in crowd.goes("b", False)] == ["eased"]


def test_zone_without_a_limit_costs_nothing_and_tells_nothing() -> None:
    crowd = Crowd(yard())
    assert [crowd.goes(name, True) for name in "abcdef"] == [[]] * 6
    assert crowd.crowds.count("yard") == 0


def test_lost_inside_counts_on() -> None:
    crowd = Crowd(yard(count_max=0))
    assert [kind for kind, _ in crowd.goes("a", True)] == ["too_many"]
    crowd.tracks["a"], told = until(crowd.tracks["a"], 2_000.0, crowd.plan)
    assert [each.kind for each in told] == ["lost"]
    assert crowd.crowds.moved("a", crowd.tracks["a"]) == []
    assert crowd.crowds.count("yard") == 1
