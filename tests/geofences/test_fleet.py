"""Many tracks at once are told what each alone is told, digit by digit, whatever the fixes are like."""

import random
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pytest
from msgspec.structs import replace

from geofences.calendar import Schedule, Window
from geofences.cells import Cells
from geofences.fleet import Fleet
from geofences.fleet_columns import fixes_of
from geofences.late import taken
from geofences.plan import Plan
from geofences.rules import Checkpoint, Corridor, Rules
from geofences.step import until
from geofences.track import Crossing, Fix, Track, kept
from geofences.zones import Zone
from tests.geofences.shapes import stars_of_all_sizes

NOON = 1_783_310_400.0
MOVERS, STEPS = 40, 40
DIRECTIONS: tuple[Literal["forward", "backward", "both"], ...] = ("forward", "backward", "both")


def rules_of_all_kinds(chance: random.Random) -> Rules:
    if chance.random() < 0.3:
        return Rules()
    night = Schedule("Asia/Shanghai", (Window("12:03", "12:09"),))
    return Rules(
        enter_certainty=chance.choice([0.5, 0.8]),
        leave_certainty=chance.choice([0.5, 0.84]),
        exit_buffer_m=chance.choice([0, 5, 50]),
        dwell_in_s=chance.choice([0, 0, 30]),
        dwell_out_s=chance.choice([0, 0, 20]),
        fixes_min=chance.choice([1, 1, 3]),
        dwelt_s=chance.choice([None, None, 60]),
        inside_every_s=chance.choice([None, None, 100]),
        overstayed_s=chance.choice([None, None, 90]),
        lost_s=chance.choice([None, 200]),
        speed_max_kmh=chance.choice([None, None, None, 30]),
        stopped_s=chance.choice([None, None, None, 40]),
        levels=chance.choice([(), (), (), (1, 2)]),
        postures=chance.choice([(), (), ("calm",)]),
        schedule=chance.choice([None, None, None, night]),
        one_of=chance.choice(["", "", "rings"]),
        rank=chance.randrange(3),
        approaching_s=60 if chance.random() < 0.03 else None,
    )


def corridor(chance: random.Random, zone: Zone) -> Corridor:
    """Through the middle of a zone, from west to east, with checkpoints."""
    box = zone.box
    middle = (box.south + box.north) / 2
    line = tuple((box.west + (box.east - box.west) * part / 4, middle + chance.gauss(0, 1e-3)) for part in range(5))
    checkpoints = (
        Checkpoint("first", line[1], 60, until_s=100),
        Checkpoint("second", line[2], 200, not_before="12:01", until="12:05"),
        Checkpoint("third", line[3], 30),
    )
    direction = chance.choice(DIRECTIONS)
    return Corridor(line, direction, checkpoints, chance.choice([10, 100]), 50, "Asia/Shanghai")


def plans(chance: random.Random, count: int, version: int = 1) -> Plan:
    zones = stars_of_all_sizes(chance, count)
    rules = {each.id: rules_of_all_kinds(chance) for each in zones}
    for each in zones:
        if chance.random() < 0.2:
            rules[each.id] = replace(rules[each.id], corridor=corridor(chance, each))
    return Plan(Cells(zones), rules, version, "calm")


def walks(chance: random.Random) -> Iterator[tuple[int, Fix]]:
    """Walkers and drivers, heard every 15 s or so, some late, twice, far away, after a long silence, on floors."""
    places = [(chance.uniform(120, 120.2), chance.uniform(30, 30.2)) for _ in range(MOVERS)]
    levels = [chance.choice([None, None, 1, 5]) for _ in range(MOVERS)]
    heard: list[tuple[float, int, Fix]] = []
    for number in range(STEPS):
        for mover in range(MOVERS):
            far = 1e-4 if mover % 3 else 1e-3
            x, y = places[mover]
            x, y = x + chance.gauss(0, far), y + chance.gauss(0, far)
            places[mover] = x, y
            at = NOON + number * 15 + mover / 10 + (500 if number > 30 and mover % 7 == 0 else 0)
            if chance.random() < 0.02:
                x += 1.0
            levels[mover] = chance.choice([1, 2, 5]) if levels[mover] and chance.random() < 0.1 else levels[mover]
            fix = Fix(at, x, y, chance.choice([0.0, 5.0, 30.0]), levels[mover], None, chance.choice([None, None, 9.0]))
            delay = chance.choice([20.0, 50.0]) if chance.random() < 0.05 else 0.0
            heard.append((at + delay, mover, fix))
            if chance.random() < 0.02:
                heard.append((at + 1, mover, fix))
    return ((mover, fix) for _, mover, fix in sorted(heard, key=lambda each: each[:2]))


