"""What docs/geofences.md shows: for each kind of event a small place, a walk through it, and what is told of it.

Places are metres east and north of a corner in Wuzhen, times seconds. Nothing is drawn that was not told: `played` runs
the scene through the engine that edges and hubs use.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct, field

from geofences.calendar import Schedule, Window
from geofences.cells import Cells
from geofences.crowds import Crowds
from geofences.late import taken
from geofences.plan import Plan
from geofences.projection import Plane
from geofences.rules import Checkpoint, Corridor, Rules
from geofences.step import until
from geofences.together import MovingZone, Proximity, Together
from geofences.track import Crossing, Fix, Track
from geofences.zones import zone

NOON = 1_783_310_400.0  # 12:00 in Shanghai, a Monday
PLANE = Plane(120.49, 30.74)
Place = tuple[float, float]
Report = tuple[float, float, float]  # second, metres east, metres north

HALL: tuple[Place, ...] = ((90, 30), (210, 30), (210, 120), (90, 120), (90, 30))
THROUGH: tuple[Report, ...] = tuple((at * 10, 20 + at * 22, 60 + 10 * (at % 2)) for at in range(13))
INSIDE: tuple[Report, ...] = ((0, 40, 70), (10, 75, 72), (20, 110, 75), (30, 140, 85), (45, 160, 70), (60, 175, 90))
ROAD: tuple[Place, ...] = ((15, 75), (150, 75), (285, 75))
ALONG_ROAD: tuple[Place, ...] = ((10, 55), (290, 55), (290, 95), (10, 95), (10, 55))


class Drawn(Struct, frozen=True):
    """A zone of a scene. `line`: of its corridor, to be shown."""

    name: str
    ring: tuple[Place, ...]
    rules: Rules = Rules()


class Scene(Struct, frozen=True, kw_only=True):
    """`kinds`: what it shows. `words`: one or two sentences. `setting`: how a site file asks for it. `until`: when the
    last look is taken, in seconds. `circles`: (centre's track, metres) to be drawn round where a track ends."""

    name: str
    kinds: tuple[str, ...]
    title: str
    words: str
    setting: str
    zones: tuple[Drawn, ...] = (Drawn("hall", HALL),)
    walks: Mapping[str, tuple[Report, ...]] = field(default_factory=lambda: {"band": THROUGH})
    accuracy_m: float = 0.0
    levels: Mapping[float, int] = {}
    late: tuple[Report, ...] = ()
    moving: tuple[MovingZone, ...] = ()
    proximity: tuple[Proximity, ...] = ()
    until: float = 0.0
    circles: tuple[tuple[str, float], ...] = ()


def ruled(**rules: Any) -> tuple[Drawn, ...]:
    """The hall with these rules."""
    return (Drawn("hall", HALL, Rules(**rules)),)


def _road(**rules: Any) -> tuple[Drawn, ...]:
    corridor = Corridor(tuple(map(to_degrees, ROAD)), end_m=40.0, **rules)
    return (Drawn("road", ALONG_ROAD, Rules(corridor=corridor)),)


def to_degrees(place: Place) -> Place:
    longitude, latitude = PLANE.to_degrees(*place)
    return longitude, latitude


ENTERED = Scene(
    name="entered",
    kinds=("entered", "exited"),
    title="Entered and exited",
    words="Told once each, in turn: at the first report within the shape, and at the first one that is "
    "beyond the exit buffer (5 m unless the zone says otherwise) and surely outside.",
    setting="exit_buffer_m = 5",
)
SCENES: tuple[Scene, ...] = (
    ENTERED,
    Scene(
        name="jitter",
        kinds=("entered", "exited"),
        title="Why it does not flap",
        words="A receiver that jumps about at the border tells nothing: within the exit buffer nobody has left. "
        "The circles are the accuracy of the reports: who is within it may be on either side, and leaves "
        "only when that is unlikely.",
        setting="enter_certainty = 0.5\nleave_certainty = 0.84\nexit_buffer_m = 5\n"
        "dwell_in_s = 0      # or: for so long before it counts\nfixes_min = 1",
        walks={
            "band": (
                (0, 40, 45),
                (10, 68, 48),
                (20, 102, 55),
                (30, 79, 62),
                (40, 103, 69),
                (50, 80, 76),
                (60, 101, 83),
                (70, 80, 90),
                (80, 58, 97),
                (90, 35, 104),
            )
        },
        accuracy_m=20.0,
    ),
    Scene(
        name="dwelt",
        kinds=("dwelt",),
        title="Dwelt",
        words="Once, after so long inside; also between two reports.",
        setting="dwelt_s = 30",
        zones=ruled(dwelt_s=30),
        walks={"band": INSIDE},
    ),
    Scene(
        name="inside",
        kinds=("inside",),
        title="Inside, again and again",
        words="Every so many seconds for as long as the stay lasts.",
        setting="inside_every_s = 15",
        zones=ruled(inside_every_s=15),
        walks={"band": INSIDE},
        until=66,
    ),
    Scene(
        name="overstayed",
        kinds=("overstayed",),
        title="Overstayed",
        words="Once, when the stay lasts longer than allowed.",
        setting="overstayed_s = 35",
        zones=ruled(overstayed_s=35),
        walks={"band": INSIDE},
    ),
    Scene(
        name="lost",
        kinds=("lost",),
        title="Lost inside",
        words="Whoever is inside and has not been heard for so long. 15 minutes unless the zone says otherwise.",
        setting="lost_s = 120",
        zones=ruled(lost_s=120),
        walks={"band": INSIDE[:4]},
        until=200,
    ),
    Scene(
        name="crossed",
        kinds=("crossed",),
        title="Crossed between two reports",
        words="A vehicle that is heard seldom: its step leads through the zone, though no report lies in it.",
        setting="crossed_from_m = 100",
        walks={"car": ((0, 20, 55), (15, 280, 100))},
    ),
    Scene(
        name="approaching",
        kinds=("approaching", "entered"),
        title="Approaching",
        words="By way and speed of the last two reports it will be inside within so long. Told once, and again "
        "only after having gone away by 50 m or in.",
        setting="approaching_s = 30",
        zones=ruled(approaching_s=30),
        walks={"band": tuple((at * 10, 6 + at * 20, 70) for at in range(7))},
    ),
    Scene(
        name="too_fast",
        kinds=("too_fast",),
        title="Too fast",
        words="Faster than allowed in the zone; again only after having been slower than nine tenths of it.",
        setting="speed_max_kmh = 20",
        zones=ruled(speed_max_kmh=20),
        walks={"car": ((0, 20, 60), (10, 60, 64), (20, 105, 70), (25, 150, 78), (30, 195, 84), (40, 250, 90))},
    ),
    Scene(
        name="stopped",
        kinds=("stopped",),
        title="Stopped",
        words="Has not moved by more than 20 m (`stopped_radius_m`) for so long.",
        setting="stopped_s = 60",
        zones=ruled(stopped_s=60),
        walks={
            "car": (
                (0, 30, 60),
                (10, 80, 66),
                (20, 130, 72),
                (40, 138, 74),
                (60, 134, 78),
                (90, 140, 75),
                (110, 200, 90),
            )
        },
    ),
    Scene(
        name="rings",
        kinds=("entered", "exited"),
        title="Rings: a place has one",
        words="Of all zones of a group whoever comes is in the innermost: entering the core leaves the middle ring.",
        setting='one_of = "rings"\nrank = 1           # the core; 2 the ring round it',
        zones=(
            Drawn("middle", HALL, Rules(one_of="rings", rank=2)),
            Drawn("core", ((130, 50), (175, 50), (175, 100), (130, 100), (130, 50)), Rules(one_of="rings", rank=1)),
        ),
        walks={"band": tuple((at * 10, 10 + at * 32, 62 + at * 6) for at in range(7))},
    ),
    Scene(
        name="floors",
        kinds=("entered", "exited"),
        title="Floors",
        words="A zone of the second floor: whoever walks below is not in it. A report without a floor enters "
        "and leaves nothing.",
        setting="levels = [2]        # or altitude_m = [7.0, 11.0]",
        zones=ruled(levels=(2,)),
        walks={
            "band": (
                (0, 60, 70),
                (10, 110, 72),
                (20, 135, 75),
                (30, 150, 85),
                (40, 165, 75),
                (50, 185, 70),
                (60, 240, 65),
            )
        },
        levels={0: 1, 10: 1, 20: 1, 30: 2, 40: 2, 50: 1, 60: 1},
    ),
    Scene(
        name="schedule",
        kinds=("entered", "exited"),
        title="Schedule",
        words="In force from 12:01 to 12:02 by the clocks of the site: whoever is there then has entered, "
        "though nobody moved over a border.",
        setting='[zones.rules.schedule]\ntime_zone = "Asia/Shanghai"\nwindows = [{ on = "12:01", until = "12:02" }]',
        zones=ruled(schedule=Schedule("Asia/Shanghai", (Window("12:01", "12:02"),))),
        walks={"band": ((0, 60, 60), (30, 110, 70), (70, 140, 85), (100, 165, 75), (140, 190, 85))},
    ),
    Scene(
        name="late",
        kinds=("entered", "exited"),
        title="Late reports",
        words="A report that comes late is put in where it belongs: here the visit shows only when it comes, "
        "and is told then, with its own times. Nothing is told twice.",
        setting="# always on, for reports up to five minutes late",
        zones=ruled(crossed_from_m=None),
        walks={"band": ((0, 30, 40), (10, 70, 42), (30, 230, 50), (40, 270, 60))},
        late=((20, 150, 70),),
    ),
    Scene(
        name="left_corridor",
        kinds=("entered", "left_corridor"),
        title="Left its corridor",
        words="A corridor that is left before its end. At its ends it is exited like any zone.",
        setting="[zones.rules.corridor]\nline = [[120.4902, 30.7407], [120.4916, 30.7407], [120.4930, 30.7407]]\n"
        "end_m = 40",
        zones=_road(),
        walks={"truck": ((0, 20, 70), (10, 70, 78), (20, 120, 74), (30, 165, 85), (40, 190, 125), (50, 230, 138))},
    ),
    Scene(
        name="wrong_way",
        kinds=("wrong_way",),
        title="Wrong way",
        words="Against the direction for more than 30 m (`wrong_way_m`) and two reports.",
        setting='direction = "forward"',
        zones=_road(direction="forward"),
        walks={"truck": ((0, 60, 70), (10, 120, 70), (20, 180, 72), (30, 140, 80), (40, 100, 82), (50, 70, 80))},
    ),
    Scene(
        name="missed_checkpoint",
        kinds=("missed_checkpoint",),
        title="Missed checkpoint",
        words="Passed by without having been there, or not there in time (`not_before`, `until`, `until_s`).",
        setting='checkpoints = [{ name = "weighbridge", at = [120.4914, 30.7412], radius_m = 12 }]',
        zones=_road(checkpoints=(Checkpoint("weighbridge", to_degrees((130, 110)), 12.0),)),
        walks={"truck": tuple((at * 10, 20 + at * 30, 72 + 4 * (at % 2)) for at in range(9))},
    ),
    Scene(
        name="too_many",
        kinds=("too_many", "eased"),
        title="Too many, and eased",
        words="More inside than allowed (a count, or a density by the zone's area), told of the one who came "
        "last; eased when no more than `eased_at` are left.",
        setting="count_max = 2       # or density_max_per_km2\neased_at = 1",
        zones=ruled(count_max=2, eased_at=1),
        walks={
            "ann": ((0, 60, 45), (10, 110, 50), (50, 120, 55)),
            "bo": ((2, 60, 75), (12, 130, 78), (40, 190, 75), (50, 250, 70)),
            "cy": ((4, 60, 105), (24, 110, 100), (44, 150, 105), (60, 160, 140)),
        },
    ),
    Scene(
        name="met",
        kinds=("met", "separated"),
        title="Met and separated",
        words="Two that are tracked come within so many metres of each other, whoever moves, and are apart again.",
        setting='[[proximity]]\nid = "medic-reaches-band"\none = ["watch:*"]\nother = ["tetra:1001"]\n'
        "metres = 40\napart_m = 10",
        zones=(),
        walks={
            "band": tuple((at * 10, 30 + at * 28, 50 + at * 4) for at in range(9)),
            "medic": tuple((at * 10 + 1, 270 - at * 28, 115 - at * 4) for at in range(9)),
        },
        proximity=(Proximity("meeting", ("band",), ("medic",), 40.0, 10.0),),
    ),
    Scene(
        name="moving",
        kinds=("entered", "exited"),
        title="Moving zones",
        words="A circle that goes with a unit or a vehicle; whoever comes into it has entered.",
        setting='[[moving_zones]]\nid = "escort"\ncarriers = ["tetra:1001"]\nradius_m = 45\nwho = ["watch:*"]',
        zones=(),
        walks={
            "band": ((0, 120, 125), (40, 150, 110), (80, 180, 125)),
            "escort": tuple((at * 10 + 1, 30 + at * 30, 60) for at in range(9)),
        },
        moving=(MovingZone("escort", ("escort",), 60.0, ("band",)),),
        circles=(("escort", 60.0),),
    ),
)


class Mark(Struct, frozen=True):
    """Something that was told: of which track, when (seconds) and where (metres)."""

    track: str
    kind: str
    zone: str
    at: float
    place: Place
    why: str


def played(scene: Scene) -> list[Mark]:
    """What the engine tells of it, in the order in which it is told."""
    plan = Plan(
        Cells(zone(each.name, _shape(each.ring)) for each in scene.zones), {z.name: z.rules for z in scene.zones}
    )
    crowds, together = Crowds(plan, {}, {}), Together(scene.moving, scene.proximity)
    tracks: dict[str, Track] = {}
    told: list[tuple[str, Crossing]] = []
    for name, fix in _reports(scene):
        track, crossings = taken(tracks.get(name, Track()), fix, plan)
        tracks[name] = track
        told += [(name, each) for each in (*crossings, *crowds.moved(name, track))]
        told += together.moved(name, fix)
    for name, track in tracks.items() if scene.until else ():
        told += [(name, each) for each in until(track, NOON + scene.until, plan)[1]]
    return [_mark(scene, name, crossing) for name, crossing in told]


def _reports(scene: Scene) -> Iterable[tuple[str, Fix]]:
    ordered = sorted((report, name) for name, walk in scene.walks.items() for report in walk)
    coming = [*ordered, *((report, next(iter(scene.walks))) for report in scene.late)]
    for (at, east, north), name in coming:
        longitude, latitude = to_degrees((east, north))
        yield name, Fix(NOON + at, longitude, latitude, scene.accuracy_m, scene.levels.get(at))


def _shape(ring: Sequence[Place]) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [[*map(to_degrees, ring[:-1]), to_degrees(ring[0])]]}


def _mark(scene: Scene, track: str, crossing: Crossing) -> Mark:
    at = crossing.at - NOON
    return Mark(track, crossing.kind, crossing.zone, at, whereabouts(scene, track, at), crossing.why)


def whereabouts(scene: Scene, track: str, at: float) -> Place:
    """Where a track was, on the straight line between two reports."""
    walk = sorted((*scene.walks[track], *(scene.late if track == next(iter(scene.walks)) else ())))
    for (start, x, y), (end, to_x, to_y) in pairwise(walk):
        if start <= at <= end:
            share = (at - start) / (end - start)
            return x + share * (to_x - x), y + share * (to_y - y)
    last = walk[-1] if at > walk[-1][0] else walk[0]
    return last[1], last[2]
