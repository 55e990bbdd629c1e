"""What is known of one tracked person or thing between two fixes. Values only: they are never changed, and they go
through JSON and back, so that a restart forgets nothing."""

from datetime import UTC, datetime
from math import inf
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

RESTORED = (-1, "")  # the key of no plan
UNKNOWN = -1  # a signature under no plan
RECENT_MAX = 8  # fixes kept for those that come late


class Fix(Struct, frozen=True, gc=False):
    """Where it was: seconds since 1970, WGS-84 degrees. `accuracy_m` holds the true place with 68 %, 0: not known."""

    at: float
    longitude: float
    latitude: float
    accuracy_m: float = 0.0
    level: int | None = None
    altitude_m: float | None = None
    speed_m_s: float | None = None

    @property
    def place(self) -> tuple[float, float]:
        return self.longitude, self.latitude


class Reported(Protocol):
    """A position as devices report it: degrees, metres, km/h; None where it is not known."""

    @property
    def longitude(self) -> float: ...
    @property
    def latitude(self) -> float: ...
    @property
    def accuracy_m(self) -> float | None: ...
    @property
    def level(self) -> int | None: ...
    @property
    def altitude_m(self) -> float | None: ...
    @property
    def speed_kmh(self) -> float | None: ...


def fix_of(at: float, place: Reported) -> Fix:
    """`at`: seconds since 1970."""
    speed = place.speed_kmh
    return Fix(
        at,
        place.longitude,
        place.latitude,
        place.accuracy_m or 0.0,
        place.level,
        place.altitude_m,
        None if speed is None else speed / 3.6,
    )


class Crossing(Struct, frozen=True, gc=False):
    """Something that happened between a track and a zone. `kind`: entered, exited, dwelt, inside, overstayed, lost,
    too_fast, stopped, crossed, approaching, left_corridor, wrong_way, missed_checkpoint; of several tracks (`other`:
    the second one): met, separated, too_many, eased. `since`: when its cause began. `start` and `fix`: the step that
    showed it (start None: one fix did). `certainty` that it is so, by accuracy and distance. `why`: in words."""

    kind: str
    zone: str
    version: int
    at: float
    since: float
    fix: Fix
    start: Fix | None = None
    certainty: float = 1.0
    why: str = ""
    other: str = ""


class Pending(Struct, frozen=True, gc=False):
    """A zone whose shape holds the last fix though the track does not count as inside, or the other way round. `since`:
    for how long surely so, None: not surely."""

    zone: int
    since: float | None = None
    fixes: int = 0


class Rest(Struct, frozen=True, gc=False):
    """Where in a zone with `stopped_s` it has been since when without moving far."""

    zone: int
    longitude: float
    latitude: float
    since: float


class Ride(Struct, frozen=True, gc=False):
    """Of a stay in a corridor: metres along its line, counted in its direction. `low` and `high`: what was reached so
    far. `turned`: from where it goes the wrong way, or, when that was told, the right one again, for `fixes` fixes.
    `visited` and `missed`: names of checkpoints."""

    zone: int
    since: float
    low: float
    high: float
    turned: float
    fixes: int = 0
    is_wrong: bool = False
    visited: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()


class Nearing(Struct, frozen=True, gc=False):
    """A zone that it was told to approach, and how near it has come since."""

    zone: int
    least_m: float


class State(Struct, frozen=True, gc=False):
    """What changes seldom. Zones are numbers of the plan. `members`: those whose shape counts as holding it, and since
    when; `stays`: those of them that are in force, and their parents, and when they were entered (the very same dict
    where nothing is conditional). Neither is changed once it is here. `timed`: the stays of which time tells something.
    `due`: when something is to be told without a fix. `by_floor`: whether one of the members asks for a floor."""

    members: dict[int, float] = {}
    stays: dict[int, float] = {}
    timed: tuple[int, ...] = ()
    rests: tuple[Rest, ...] = ()
    fast: tuple[int, ...] = ()
    rides: tuple[Ride, ...] = ()
    nearing: tuple[Nearing, ...] = ()
    due: float = inf
    speed_max: float = inf
    by_floor: bool = False
    made_at: float = -inf

    @property
    def is_plain(self) -> bool:
        """Nothing is told of it before it crosses a boundary or is not heard for long."""
        return not (self.by_floor or self.rests or self.rides or self.nearing) and self.speed_max == inf


