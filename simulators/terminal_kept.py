"""What a simulated vehicle terminal keeps of what a platform sent: parameters, areas and routes that it watches itself.

Bodies are read here from the byte tables of JT/T 808-2019, apart from devices.families.
"""

import math
from struct import unpack_from

from msgspec import Struct

METRES_PER_DEGREE = 111_320.0
TIMED, LIMITED, ENTER, LEAVE, SOUTH, WEST = 1, 2, 0x0C, 0x30, 0x40, 0x80
SEGMENT_TIMED, SEGMENT_LIMITED = 1, 2
CIRCLE, RECTANGLE, POLYGON, ROUTE = 1, 2, 3, 4
SET_BY = {0x8600: CIRCLE, 0x8602: RECTANGLE, 0x8604: POLYGON, 0x8606: ROUTE}
DELETED_BY = {0x8601: CIRCLE, 0x8603: RECTANGLE, 0x8605: POLYGON, 0x8607: ROUTE}
AREAS_MAX = 24  # of one kind, as the standard asks for at least
PARAMETERS_MAX = 200

Point = tuple[float, float]  # longitude, latitude


class Area(Struct):
    kind: int
    id: int
    flags: int
    points: list[Point]
    radius_m: float = 0.0  # a circle's, or half a route's width
    inside: bool | None = None  # None: not looked yet


class Crossing(Struct, frozen=True):
    kind: int
    id: int
    left: bool


class Kept:
    def __init__(self) -> None:
        self.parameters = {0x0001: bytes(3) + b"\x1e", 0x0029: bytes(3) + b"\x0a", 0x0013: b"gw.example"}
        self.areas: dict[tuple[int, int], Area] = {}

    def set_parameters(self, body: bytes) -> bool:
        at, found = 1, dict[int, bytes]()
        while at + 5 <= len(body):
            end = at + 5 + body[at + 4]
            found[int.from_bytes(body[at : at + 4])] = body[at + 5 : end]
            at = end
        if at != len(body) or len(found) != body[0] or len(self.parameters | found) > PARAMETERS_MAX:
            return False
        self.parameters |= found
        return True

    def told_parameters(self, ids: list[int]) -> bytes:
        """Count and items of 0x0104; ids that are not there are left out."""
        held = [(id_, self.parameters[id_]) for id_ in ids or self.parameters if id_ in self.parameters]
        items = (id_.to_bytes(4) + bytes((len(value),)) + value for id_, value in held)
        return bytes((len(held),)) + b"".join(items)

    def set_area(self, id_: int, body: bytes) -> bool:
        area = _read(SET_BY[id_], body)
        if area is None or sum(one.kind == area.kind for one in self.areas.values()) >= AREAS_MAX:
            return False
        self.areas[(area.kind, area.id)] = area
        return True

    def delete_areas(self, id_: int, body: bytes) -> None:
        kind = DELETED_BY[id_]
        ids = {int.from_bytes(body[at : at + 4]) for at in range(1, len(body), 4)}
        self.areas = {key: area for key, area in self.areas.items() if key[0] != kind or (ids and key[1] not in ids)}

    def moved(self, longitude: float, latitude: float) -> Crossing | None:
        """The first area that was entered or left by coming here, where that is an alarm."""
        crossed = None
        for area in self.areas.values():
            inside, before = _inside(area, longitude, latitude), area.inside
            area.inside = inside
            alarms = area.flags & (ENTER if inside else LEAVE)
            if before is not None and before != inside and alarms:
                crossed = crossed or Crossing(area.kind, area.id, not inside)
        return crossed


def _read(kind: int, body: bytes) -> Area | None:
    listed = kind in (CIRCLE, RECTANGLE)
    at = 2 if listed else 0
    if len(body) < at + 6:
        return None
    id_, flags = unpack_from(">IH", body, at)
    at += 6
    if not listed:
        at += (12 if flags & TIMED else 0) + (3 if flags & LIMITED and kind == POLYGON else 0)
    try:
        if kind == CIRCLE:
            return Area(kind, id_, flags, [_point(body, at, flags)], float(unpack_from(">I", body, at + 8)[0]))
        if kind == RECTANGLE:
            (west, north), (east, south) = _point(body, at, flags), _point(body, at + 8, flags)
            return Area(kind, id_, flags, [(west, north), (east, north), (east, south), (west, south)])
        (count,) = unpack_from(">H", body, at)
        if kind == POLYGON:
            return Area(kind, id_, flags, [_point(body, at + 2 + 8 * number, flags) for number in range(count)])
        return _route(id_, flags, body, at + 2, count)
    except ValueError:
        return None


def _route(id_: int, flags: int, body: bytes, at: int, count: int) -> Area:
    """Raises ValueError when the body ends too soon."""
    points, width = [], 0
    for number in range(count):
        if at + 18 > len(body):
            raise ValueError(f"point {number} is cut short")
        width, segment = body[at + 16], body[at + 17]
        points.append(_point(body, at + 8, (segment & 12) << 4))
        at += 18 + (4 if segment & SEGMENT_TIMED else 0) + (3 if segment & SEGMENT_LIMITED else 0)
    return Area(ROUTE, id_, flags, points, width / 2)


def _point(body: bytes, at: int, flags: int) -> Point:
    if at + 8 > len(body):
        raise ValueError("a point is cut short")
    latitude, longitude = unpack_from(">II", body, at)
    return (-longitude if flags & WEST else longitude) / 1e6, (-latitude if flags & SOUTH else latitude) / 1e6


def _inside(area: Area, longitude: float, latitude: float) -> bool:
    scale = METRES_PER_DEGREE * math.cos(math.radians(latitude)), METRES_PER_DEGREE
    near = [((east - longitude) * scale[0], (north - latitude) * scale[1]) for east, north in area.points]
    if area.kind == CIRCLE:
        return math.hypot(*near[0]) <= area.radius_m
    pairs = list(zip(near, near[1:] + near[:1], strict=True))
    if area.kind == ROUTE:
        return any(_distance(*pair) <= area.radius_m for pair in pairs[:-1])
    return sum(_crosses(*pair) for pair in pairs) % 2 == 1


def _crosses(a: Point, b: Point) -> bool:
    """Whether the edge crosses the ray to the east of the origin."""
    return (a[1] > 0) != (b[1] > 0) and a[0] + (b[0] - a[0]) * a[1] / (a[1] - b[1]) > 0


def _distance(a: Point, b: Point) -> float:
    """Of the origin from the line between them."""
    run, rise = b[0] - a[0], b[1] - a[1]
    length = run * run + rise * rise
    share = min(1.0, max(0.0, -(a[0] * run + a[1] * rise) / length)) if length else 0.0
    return math.hypot(a[0] + share * run, a[1] + share * rise)
