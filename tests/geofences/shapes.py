"""Rings for tests."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from geofences.zones import Zone, zone

Ring = list[tuple[float, float]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def square(west: float, south: float, side: float) -> Ring:
    east, north = west + side, south + side
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def star(chance: random.Random, longitude: float, latitude: float, reach: float) -> Ring:
    """A simple ring of 5 to 40 corners round its middle."""
    count = chance.randint(5, 40)
    corners = []
    for at in range(count):
        angle = (at + chance.uniform(0.1, 0.9)) * 2 * math.pi / count
        far = reach * chance.uniform(0.3, 1)
        corners.append((longitude + far * math.cos(angle), latitude + far * math.sin(angle)))
    return [*corners, corners[0]]


def stars_of_all_sizes(chance: random.Random, count: int, west: float = 120.0, south: float = 30.0) -> list[Zone]:
    """In a fifth of a degree each way; a third has a hole."""
    zones = []
    for number in range(count):
        middle = west + chance.uniform(0, 0.2), south + chance.uniform(0, 0.2)
        reach = 10 ** chance.uniform(-4, -1.7)
        holes = [star(chance, *middle, reach * 0.2)] if number % 3 == 0 else []
        zones.append(zone(f"z{number}", polygon(star(chance, *middle, reach), *holes)))
    return zones


def places_about(chance: random.Random, zones: Sequence[Zone], count: int) -> Iterator[tuple[float, float]]:
    """Anywhere near; on corners; on edges and a rounding error beside; short steps from the last one."""
    west, east = min(zone.box.west for zone in zones), max(zone.box.east for zone in zones)
    south, north = min(zone.box.south for zone in zones), max(zone.box.north for zone in zones)
    x, y = west, south
    for number in range(count):
        ring = chance.choice(chance.choice(chance.choice(zones).polygons))
        at, share = chance.randrange(len(ring.longitudes) - 1), chance.random()
        ax, bx = ring.longitudes[at : at + 2]
        ay, by = ring.latitudes[at : at + 2]
        match number % 5:
            case 0:
                margin = (east - west) / 5
                x, y = chance.uniform(west - margin, east + margin), chance.uniform(south - margin, north + margin)
            case 1:
                x, y = ax, ay
            case 2:
                x, y = ax + share * (bx - ax), ay + share * (by - ay)
            case 3:
                x, y = ax, chance.uniform(south, north)
            case _:
                x, y = x + chance.gauss(0, 1e-4), y + chance.gauss(0, 1e-4)
        yield x, y
