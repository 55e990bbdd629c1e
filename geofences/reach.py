"""The boxes round those zones that one may be told to approach: who is in none of them is not there in time. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from geofences.cells import Cells
from geofences.metres import LATITUDE_MAX, east_m, north_m
from geofences.zones import Box, Ring, Zone, zone

SPEED_M_S_MAX = 40.0  # whoever is faster is told later
NOTHING = 0  # the signature of a place that no zone holds


class Reach:
    """`cells`: of the boxes, None when no zone asks for them."""

    def __init__(self, zones: Sequence[Zone], seconds: Mapping[int, float | None]) -> None:
        """`seconds` by number of the zone."""
        boxes = [
            (number, box)
            for number, limit in seconds.items()
            if limit is not None
            for polygon in zones[number].polygons
            for box in _round(polygon[0], limit * SPEED_M_S_MAX)
        ]
        drawn = [zone(f"{at:09}", _rectangle(box)) for at, (_, box) in enumerate(boxes)]
        self.cells = Cells(drawn) if drawn else None
        self.is_asked = bool(drawn)
        self._of = [number for number, _ in boxes]

    def is_near(self, longitude: float, latitude: float) -> bool:
        return self.cells is not None and self.cells.place(longitude, latitude).signature != NOTHING

    def zones(self, longitude: float, latitude: float) -> Iterable[int]:
        """The numbers of those that may be reached from there."""
        if self.cells is None:
            return ()
        return {self._of[at] for at in self.cells.holding(self.cells.place(longitude, latitude))}


def _round(ring: Ring, metres: float) -> Iterator[Box]:
    """The box of a ring and so many metres round it; two when it reaches over the antimeridian."""
    south, north = min(ring.latitudes), max(ring.latitudes)
    up = metres / min(north_m(south), north_m(north))
    south, north = max(south - up, -90.0), min(north + up, 90.0)
    steepest = min(max(abs(south), abs(north)), LATITUDE_MAX)
    across = metres / east_m(steepest)
    west, east = min(ring.longitudes) - across, max(ring.longitudes) + across
    if east - west >= 360:
        yield Box(-180.0, south, 180.0, north)
        return
    yield Box(max(west, -180.0), south, min(east, 180.0), north)
    if west < -180:
        yield Box(west + 360, south, 180.0, north)
    if east > 180:
        yield Box(-180.0, south, east - 360, north)


def _rectangle(box: Box) -> dict[str, object]:
    corners = [(box.west, box.south), (box.east, box.south), (box.east, box.north), (box.west, box.north)]
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
