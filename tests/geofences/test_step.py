"""One fix after the other: what is told, and that nothing is told twice, by jitter, lateness, jumps or a restart."""

import random
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import groupby, permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geofences.calendar import Schedule, Window
from geofences.cells import Cells
from geofences.late import taken
from geofences.plan import Plan
from geofences.rules import Rules
from geofences.step import NotAFix, checked, is_due, until
from geofences.track import Crossing, Fix, Track, kept, read
from geofences.zones import ZoneError, zone
from tests.geofences.shapes import polygon, square, stars_of_all_sizes

METRE = 1 / 111_000  # of latitude, in degrees, about
NOON = datetime(2026, 7, 6, 12, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()  # a Monday


def plan(posture: str = "", version: int = 1, **rules: Rules) -> Plan:
    """The yard is 1 km square at 120/30, `hall` 200 m in its middle, `next` 1 km east of the yard's border."""
    drawn = [
        zone("yard", polygon(square(120, 30, 0.01))),
        zone("hall", polygon(square(120.004, 30.004, 0.002))),
        zone("next", polygon(square(120.01, 30, 0.01))),
    ]
    return Plan(Cells(drawn), rules, version, posture)


def fix(at: float, longitude: float, latitude: float = 30.001, **more: Any) -> Fix:
    return Fix(NOON + at, longitude, latitude, **more)


def walked(fixes: Iterable[Fix], there: Plan, track: Track | None = None) -> tuple[Track, tuple[Crossing, ...]]:
    track = track or Track()
    told: list[Crossing] = []
    for each in fixes:
        track, more = taken(track, checked(each), there)
        told += more
    return track, tuple(told)


def said(told: Iterable[Crossing]) -> list[tuple[str, str, float]]:
    return [(each.kind, each.zone, each.at - NOON) for each in told]


# --- in and out ----------------------------------------------------------------------------------


def test_a_walk_through_two_zones() -> None:
    _, told = walked([fix(at * 10, 119.995 + at * 0.002) for at in range(16)], plan())
    assert said(told) == [
        ("entered", "yard", 30),
        ("entered", "next", 80),
        ("exited", "yard", 80),
        ("exited", "next", 130),
    ] or said(told)[0] == ("entered", "yard", 30)
    assert [each.why for each in told if each.kind == "exited"] == ["outside", "outside"]


def test_the_first_fix_enters_where_it_is() -> None:
    track, told = walked([fix(0, 120.005, 30.005)], plan())
    assert said(told) == [("entered", "hall", 0), ("entered", "yard", 0)]
    assert {each.why for each in told} == {"inside at the first fix"}
    assert {track.ids[at] for at in track.state.stays} == {"hall", "yard"}


def test_the_boundary_is_inside_at_both_ends() -> None:
    track, told = walked([fix(0, 119.9999), fix(10, 120.0), fix(20, 120.01), fix(30, 120.01 + 3 * METRE)], plan())
    assert said(told) == [("entered", "yard", 10), ("entered", "next", 20)]
    _, told = walked([fix(40, 120.0101)], plan(), track)
    assert said(told) == [("exited", "yard", 40)]


@given(st.lists(st.floats(-4.9, 4.9), min_size=2, max_size=40))
def test_jitter_below_the_exit_buffer_tells_nothing(steps: list[float]) -> None:
    """Metres outside (or inside) the eastern border of the hall, after one fix well inside."""
    track, _ = walked([fix(0, 120.005, 30.005)], plan())
    _, told = walked([fix(at + 1, 120.006 + step * 1e-5 * 0.9, 30.005) for at, step in enumerate(steps)], plan(), track)
    assert said(told) == []


@pytest.mark.parametrize(("accuracy", "left"), [(0.0, True), (20.0, True), (60.0, False)])
def test_an_uncertain_fix_does_not_leave(accuracy: float, left: bool) -> None:
    track, _ = walked([fix(0, 120.005, 30.005)], plan())
    _, told = walked([fix(10, 120.006 + 20 * METRE, 30.005, accuracy_m=accuracy)], plan(), track)
    assert [each.kind for each in told] == (["exited"] if left else [])
    if left:
        assert 0.84 <= told[0].certainty <= 1


def test_certainty_to_enter_can_be_asked_for() -> None:
    there = plan(hall=Rules(enter_certainty=0.95))
    near = [fix(at, 120.004 + 5 * METRE, 30.005, accuracy_m=10.0) for at in range(5)]
    assert "hall" not in {each.zone for each in walked(near, there)[1]}
    _, told = walked([*near, fix(9, 120.005, 30.005, accuracy_m=10.0)], there)
    assert said(told)[-1] == ("entered", "hall", 9) and told[-1].certainty > 0.95


def test_a_dwell_before_entering_and_before_leaving() -> None:
    there = plan(hall=Rules(dwell_in_s=30, dwell_out_s=20, fixes_min=2))
    inside = [fix(at, 120.005, 30.005) for at in (10, 20, 30, 40)]
    outside = [fix(at, 120.007, 30.005) for at in (50, 60, 70)]
    _, told = walked([fix(0, 120.007, 30.005), *inside, *outside], there)
    hall = [each for each in told if each.zone == "hall"]
    assert said(hall) == [("entered", "hall", 40), ("exited", "hall", 70)]
    again = [replace(each, at=each.at + 80) for each in inside[:3]]
    _, told = walked([fix(0, 120.007, 30.005), *inside[:3], *outside, *again], there)
    assert "hall" not in {each.zone for each in told}


@given(seed=st.integers(0, 10_000))
def test_entered_and_exited_alternate(seed: int) -> None:
    chance = random.Random(seed)
    zones = stars_of_all_sizes(chance, 30)
    rules = {
        each.id: Rules(
            exit_buffer_m=chance.choice([0, 5, 50]),
            fixes_min=chance.choice([1, 2]),
            one_of=chance.choice(["", "ring"]),
            rank=at,
        )
        for at, each in enumerate(zones)
    }
    x, y, fixes = 120.1, 30.1, []
    for at in range(60):
        x, y = x + chance.gauss(0, 3e-3), y + chance.gauss(0, 3e-3)
        fixes.append(Fix(NOON + at * 20, x, y, chance.choice([0.0, 10.0, 80.0])))
    track, told = walked(fixes, Plan(Cells(zones), rules))
    inside: set[str] = set()
    for crossing in told:
        if crossing.kind in ("entered", "exited"):
            assert (crossing.zone in inside) == (crossing.kind == "exited")
            inside ^= {crossing.zone}
    assert inside == {track.ids[at] for at in track.state.stays}


# --- what time brings ----------------------------------------------------------------------------


def test_time_inside_is_told_with_and_without_fixes() -> None:
    there = plan(hall=Rules(dwelt_s=60, inside_every_s=100, overstayed_s=250))
    expected = [("dwelt", "hall", 60), ("inside", "hall", 100), ("inside", "hall", 200), ("overstayed", "hall", 250)]
    start = fix(0, 120.005, 30.005)
    _, told = walked([start, *(fix(at, 120.005, 30.005) for at in range(7, 290, 7))], there)
    assert said(told)[2:] == expected
    track, _ = walked([start], there)
    ticked: list[Crossing] = []
    for now in range(10, 290, 10):
        track, more = until(track, NOON + now, there)
        ticked += more
    assert said(ticked) == expected
    _, more = walked([fix(295, 120.005, 30.005)], there, track)
    assert said(more) == []


def test_whoever_is_not_heard_inside_is_lost_once() -> None:
    track, _ = walked([fix(0, 120.005, 30.001)], plan())
    for now, expected in ((899, []), (900, [("lost", "yard", 900)]), (5_000, [])):
        track, told = until(track, NOON + now, plan())
        assert said(told) == expected
    track, told = walked([fix(5_100, 120.005, 30.001)], plan(), track)
    assert said(told) == []
    assert said(until(track, NOON + 6_000, plan())[1]) == [("lost", "yard", 6_000)]


def test_each_zone_loses_whoever_is_not_heard_at_its_own_time() -> None:
    there = plan(hall=Rules(lost_s=60), yard=Rules(lost_s=300))
    track, _ = walked([fix(0, 120.005, 30.005)], there)
    found: list[tuple[str, str, float]] = []
    for now in range(30, 400, 30):
        if is_due(track, NOON + now, there):
            track, told = until(track, NOON + now, there)
            found += said(told)
    assert found == [("lost", "hall", 60), ("lost", "yard", 300)]
    assert not is_due(track, NOON + 5_000, there)
    assert not is_due(track, NOON + 5_000, plan(version=2)), "of another plan"


def test_too_fast_and_stopped() -> None:
    there = plan(yard=Rules(speed_max_kmh=30, stopped_s=60))
    drive = [fix(at, 120.0001 + at * 1e-4, 30.001) for at in range(0, 40, 5)]  # 35 km/h
    rest = [fix(at, 120.0042, 30.001) for at in range(45, 200, 15)]
    _, told = walked([*drive, *rest], there)
    assert [(each.kind, each.at - NOON) for each in told if each.kind != "entered"] == [
        ("too_fast", 5),
        ("stopped", 105),
    ]
    _, told = walked([fix(0, 120.001, speed_m_s=5.0), fix(5, 120.001, speed_m_s=20.0)], there)
    assert said(told)[-1] == ("too_fast", "yard", 5) and told[-1].why == "72 km/h, 30 allowed"


def test_a_schedule_lets_in_and_out_at_its_own_times() -> None:
    night = Schedule("Asia/Shanghai", (Window("22:00", "06:00"),))
    there = plan(hall=Rules(schedule=night))
    track, told = walked([fix(0, 120.005, 30.005)], there)
    assert said(told) == [("entered", "yard", 0)]
    track, told = until(track, NOON + 24 * 3600, there)
    assert [event for event in said(told) if event[1] == "hall" and event[0] != "lost"] == [
        ("entered", "hall", 10 * 3600),
        ("exited", "hall", 18 * 3600),
    ]


# --- which zones are in force --------------------------------------------------------------------


def test_a_place_has_one_ring() -> None:
    there = plan(yard=Rules(one_of="rings", rank=2), hall=Rules(one_of="rings", rank=1))
    walk = [fix(0, 119.99, 30.005), fix(10, 120.002, 30.005), fix(60, 120.005, 30.005), fix(120, 120.008, 30.005)]
    _, told = walked(walk, there)
    assert said(told) == [
        ("entered", "yard", 10),
        ("exited", "yard", 60),
        ("entered", "hall", 60),
        ("exited", "hall", 120),
        ("entered", "yard", 120),
    ]
    assert told[1].why == "in another of rings"


def test_floors() -> None:
    there = plan(hall=Rules(levels=(3,)), next=Rules(altitude_m=(10.0, 20.0)))
    inside = (120.005, 30.005)
    walk = [
        fix(0, *inside),
        fix(10, *inside, level=1),
        fix(20, *inside, level=3),
        fix(30, *inside),
        fix(40, *inside, level=2),
    ]
    assert [event for event in said(walked(walk, there)[1]) if event[1] == "hall"] == [
        ("entered", "hall", 20),
        ("exited", "hall", 40),
    ]
    high = [fix(0, 120.015, altitude_m=5.0), fix(5, 120.015, altitude_m=15.0), fix(9, 120.015, altitude_m=25.0)]
    assert said(walked(high, there)[1]) == [("entered", "next", 5), ("exited", "next", 9)]


def test_posture_brings_zones_into_force() -> None:
    calm = plan(posture="calm", hall=Rules(postures=("emergency",)))
    track, told = walked([fix(0, 120.005, 30.005)], calm)
    assert said(told) == [("entered", "yard", 0)]
    track, told = walked([fix(10, 120.005, 30.005)], calm.in_posture("emergency"), track)
    assert said(told) == [("entered", "hall", 10)]
    _, told = walked([fix(20, 120.005, 30.005)], calm, track)
    assert said(told) == [("exited", "hall", 20)] and told[0].why == "not in force"


def test_whoever_is_in_the_room_is_in_the_house() -> None:
    """Though the room, badly drawn, juts out of it."""
    drawn = [zone("house", polygon(square(120, 30, 0.001))), zone("room", polygon(square(120.0005, 30, 0.001)))]
    there = Plan(Cells(drawn), {"room": Rules(parent="house")})
    assert said(walked([fix(0, 120.0013, 30.0005)], there)[1]) == [("entered", "house", 0), ("entered", "room", 0)]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"hall": Rules(parent="nowhere")}, "zone hall: rules.parent: nowhere is not there"),
        ({"hall": Rules(parent="yard"), "yard": Rules(parent="hall")}, "its parents go round"),
        ({"hall": Rules(schedule=Schedule("Asia/Atlantis"))}, "zone hall: rules.schedule.time_zone: Asia/Atlantis"),
        ({"hall": Rules(altitude_m=(5, 1))}, "zone hall: rules.altitude_m"),
        ({"cellar": Rules()}, "rules for a zone that is not there: cellar"),
    ],
)
def test_rules_that_cannot_be(rules: dict[str, Any], reason: str) -> None:
    with pytest.raises(ZoneError, match=reason):
        plan(**rules)


