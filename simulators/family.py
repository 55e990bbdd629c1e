"""What the simulators know of a family: how its devices are made, on which lines, and what an edge must be told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from simulators.spec import DeviceSpec

EdgeKeys = Mapping[str, Any]


def nothing_more(specs: Sequence[DeviceSpec]) -> EdgeKeys:
    return {}


class Simulator(Struct, frozen=True):
    """`links`: of simulators/lines.py, the usual one first. `edge`: keys of the edge's link to these devices beyond its
    address: settings, topics, path."""

    build: Callable[[str, dict[str, Any], int], Any]
    links: tuple[str, ...]
    edge: Callable[[Sequence[DeviceSpec]], EdgeKeys] = nothing_more