def alone(plan: Plan, heard: Sequence[tuple[int, Fix]]) -> tuple[list[Track], list[Crossing]]:
    tracks, told = [Track()] * MOVERS, list[Crossing]()
    for mover, fix in heard:
        tracks[mover], more = taken(tracks[mover], fix, plan)
        told += more
    return tracks, told


def together(fleet: Fleet, heard: Sequence[tuple[int, Fix]], size: int) -> list[Crossing]:
    told: list[tuple[int, Crossing]] = []
    for start in range(0, len(heard), size):
        part = heard[start : start + size]
        told += fleet.take(np.array([mover for mover, _ in part]), fixes_of([fix for _, fix in part]))
    return [crossing for _, crossing in told]


@pytest.mark.parametrize("size", [1, 30, 170, 10_000])
@pytest.mark.parametrize("seed", range(6))
def test_a_batch_tells_what_each_fix_tells(seed: int, size: int) -> None:
    chance = random.Random(seed)
    plan, heard = plans(chance, 150), list(walks(chance))
    tracks, told = alone(plan, heard)
    fleet = Fleet(plan)
    for _ in range(MOVERS):
        fleet.add()
    assert together(fleet, heard, size) == told
    assert [kept(fleet.track(at)) for at in range(MOVERS)] == [kept(track) for track in tracks]
    later = NOON + 5_000
    ticked = [(at, each) for at, track in enumerate(tracks) for each in until(track, later, plan)[1]]
    assert fleet.until(later) == ticked


def test_the_walks_show_every_kind() -> None:
    """Else the comparison above compares nothing."""
    kinds = set()
    for seed in range(6):
        chance = random.Random(seed)
        plan, heard = plans(chance, 150), list(walks(chance))
        kinds |= {each.kind for each in alone(plan, heard)[1]}
    of_one_zone = {"entered", "exited", "dwelt", "inside", "overstayed", "too_fast", "stopped", "lost", "crossed"}
    assert kinds == of_one_zone | {"approaching", "left_corridor", "wrong_way", "missed_checkpoint"}


def test_a_new_plan_and_a_posture_in_the_middle() -> None:
    chance = random.Random(9)
    first, second, heard = plans(chance, 80), plans(chance, 60, 2), list(walks(chance))
    courses = [first, first.in_posture("emergency"), second]
    parts = [heard[:500], heard[500:900], heard[900:]]
    fleet, told, said = Fleet(first), list[Crossing](), list[Crossing]()
    tracks = [Track()] * MOVERS
    for _ in range(MOVERS):
        fleet.add()
    for plan, part in zip(courses, parts, strict=True):
        fleet.obey(plan)
        said += together(fleet, part, 64)
        for mover, fix in part:
            tracks[mover], more = taken(tracks[mover], fix, plan)
            told += more
    assert said == told


def test_what_one_batch_mixes_comes_in_the_order_of_its_fixes() -> None:
    chance = random.Random(4)
    plan, heard = plans(chance, 100), list(walks(chance))[:400]
    fleet = Fleet(plan)
    for _ in range(MOVERS):
        fleet.add()
    told = fleet.take(np.array([mover for mover, _ in heard]), fixes_of([fix for _, fix in heard]))
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    assert all(
        crossing.kind in {"lost", "dwelt", "inside", "stopped"} or crossing.fix == heard[at][1] for at, crossing in told
    )