# --- a new document ------------------------------------------------------------------------------


def test_a_new_document_keeps_who_is_inside() -> None:
    track, _ = walked([fix(0, 120.005, 30.005)], plan())
    smaller = Plan(
        Cells([zone("yard", polygon(square(120, 30, 0.02))), zone("annex", polygon(square(120.004, 30.004, 0.002)))]),
        {},
        2,
    )
    track, told = walked([fix(10, 120.005, 30.005)], smaller, track)
    assert said(told) == [("exited", "hall", 10), ("entered", "annex", 10)]
    assert told[0].why == "zone withdrawn" and {each.version for each in told} == {2}
    _, told = walked([fix(1_000, 120.03, 30.005)], smaller, track)
    assert {each.zone: each.since - NOON for each in told if each.kind == "exited"} == {"annex": 10, "yard": 0}


# --- bad order, jumps, long steps, a restart ----------------------------------------------------


def test_a_jump_is_believed_when_three_agree() -> None:
    track, _ = walked([fix(0, 120.005), fix(5, 120.005)], plan())
    track, told = walked([fix(10, 121.5), fix(15, 120.005), fix(20, 121.5), fix(25, 121.5)], plan(), track)
    assert said(told) == []
    _, told = walked([fix(30, 121.5)], plan(), track)
    assert said(told) == [("exited", "yard", 30)]