NOWHERE = State()


class Track(Struct, frozen=True, gc=False):
    """`ids`: the zones that the numbers stand for, under the plan `key`. `told`: until when everything due is told.
    `recent`: its last fixes; `before`: the states before this one, the newest last, for fixes that come late.
    `suspects`: fixes too far away to be believed at once."""

    key: tuple[int, str] = (0, "")
    ids: tuple[str, ...] = ()
    fix: Fix | None = None
    signature: int = UNKNOWN
    told: float = -inf
    state: State = NOWHERE
    pending: tuple[Pending, ...] = ()
    recent: tuple[Fix, ...] = ()
    before: tuple[State, ...] = ()
    suspects: tuple[Fix, ...] = ()


def attributes_of(crossing: Crossing) -> dict[str, str]:
    """What is told of it beside its kind, its zone and its time."""
    fix = crossing.fix
    said = {
        "since": datetime.fromtimestamp(crossing.since, UTC).isoformat(),
        "zone_version": str(crossing.version),
        "certainty": f"{crossing.certainty:g}",
        "why": crossing.why,
        "longitude": f"{fix.longitude:.7f}",
        "latitude": f"{fix.latitude:.7f}",
    }
    if crossing.start is not None:
        said |= {"from_longitude": f"{crossing.start.longitude:.7f}", "from_latitude": f"{crossing.start.latitude:.7f}"}
    if crossing.other:
        said["other"] = crossing.other
    return said


class _Kept(Struct, frozen=True, omit_defaults=True):
    """A track as it is written down: ids for numbers, and what can be worked out again left out."""

    key: tuple[int, str]
    fix: Fix | None
    told: float | None
    members: dict[str, float]
    stays: dict[str, float]
    pending: list[tuple[str, float | None, int]] = []
    rests: list[tuple[str, float, float, float]] = []
    fast: list[str] = []
    rides: list[tuple[str, Ride]] = []
    nearing: list[tuple[str, float]] = []
    recent: list[Fix] = []
    suspects: list[Fix] = []


def kept(track: Track) -> bytes:
    """As JSON."""
    ids, state = track.ids, track.state
    return msgspec.json.encode(
        _Kept(
            track.key,
            track.fix,
            track.told if track.told > -inf else None,
            {ids[at]: since for at, since in state.members.items()},
            {ids[at]: since for at, since in state.stays.items()},
            [(ids[each.zone], each.since, each.fixes) for each in track.pending],
            [(ids[each.zone], each.longitude, each.latitude, each.since) for each in state.rests],
            [ids[at] for at in state.fast],
            [(ids[each.zone], each) for each in state.rides],
            [(ids[each.zone], each.least_m) for each in state.nearing],
            list(track.recent),
            list(track.suspects),
        )
    )


def read(written: bytes) -> Track:
    """The track again, as one of an older plan: the next step carries it over to the plan in force. Raises
    msgspec.ValidationError or DecodeError."""
    found = msgspec.json.decode(written, type=_Kept)
    named = {*found.members, *found.fast, *found.stays}
    for told in (found.pending, found.rests, found.rides, found.nearing):
        named |= {each[0] for each in told}
    ids = tuple(sorted(named))
    number = {zone_id: at for at, zone_id in enumerate(ids)}
    state = State(
        members={number[zone_id]: since for zone_id, since in found.members.items()},
        stays={number[zone_id]: since for zone_id, since in found.stays.items()},
        rests=tuple(Rest(number[zone_id], *rest) for zone_id, *rest in found.rests),
        fast=tuple(number[zone_id] for zone_id in found.fast),
        rides=tuple(replace(ride, zone=number[zone_id]) for zone_id, ride in found.rides),
        nearing=tuple(Nearing(number[zone_id], least_m) for zone_id, least_m in found.nearing),
        made_at=-inf if found.fix is None else found.fix.at,
    )
    return Track(
        key=RESTORED,
        ids=ids,
        fix=found.fix,
        told=-inf if found.told is None else found.told,
        state=state,
        pending=tuple(Pending(number[zone_id], since, fixes) for zone_id, since, fixes in found.pending),
        recent=tuple(found.recent),
        suspects=tuple(found.suspects),
    )
