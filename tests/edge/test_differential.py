"""What an edge tells of each position and what a hub tells of many at once are the same, byte for byte as JSON.

The same reports go through edge.fences.Fences, one by one, and through geofences.fleet.Fleet, in batches: random rules,
late ones, repeated ones, jumps, silences, restarts of both at random places, another version of the zones in between.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import numpy as np
import pytest

from devices.observation import DeviceId, Observation, Position
from edge.fences import Drawn, Fences, events_of, fix_at
from geofences.fleet import Fleet
from geofences.fleet_columns import fixes_of
from geofences.plan import Plan
from geofences.step import checked
from geofences.track import Track, kept, read
from tests.geofences.test_fleet import plans

NOON = datetime(2026, 7, 6, 4, tzinfo=UTC)
MOVERS, BATCH = 100, 500
PER_SECOND = 5
RESTARTS = 0.02  # of the batches
REDRAWN_EVERY = 150  # batches

Report = tuple[int, Observation, Position]


def reports(chance: random.Random) -> Iterator[Report]:
    """(number of the device, what it reported), without end: walkers and drivers in a fifth of a degree."""
    places = [(chance.uniform(120, 120.2), chance.uniform(30, 30.2)) for _ in range(MOVERS)]
    late: list[Report] = []
    second = 0
    while True:
        second += 1
        for mover in chance.sample(range(MOVERS), PER_SECOND):
            far = 3e-4 if mover % 3 else 1e-3
            x, y = (part + chance.gauss(0, far) for part in places[mover])
            x, y = min(max(x, 119.99), 120.21), min(max(y, 29.99), 30.21)
            places[mover] = x, y
            at = NOON + timedelta(
                seconds=second + mover / 256 + (600 if second % 4_000 > 3_400 and mover % 7 == 0 else 0)
            )
            leap = 1.0 if chance.random() < 0.005 else 0.0
            body = Position(
                longitude=x + leap,
                latitude=y,
                accuracy_m=chance.choice([None, 5.0, 30.0]),
                speed_kmh=chance.choice([None, None, 36.0]),
            )
            one = Observation(device=DeviceId(f"gps:{mover:03}"), observed_at=at, received_at=at, body=body)
            if chance.random() < 0.03:
                late.append((mover, one, body))
                continue
            yield mover, one, body
            if chance.random() < 0.01:
                yield mover, one, body
        if late and chance.random() < 0.3:
            yield late.pop(chance.randrange(len(late)))
        del late[:-50]


class Edge:
    def __init__(self, plan: Plan) -> None:
        self._fences, self._kept = Fences(), dict[str, str]()
        self.obey(plan)

    def obey(self, plan: Plan) -> None:
        self._plan = plan
        self._fences.obey(Drawn(plan), NOON)

    def take(self, batch: list[Report]) -> list[Observation]:
        return [event for _, one, body in batch for event in self._fences.seen(one, body)]

    def restart(self) -> None:
        self._kept |= self._fences.keeps()
        self._fences = Fences()
        self._fences.remember(self._kept)
        self._fences.obey(Drawn(self._plan), NOON)


class Hub:
    def __init__(self, plan: Plan) -> None:
        self._fleet = Fleet(plan)
        for _ in range(MOVERS):
            self._fleet.add()
        self._plan = plan

    def obey(self, plan: Plan) -> None:
        self._plan = plan
        self._fleet.obey(plan)

    def take(self, batch: list[Report]) -> list[Observation]:
        rows = np.array([mover for mover, _, _ in batch])
        told = self._fleet.take(rows, fixes_of([checked(fix_at(one, body)) for _, one, body in batch]))
        found = []
        for at, crossing in told:
            one = batch[at][1]
            found += events_of(one.device, one.received_at, (crossing,), "")
        return found

    def restart(self) -> None:
        tracks = [self._fleet.track(row) for row in range(MOVERS)]
        self._fleet = Fleet(self._plan)
        for track in tracks:
            self._fleet.add(read(kept(track)) if track.fix is not None else Track())


def compare(seed: int, count: int) -> tuple[int, int]:
    """How many events the same `count` reports came to on both sides, and how often both were started anew."""
    chance = random.Random(seed)
    versions = [plans(chance, 200, version) for version in (1, 2)]
    edge, hub = Edge(versions[0]), Hub(versions[0])
    coming, events, restarts = reports(chance), 0, 0
    for number in range(count // BATCH):
        batch = list(islice(coming, BATCH))
        one, other = edge.take(batch), hub.take(batch)
        assert msgspec.json.encode(one) == msgspec.json.encode(other), f"seed {seed}, batch {number}"
        events += len(one)
        if chance.random() < RESTARTS:
            restarts += 1
            edge.restart()
            hub.restart()
        if number % REDRAWN_EVERY == REDRAWN_EVERY - 1:
            plan = versions[number // REDRAWN_EVERY % 2]
            edge.obey(plan)
            hub.obey(plan)
    return events, restarts


@pytest.mark.parametrize("seed", range(2))
def test_edge_and_hub_tell_the_same_of_ten_thousand_reports(seed: int) -> None:
    events, _ = compare(seed, 10_000)
    assert events > 100


@pytest.mark.soak
@pytest.mark.timeout(1_500)
def test_edge_and_hub_tell_the_same_of_a_million_reports() -> None:
    events, restarts = compare(7, 1_000_000)
    assert events > 10_000 and restarts > 10