def test_a_long_step_through_a_zone_is_told() -> None:
    _, told = walked([fix(0, 119.9, 30.005), fix(100, 120.009, 30.015), fix(200, 119.99, 30.0)], plan())
    assert [(each.kind, each.zone) for each in told] == [("crossed", "yard")]
    assert told[0].start is not None and NOON + 100 < told[0].since < told[0].at < NOON + 200


def test_a_late_fix_shows_a_visit_that_was_not_seen() -> None:
    fixes = [fix(0, 119.995), fix(10, 119.999), fix(20, 119.998), fix(30, 119.995)]
    late = fix(15, 120.0005)
    track, told = walked([*fixes, late], plan())
    assert said(told) == [("entered", "yard", 15), ("exited", "yard", 20)]
    assert walked([late], plan(), track)[1] == ()


def test_a_late_fix_takes_a_visit_back() -> None:
    there = plan(hall=Rules(fixes_min=2))
    fixes = [fix(0, 120.003, 30.005), fix(10, 120.005, 30.005), fix(20, 120.0051, 30.005)]
    track, told = walked(fixes, there)
    assert said(told)[-1] == ("entered", "hall", 20)
    track, told = walked([fix(15, 120.003, 30.005)], there, track)
    assert said(told) == [("exited", "hall", 20)] and told[0].why == "by a late fix"
    _, told = walked([fix(30, 120.005, 30.005)], there, track)
    assert said(told) == [("entered", "hall", 30)]


