"""What every kind of line is given: faults, chance, who hears what was accepted, and the devices on the line."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from simulators.device import Accepted
from simulators.spec import DeviceSpec, Faults

TICK_S = 0.1
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.2, 3.0


class Counts(Struct):
    connections: int = 0
    lost: int = 0
    accepted: int = 0
    said: int = 0
    listened: dict[str, bool] = {}  # "host:port" that was dialled over TCP: whether anybody ever took the call


class Member(Struct, frozen=True):
    """A device and where the scenario puts it. `device`: SimulatedDevice or MessageDevice, as its lines are."""

    spec: DeviceSpec
    device: Any


class Stage(Struct, frozen=True, kw_only=True):
    """`accepted` gets every row that the other side confirmed, `said` those that nobody can confirm. `tick_s`: how
    often a device is asked what it has to say."""

    faults: Faults
    seed: int
    counts: Counts
    accepted: Callable[[list[Accepted]], None]
    said: Callable[[list[Accepted]], None]
    tick_s: float = TICK_S

    def chance(self, members: Sequence[Member]) -> random.Random:
        return random.Random(f"{self.seed}/line/{members[0].spec.device}")

    def collect(self, members: Sequence[Member]) -> None:
        """Take from the devices what became true."""
        for member in members:
            if rows := member.device.accepted():
                self.counts.accepted += len(rows)
                self.accepted(rows)
            if rows := member.device.said():
                self.counts.said += len(rows)
                self.said(rows)


def backoff_s(chance: random.Random, attempt: int) -> float:
    """Full jitter."""
    return chance.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2.0 ** min(attempt, 10)))
