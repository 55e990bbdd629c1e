"""Positions in the datums of Chinese maps become WGS-84.

GCJ-02 is the datum of maps published in China, some 100 to 700 m off; BD-09 is Baidu's, an offset on top of it.
Neither says anything outside China: there a position is taken as it is.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from prcoords import Coords, sanity_in_china_p, wgs_bd, wgs_gcj

Degrees: TypeAlias = tuple[float, float]  # longitude, latitude
Datum = Literal["wgs84", "gcj02", "bd09"]
ROUNDS = 4  # each leaves about a thousandth of the error: far below a millimetre


def _inverse(onto: Callable[[Coords, bool], Coords]) -> Callable[[Degrees], Degrees]:
    """There are formulas only for the way from WGS-84. The library's own way back warns near the rim of China."""

    def to_wgs84(position: Degrees) -> Degrees:
        sent = Coords(position[1], position[0])
        if not sanity_in_china_p(sent):
            return position
        guess = sent
        for _ in range(ROUNDS):
            guess = guess - (onto(guess, False) - sent)
        return guess.lon, guess.lat

    return to_wgs84


TO_WGS84: Mapping[str, Callable[[Degrees], Degrees]] = {"gcj02": _inverse(wgs_gcj), "bd09": _inverse(wgs_bd)}