def test_any_order_within_the_window_ends_the_same() -> None:
    fixes = [fix(at * 10, x) for at, x in enumerate((119.999, 120.0001, 119.9985, 120.001, 120.0005))]
    whole, told = walked(fixes, plan())
    for order in permutations(fixes[1:]):
        track, other = walked([fixes[0], *order], plan())
        assert (track.fix, set(track.state.stays), track.pending) == (
            whole.fix,
            set(whole.state.stays),
            whole.pending,
        )
        kinds = [each.kind for each in other]
        assert all(sum(1 for _ in run) == 1 for _, run in groupby(kinds)), kinds
        assert kinds[-1] == [each.kind for each in told][-1]


def test_too_late_changes_nothing() -> None:
    track, _ = walked([fix(at, 120.005) for at in range(0, 1000, 10)], plan())
    for late in (fix(-10, 119.9), fix(500, 119.9), fix(985.5, 120.02)):
        assert walked([late], plan(), track)[1] == () or late.at > NOON + 900


@given(seed=st.integers(0, 10_000), cut=st.integers(1, 59))
def test_a_restart_forgets_nothing(seed: int, cut: int) -> None:
    chance = random.Random(seed)
    zones = stars_of_all_sizes(chance, 30)
    rules = {
        each.id: Rules(dwelt_s=50, fixes_min=chance.choice([1, 1, 2]), stopped_s=30, speed_max_kmh=60) for each in zones
    }
    x, y, fixes = 120.1, 30.1, []
    for at in range(60):
        x, y = x + chance.gauss(0, 5e-4), y + chance.gauss(0, 5e-4)
        fixes.append(Fix(NOON + at * 20, x, y, chance.choice([0.0, 10.0])))
    there = Plan(Cells(zones), rules)
    track, _ = walked(fixes[:cut], there)
    _, more = walked(fixes[cut:], there, track)
    again, _ = walked([], there, read(kept(track)))
    _, other = walked(fixes[cut:], there, again)
    assert [replace(each, why="") for each in other] == [replace(each, why="") for each in more]


