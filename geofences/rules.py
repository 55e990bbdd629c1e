"""What a zone asks for: when somebody counts as inside, and what is told of whoever is. Pure.

The defaults act on the first sign and do not flap: whoever is more likely inside than outside has entered; whoever is
beyond the exit buffer and surely outside has left.
"""

from math import erf, inf, isfinite, sqrt
from typing import Annotated, Literal

from msgspec import Meta, Struct

from geofences.calendar import Clock, Schedule, is_time_zone

# An accuracy is the radius that holds the true place with 68 %; of a normal distribution in the plane that is this
# many standard deviations.
ACCURACY_DEVIATIONS = 1.515
SQRT2 = sqrt(2)
GROUP_LENGTH_MAX = 64
LEVELS_MAX = 200
CHECKPOINTS_MAX = 100

Certainty = Annotated[float, Meta(ge=0.5, le=0.9999)]
Metres = Annotated[float, Meta(ge=0, le=100_000)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Some = Annotated[float, Meta(gt=0, le=31_536_000)]  # seconds
Group = Annotated[str, Meta(max_length=GROUP_LENGTH_MAX)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Place = tuple[Longitude, Latitude]


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A place that must be passed within `radius_m`: not before `not_before` and before `until`, by the clocks of the
    corridor's time zone, and within `until_s` of entering."""

    name: Annotated[str, Meta(min_length=1, max_length=GROUP_LENGTH_MAX)]
    at: Place
    radius_m: Annotated[float, Meta(gt=0, le=5_000)] = 30.0
    not_before: Clock | None = None
    until: Clock | None = None
    until_s: Some | None = None


class Corridor(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is driven along: `line`, in the middle of the zone (whose width is how far one may deviate), and which way.

    Told: `left_corridor` instead of exited, when it is left farther than `end_m` along the line from both ends;
    `wrong_way`, for more than `wrong_way_m` and two fixes; `missed_checkpoint`, when one was passed by or its time ran
    out."""

    line: Annotated[tuple[Place, ...], Meta(min_length=2, max_length=10_000)]
    direction: Literal["forward", "backward", "both"] = "both"
    checkpoints: Annotated[tuple[Checkpoint, ...], Meta(max_length=CHECKPOINTS_MAX)] = ()
    wrong_way_m: Annotated[float, Meta(ge=5, le=5_000)] = 30.0
    end_m: Metres = 100.0
    time_zone: str = ""


class Rules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of one zone. Times in seconds, None: not told.

    Inside and outside: `enter_certainty`, `leave_certainty`: how likely the true place must be inside (outside), by the
    accuracy of the fix and the distance to the boundary. `exit_buffer_m`: how far outside at least. `dwell_in_s`,
    `dwell_out_s`: for how long, `fixes_min`: with how many fixes in a row, before it counts.
    Told: `dwelt_s` once after so long inside, `inside_every_s` again and again, `overstayed_s` once, `lost_s` when
    whoever is inside is not heard for so long. `speed_max_kmh`: too fast. `stopped_s`: has not moved by more than
    `stopped_radius_m` for so long. `crossed_from_m`: a step at least so long that leads through the zone without a fix
    in it is told. `corridor`: see there. `approaching_s`: told once when whoever comes this way will be inside within
    so long, and again only after having gone away or in. `count_max`, `density_max_per_km2`: `too_many` when more are
    inside, and `eased` when no more than `eased_at` are (without it nine tenths of the limit).
    In force: `levels` (floors) and `altitude_m` (from, to) when given, in these `postures` (all when none is named), by
    `schedule`. `one_of`: of all zones of that group a place has only the one of lowest `rank` (the innermost ring; the
    grid cell), of equal ranks the one whose id sorts first. `parent`: the zone that this one is part of; it holds
    whoever this one holds. `is_place`: whether what happens in it is said to have happened there (in the smallest of
    such zones); false for cells of a grid and for corridors along streets.
    """

    enter_certainty: Certainty = 0.5
    leave_certainty: Certainty = 0.84
    exit_buffer_m: Metres = 5.0
    dwell_in_s: Seconds = 0.0
    dwell_out_s: Seconds = 0.0
    fixes_min: Annotated[int, Meta(ge=1, le=20)] = 1
    dwelt_s: Some | None = None
    inside_every_s: Annotated[float, Meta(ge=1, le=31_536_000)] | None = None
    overstayed_s: Some | None = None
    lost_s: Annotated[float, Meta(ge=10, le=31_536_000)] | None = 900.0
    speed_max_kmh: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    stopped_s: Annotated[float, Meta(ge=10, le=31_536_000)] | None = None
    stopped_radius_m: Annotated[float, Meta(gt=0, le=1_000)] = 20.0
    crossed_from_m: Annotated[float, Meta(ge=1, le=1_000_000)] | None = 100.0
    count_max: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    density_max_per_km2: Annotated[float, Meta(gt=0, le=10_000_000)] | None = None
    eased_at: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    approaching_s: Annotated[float, Meta(ge=1, le=3_600)] | None = None
    corridor: Corridor | None = None
    levels: Annotated[tuple[int, ...], Meta(max_length=LEVELS_MAX)] = ()
    altitude_m: tuple[float, float] | None = None
    postures: tuple[str, ...] = ()
    schedule: Schedule | None = None
    one_of: Group = ""
    rank: int = 0
    parent: str = ""
    is_place: bool = True

    @property
    def is_conditional(self) -> bool:
        """Whether it may not be in force where its shape is, or give way to another zone."""
        return bool(self.levels or self.altitude_m or self.postures or self.schedule or self.one_of)

    @property
    def first_told_s(self) -> float:
        """The first time after entering at which something is told."""
        return min((each for each in (self.dwelt_s, self.inside_every_s, self.overstayed_s) if each), default=inf)


NO_RULES = Rules()


def mistake(rules: Rules) -> str:
    """What their types do not show: the rule, and what is wrong with it; "" when nothing is."""
    low, high = rules.altitude_m or (0.0, 0.0)
    if not (isfinite(low) and isfinite(high) and low <= high):
        return "altitude_m: expected two numbers of metres, the lower one first"
    if rules.schedule is not None and not is_time_zone(rules.schedule.time_zone):
        return f"schedule.time_zone: {rules.schedule.time_zone} is not a time zone; a name such as Asia/Shanghai is"
    return _mistake_of(rules.corridor) if rules.corridor is not None else ""


def _mistake_of(corridor: Corridor) -> str:
    if len(set(corridor.line)) < 2:
        return "corridor.line: expected two different places at least"
    names = [each.name for each in corridor.checkpoints]
    if len(set(names)) < len(names):
        return "corridor.checkpoints: two have one name"
    by_clock = any(each.not_before or each.until for each in corridor.checkpoints)
    if (by_clock or corridor.time_zone) and not is_time_zone(corridor.time_zone):
        return f"corridor.time_zone: {corridor.time_zone!r} is not a time zone; a name such as Asia/Shanghai is"
    return ""


def deviations(certainty: float) -> float:
    """How far from the boundary, in metres per metre of accuracy, a place is on its side with that certainty."""
    low, high = 0.0, 8.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + erf(middle / SQRT2)) / 2 < certainty else (low, middle)
    return low / ACCURACY_DEVIATIONS


def certainty_at(metres: float, accuracy_m: float) -> float:
    """Of being on this side of a boundary `metres` away, to four digits."""
    if accuracy_m <= 0:
        return 1.0
    return round((1 + erf(metres * ACCURACY_DEVIATIONS / (accuracy_m * SQRT2))) / 2, 4)


def speed_m_s(speed_max_kmh: float | None) -> float:
    return inf if speed_max_kmh is None else speed_max_kmh / 3.6
