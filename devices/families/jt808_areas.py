"""Areas and routes that a JT/T 808 terminal keeps and watches by itself: it raises alarm bits 20 to 23.

    circle    8600   mode 1 | count 1 | id 4 | flags 2 | latitude 4 | longitude 4 | radius m 4 | LIMITS | NAME
    rectangle 8602   mode 1 | count 1 | id 4 | flags 2 | north 4 | west 4 | south 4 | east 4 | LIMITS | NAME
    polygon   8604   id 4 | flags 2 | LIMITS | points 2 | {latitude 4 | longitude 4} | NAME
    route     8606   id 4 | flags 2 | TIMES | points 2 | {point 4 | segment 4 | latitude 4 | longitude 4 | width m 1 |
                     segment flags 1 | (maximum km/h 2 | for s 1 | (2019: by night km/h 2))} | (2019: name)
    delete    8601 8603 8605 8607   count 1 (0: all) | {id 4}
    LIMITS = (flag 0: from BCD 6 | until BCD 6 |) (flag 1: maximum km/h 2 | for s 1)
    NAME   = 2019 only: (flag 1: by night km/h 2 |) length 2 | GBK text

Flags: 0 times, 1 speed, 2 tell the driver of entering, 3 tell us, 4 and 5 the same of leaving, 6 south, 7 west. A
segment has 1 speed, 2 south, 3 west. Degrees are in millionths, without sign. JT/T 808-2019 clauses 8.43 to 8.50.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

from devices.asked import chosen, whole
from devices.family import CommandKind, CommandRefused
from devices.local_time import LocalClock, read_iso

POINT = re.compile(r"(-?\d{1,3}(?:\.\d{1,9})?),(-?\d{1,2}(?:\.\d{1,9})?)", re.ASCII)
APPEND = 1
TIMED, LIMITED, ENTERED, LEFT, SOUTH, WEST = 1, 2, 0x0C, 0x30, 0x40, 0x80
SEGMENT_LIMITED, SEGMENT_SOUTH, SEGMENT_WEST = 2, 4, 8
ALARMS = {"none": 0, "enter": ENTERED, "leave": LEFT, "both": ENTERED | LEFT}
POINTS_MAX, TURNS_MAX = 60, 40  # of a polygon, a route: as many fit into one message
ID_MAX = 0xFFFFFFFF
NAME_BYTES_MAX = 60

Point = tuple[float, float]  # longitude, latitude
Args = Mapping[str, str]

ID = {"id": "its number in the terminal, from 1"}
RULES = {
    "alarm": "when the terminal raises an alarm: enter, leave, both or none (both)",
    "speed_kmh": "maximum inside, 1 to 300; none: no maximum",
    "speed_s": "over it for so long, 1 to 255 (10)",
    "from": "ISO 8601, with `until`: watched between these times only",
    "until": "ISO 8601",
    "name": "what the terminal shows (2019 only)",
}
COMMANDS = (
    CommandKind(
        name="set_circle",
        meaning="watch a circle (an id that is taken must be deleted first)",
        args={**ID, "centre": "longitude,latitude", "radius_m": "1 to 1000000", **RULES},
    ),
    CommandKind(
        name="set_rectangle",
        meaning="watch a rectangle",
        args={**ID, "corners": "two opposite ones: longitude,latitude longitude,latitude", **RULES},
    ),
    CommandKind(
        name="set_polygon",
        meaning="watch a polygon",
        args={**ID, "points": f"3 to {POINTS_MAX}: longitude,latitude longitude,latitude …", **RULES},
    ),
    CommandKind(
        name="set_route",
        meaning="watch a route",
        args={**ID, "points": f"2 to {TURNS_MAX}, from start to end", "width_m": "1 to 255 (50)", **RULES},
    ),
    CommandKind(
        name="delete_areas",
        meaning="watch them no more",
        args={"shape": "circle, rectangle, polygon or route", "ids": "numbers with commas; empty: all of that shape"},
    ),
)
DELETES = {"circle": 0x8601, "rectangle": 0x8603, "polygon": 0x8605, "route": 0x8607}


class Terminal(Struct, frozen=True):
    """What a body depends on."""

    is_2019: bool
    clock: LocalClock


class Rules(Struct, frozen=True):
    """Flags without the hemisphere, and the fields that they announce."""

    flags: int
    times: bytes
    speed: bytes
    night: bytes
    name: bytes


def circle(args: Args, terminal: Terminal) -> tuple[int, bytes]:
    rules, centre = _rules(args, terminal), _points(args, "centre", 1, 1)
    radius = whole(args, "radius_m", 1, 1_000_000).to_bytes(4)
    head = _head(args, rules, centre)
    return 0x8600, bytes((APPEND, 1)) + head + _places(centre) + radius + rules.times + rules.speed + _named(rules)


def rectangle(args: Args, terminal: Terminal) -> tuple[int, bytes]:
    rules, given = _rules(args, terminal), _points(args, "corners", 2, 2)
    (west, east), (south, north) = (sorted(axis) for axis in zip(*given, strict=True))
    if west == east or south == north:
        raise CommandRefused("corners: they are not opposite to each other")
    corners = [(west, north), (east, south)]
    head = _head(args, rules, corners)
    return 0x8602, bytes((APPEND, 1)) + head + _places(corners) + rules.times + rules.speed + _named(rules)


def polygon(args: Args, terminal: Terminal) -> tuple[int, bytes]:
    rules, points = _rules(args, terminal), _points(args, "points", 3, POINTS_MAX)
    limits = rules.times + rules.speed
    return 0x8604, _head(args, rules, points) + limits + len(points).to_bytes(2) + _places(points) + _named(rules)


def route(args: Args, terminal: Terminal) -> tuple[int, bytes]:
    rules, points = _rules(args, terminal), _points(args, "points", 2, TURNS_MAX)
    width = whole(args, "width_m", 1, 255, 50)
    hemisphere = _hemisphere(points)
    segment = (SEGMENT_LIMITED if rules.speed else 0) | (SEGMENT_SOUTH if hemisphere & SOUTH else 0)
    segment |= SEGMENT_WEST if hemisphere & WEST else 0
    ends = bytes((width, segment)) + rules.speed + rules.night
    turns = (
        number.to_bytes(4) + number.to_bytes(4) + _places([point]) + ends
        for number, point in enumerate(points, start=1)
    )
    flags = rules.flags & ~LIMITED  # a route has its speed in its segments
    head = whole(args, "id", 1, ID_MAX).to_bytes(4) + flags.to_bytes(2) + rules.times
    return 0x8606, head + len(points).to_bytes(2) + b"".join(turns) + rules.name


def delete(args: Args, terminal: Terminal) -> tuple[int, bytes]:
    id_ = chosen(args, "shape", DELETES)
    texts = [text for text in args.get("ids", "").split(",") if text]
    numbers = [whole({"ids": text.strip()}, "ids", 1, ID_MAX) for text in texts[: POINTS_MAX + 1]]
    if len(numbers) > POINTS_MAX:
        raise CommandRefused(f"ids: more than {POINTS_MAX}")
    return id_, bytes((len(numbers),)) + b"".join(number.to_bytes(4) for number in numbers)


BUILDERS: dict[str, Callable[[Args, Terminal], tuple[int, bytes]]] = {
    "set_circle": circle,
    "set_rectangle": rectangle,
    "set_polygon": polygon,
    "set_route": route,
    "delete_areas": delete,
}


def _rules(args: Args, terminal: Terminal) -> Rules:
    flags, times, speed, night = chosen(args, "alarm", ALARMS, "both"), b"", b"", b""
    if args.get("speed_kmh"):
        flags |= LIMITED
        maximum = whole(args, "speed_kmh", 1, 300).to_bytes(2)
        speed = maximum + bytes((whole(args, "speed_s", 1, 255, 10),))
        night = maximum if terminal.is_2019 else b""
    if args.get("from") or args.get("until"):
        flags |= TIMED
        times = _bcd(args, "from", terminal.clock) + _bcd(args, "until", terminal.clock)
    try:
        name = args.get("name", "").encode("gbk")
    except UnicodeEncodeError:
        raise CommandRefused("name: not in GBK") from None
    if len(name) > NAME_BYTES_MAX:
        raise CommandRefused(f"name: more than {NAME_BYTES_MAX} bytes")
    return Rules(flags, times, speed, night, len(name).to_bytes(2) + name if terminal.is_2019 else b"")


def _bcd(args: Args, name: str, clock: LocalClock) -> bytes:
    at = read_iso(args.get(name, ""), clock)
    local: datetime | None = at and clock.local(at)
    if local is None or not 2000 <= local.year < 2100:
        raise CommandRefused(f"{name}: {args.get(name, '')!r} is no time such as 2026-11-24T20:00:00")
    return bytes.fromhex(local.strftime("%y%m%d%H%M%S"))


def _points(args: Args, name: str, least: int, most: int) -> list[Point]:
    texts = args.get(name, "").split()
    found = [POINT.fullmatch(text) for text in texts[: most + 1]]
    points = [(float(match[1]), float(match[2])) for match in found if match]
    inside = all(abs(longitude) <= 180 and abs(latitude) <= 90 for longitude, latitude in points)
    if len(points) != len(texts) or not least <= len(points) <= most or not inside:
        many = f"{least}" if least == most else f"{least} to {most}"
        raise CommandRefused(f"{name}: {many} points such as 120.4838,30.7436 with blanks between")
    return points


def _hemisphere(points: list[Point]) -> int:
    """The flags of south and west; all points must be on one side."""
    found = 0
    for axis, flag, name in ((0, WEST, "longitudes"), (1, SOUTH, "latitudes")):
        values = [point[axis] for point in points]
        if min(values) < 0 < max(values):
            raise CommandRefused(f"a terminal takes {name} of one sign only")
        found |= flag if min(values) < 0 else 0
    return found


def _head(args: Args, rules: Rules, points: list[Point]) -> bytes:
    return whole(args, "id", 1, ID_MAX).to_bytes(4) + (rules.flags | _hemisphere(points)).to_bytes(2)


def _places(points: list[Point]) -> bytes:
    return b"".join(
        round(abs(latitude) * 1e6).to_bytes(4) + round(abs(longitude) * 1e6).to_bytes(4)
        for longitude, latitude in points
    )


def _named(rules: Rules) -> bytes:
    return rules.night + rules.name