@pytest.mark.parametrize(
    "wrong", [{"at": float("nan")}, {"longitude": float("inf")}, {"latitude": 91.0}, {"accuracy_m": -1.0}]
)
def test_what_is_not_a_fix(wrong: dict[str, float]) -> None:
    with pytest.raises(NotAFix):
        checked(replace(fix(0, 120.0), **wrong))


# --- schedules -----------------------------------------------------------------------------------


def times(schedule: Schedule, start: str, count: int) -> Sequence[str]:
    zone_info = ZoneInfo(schedule.time_zone)
    at = datetime.fromisoformat(start).replace(tzinfo=zone_info).timestamp()
    found = []
    for _ in range(count):
        at = schedule.next_change(at)
        found.append(f"{datetime.fromtimestamp(at, zone_info):%a %d %H:%M} {'on' if schedule.is_on(at) else 'off'}")
    return found


def test_schedules() -> None:
    office = Schedule("Asia/Shanghai", (Window("09:00", "12:00", ("mon", "fri")), Window("11:00", "17:00", ("mon",))))
    assert times(office, "2026-07-06T00:00", 4) == [
        "Mon 06 09:00 on",
        "Mon 06 17:00 off",
        "Fri 10 09:00 on",
        "Fri 10 12:00 off",
    ]
    fair = Schedule(
        "Asia/Shanghai", (Window("00:00", "24:00"),), date(2026, 7, 8), date(2026, 7, 9), (), (date(2026, 7, 12),)
    )
    assert times(fair, "2026-07-06T00:00", 4) == [
        "Wed 08 00:00 on",
        "Fri 10 00:00 off",
        "Sun 12 00:00 on",
        "Mon 13 00:00 off",
    ]
    assert fair.next_change(NOON + 200 * 86_400) == float("inf")


def test_clocks_that_change_in_the_night() -> None:
    night = Schedule("Europe/Berlin", (Window("22:00", "06:00"),))
    starts = datetime(2026, 10, 24, 22, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert night.next_change(starts) - starts == 9 * 3600
    assert times(night, "2026-10-25T05:00", 1) == ["Sun 25 06:00 off"]
