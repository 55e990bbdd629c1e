"""Walks and drives: on the streets or in a building, at the pace of people and cars, the same for the same seed."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from shapely.geometry import Point, Polygon

from simulators import place
from simulators.families import BUILDERS
from simulators.place import on_line
from simulators.whereabouts import Moving, Spot, Whereabouts

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOURS_S = 4 * 3600
STEP_S = 5
TOWN = place.streets("wuzhen")
WALK = Moving(longitude=120.4858, latitude=30.7430, streets="wuzhen", wander_m=500)
DRIVE = Moving(longitude=120.4822, latitude=30.7478, streets="wuzhen", wander_m=2_000, speed_kmh=24)
INDOORS = Moving(longitude=120.486015, latitude=30.7435, streets="wuzhen", floor="2F")


def life(told: Moving, seed: str = "1", wheels: bool = False) -> list[Spot]:
    who = Whereabouts(told, seed, wheels)
    return [who.move(START + timedelta(seconds=second)) for second in range(0, HOURS_S, STEP_S)]


def off_street_m(spot: Spot, wheels: bool = False) -> float:
    point = TOWN.metres(spot.longitude, spot.latitude)
    open_to = [edge for edge in TOWN.edges if edge.wheels or not wheels]
    return min(math.dist(point, on_line(point, *(TOWN.nodes[end] for end in edge.ends))) for edge in open_to)


def house_of(spot: Spot) -> str:
    house = TOWN.building_at(spot.longitude, spot.latitude)
    return house.id if house else ""


def off_houses_m(spot: Spot) -> float:
    here = Point(TOWN.metres(spot.longitude, spot.latitude))
    rings = [house.geometry["coordinates"][0] for house in place.features("wuzhen", "buildings")]
    return min(here.distance(Polygon([TOWN.metres(*corner) for corner in ring])) for ring in rings)


def metres(one: Spot, other: Spot) -> float:
    return math.dist(TOWN.metres(one.longitude, one.latitude), TOWN.metres(other.longitude, other.latitude))


def test_a_walk_keeps_to_streets_and_houses() -> None:
    spots = life(WALK)
    indoors = [spot for spot in spots if spot.floor]
    for spot in spots:
        house = TOWN.building_at(spot.longitude, spot.latitude)
        if spot.floor:
            assert house is not None and spot.altitude_m == house.floors[spot.floor]
        else:
            assert off_street_m(spot) < 1 and spot.altitude_m is None
    assert len({(spot.floor) for spot in indoors}) > 1
    assert len({house_of(spot) for spot in indoors}) > 1
    assert max(metres(spots[0], spot) for spot in spots) > 200


def test_a_drive_keeps_to_what_is_open_to_wheels() -> None:
    spots = life(DRIVE, wheels=True)
    assert all(off_street_m(spot, wheels=True) < 1 and not spot.floor for spot in spots)
    assert max(metres(spots[0], spot) for spot in spots) > 800


@pytest.mark.parametrize(("told", "wheels", "usual_kmh", "top_kmh"), [(WALK, False, 3.8, 5.2), (DRIVE, True, 20, 28)])
def test_nobody_is_too_fast_or_stands_for_ever(told: Moving, wheels: bool, usual_kmh: float, top_kmh: float) -> None:
    spots = life(told, wheels=wheels)
    speeds = [metres(here, there) / STEP_S * 3.6 for here, there in pairwise(spots)]
    assert max(speeds) < top_kmh + 0.3
    assert sum(speed > usual_kmh for speed in speeds) > len(speeds) / 8
    assert all(spot.speed_kmh <= top_kmh for spot in spots) and all(0 <= spot.course_deg < 360 for spot in spots)


def test_who_stays_on_a_floor_never_leaves_it() -> None:
    spots = life(INDOORS)
    assert {spot.floor for spot in spots} == {"2F"} and {spot.altitude_m for spot in spots} == {7.2}
    assert {house_of(spot) for spot in spots} == {"guest-house"}
    assert len({(spot.longitude, spot.latitude) for spot in spots}) > 10


def test_reach_is_kept() -> None:
    spots = life(msgspec.structs.replace(WALK, wander_m=120.0))
    home = Spot(WALK.longitude, WALK.latitude)
    outdoors = [spot for spot in spots if not spot.floor]
    assert max(metres(home, spot) for spot in outdoors) < 240  # the way to a corner may lead round a block


def test_the_same_seed_walks_the_same_way_however_often_it_is_asked() -> None:
    assert life(WALK, "7") == life(WALK, "7") != life(WALK, "8")
    who = Whereabouts(WALK, "7")
    who.move(START)
    seldom = who.move(START + timedelta(seconds=HOURS_S - STEP_S))
    last = life(WALK, "7")[-1]
    assert metres(seldom, last) < 0.5 and seldom.floor == last.floor


def test_time_that_stands_moves_nobody() -> None:
    who = Whereabouts(DRIVE, "1", wheels=True)
    parked = who.move(START)
    assert who.move(START + timedelta(hours=1), going=False) == parked
    assert who.move(START + timedelta(minutes=30)) == parked  # a clock that was put back


def test_without_streets_a_device_stays() -> None:
    assert {(spot.longitude, spot.latitude) for spot in life(Moving(longitude=1.0, latitude=2.0))} == {(1.0, 2.0)}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (Moving(streets="atlantis"), r"no place 'atlantis'; expected wuzhen - at `\$.streets`"),
        (Moving(streets="wuzhen/../wuzhen"), r"no place"),
        (msgspec.structs.replace(INDOORS, floor="9F"), r"no such floor there; expected 1F or 2F or 3F - at `\$.floor`"),
        (msgspec.structs.replace(WALK, floor="1F"), r"a place in a building"),
        (Moving(floor="1F"), r"a place in a building"),
    ],
)
def test_a_place_or_floor_that_is_not_there_is_refused(told: Moving, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        Whereabouts(told, "1")


NAMES = {"aprs": "BH4ABC-1", "cot": "PHONE-1", "dmr": "20", "nmea": "4711", "tetra": "1234567"}
WIRE_M = {"aprs": 13, "tetra": 2}  # half a step of what can be written, both ways; of others less than a metre


@pytest.mark.parametrize("family", sorted([*NAMES, "watch", "jt808"]))
def test_every_family_that_moves_reports_from_the_street(family: str) -> None:
    reach = {"round_m": 400} if family == "jt808" else {"wander_m": 400}
    told = {"report_every_s": 10, "longitude": 120.4858, "latitude": 30.7430, "streets": "wuzhen", **reach}
    device = BUILDERS[family](NAMES.get(family, "13957300001"), told, 1)
    places = []
    for second in range(0, 1_800, 10):
        device.tick(START + timedelta(seconds=second))
        rows = [*device.owed(), *device.said(), *device.accepted()]
        places += [(row.values["longitude"], row.values["latitude"]) for row in rows if row.kind == "position"]
    assert len(set(places)) > 20
    for spot in (Spot(*at) for at in places):
        assert min(off_street_m(spot), off_houses_m(spot)) <= WIRE_M.get(family, 1), spot
