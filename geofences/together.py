"""What two tracked things are to each other: moving zones round a carrier, and who meets whom. Pure: fixes and times
in, crossings out.

Rules
- Near is within `near_m`; away is beyond `far_m`, or beyond `near_m` by the accuracies of both fixes when that is more:
  in between nothing changes, so jitter tells nothing, and near and away alternate.
- Near for `dwell_s` before it is told. Whoever is not heard for `heard_s` is near nobody.
- Each thing is where its newest fix was; a fix that is older than that changes nothing.
- Whatever the number of things, a fix is compared with those in the cells round it and with those it is near to.
- Of a pair that two sets hold both ways round only one is told: the one whose first id sorts first.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import floor
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from geofences.cells import turned
from geofences.metres import LATITUDE_MAX, Scale, distance_m, east_m, north_m, scale_at
from geofences.track import Crossing, Fix

PAIRS_MAX = 20_000  # that are near each other at once; one more is not told
RULES_MAX = 100
NAMED_MAX = 1_000

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Who = Annotated[str, Meta(min_length=1, max_length=129)]
Radius = Annotated[float, Meta(ge=1, le=10_000)]
Buffer = Annotated[float, Meta(ge=0, le=10_000)]
Dwell = Annotated[float, Meta(ge=0, le=86_400)]
Heard = Annotated[float, Meta(ge=5, le=86_400)]
Set = Annotated[tuple[Who, ...], Meta(min_length=1, max_length=NAMED_MAX)]


class MovingZone(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A circle round each of the `carriers`; of `who` comes into it `entered` and `exited` are told. Sets are device
    ids, "family:*" or "*"."""

    id: Name
    carriers: Set
    radius_m: Radius
    who: Set = ("*",)
    exit_buffer_m: Buffer = 10.0
    dwell_s: Dwell = 0.0
    heard_s: Heard = 120.0


class Proximity(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of `one` and one of `other` within `metres`: `met`, until they are `apart_m` farther: `separated`."""

    id: Name
    one: Set
    other: Set
    metres: Radius
    apart_m: Buffer = 10.0
    dwell_s: Dwell = 0.0
    heard_s: Heard = 120.0


class Beside(Struct, frozen=True):
    """What a file of zones may say beside them."""

    moving_zones: Annotated[tuple[MovingZone, ...], Meta(max_length=RULES_MAX)] = ()
    proximity: Annotated[tuple[Proximity, ...], Meta(max_length=RULES_MAX)] = ()


class Pair(Struct, frozen=True, array_like=True):
    """Two who are near each other by a rule since `since`; `told`: that it was."""

    rule: str
    one: str
    other: str
    since: float
    told: bool = False

    @property
    def key(self) -> "Key":
        return self.rule, self.one, self.other


Key = tuple[str, str, str]
Told = list[tuple[str, Crossing]]  # whose, and what


class _Rule(NamedTuple):
    id: str
    one: frozenset[str]
    other: frozenset[str]
    near_m: float
    far_m: float
    dwell_s: float
    heard_s: float
    kinds: tuple[str, str]


class Together:
    """By the rules of one version of the site's zones."""

    def __init__(
        self, moving: Iterable[MovingZone] = (), proximity: Iterable[Proximity] = (), version: int = 0
    ) -> None:
        self._rules = {each.id: each for each in (*map(_of_zone, moving), *map(_of_proximity, proximity))}
        self._version = version
        self._fixes: dict[str, Fix] = {}
        self._pairs: dict[Key, Pair] = {}
        self._of: dict[str, set[Key]] = {}  # the pairs of each thing
        self._grid = _Grid(max((each.near_m for each in self._rules.values()), default=1.0))
        self.refused = 0  # pairs beyond PAIRS_MAX

    def __bool__(self) -> bool:
        return bool(self._rules)

    def obey(self, moving: Iterable[MovingZone], proximity: Iterable[Proximity], version: int) -> Told:
        """Other rules from now on; what a withdrawn one told is taken back."""
        new = Together(moving, proximity, version)
        told: Told = []
        for pair in list(self._pairs.values()):
            if pair.rule in new._rules or not pair.told:
                continue
            at = max(self._fixes[each].at for each in (pair.one, pair.other) if each in self._fixes)
            told.append(self._crossing(pair, 1, at, pair.since, "rule withdrawn"))
        for pair in self._pairs.values():
            if pair.rule in new._rules:
                new._put(pair)
        for who, fix in self._fixes.items():
            new._placed(who, fix)
        self.__dict__.update(new.__dict__)
        return told

    def moved(self, who: str, fix: Fix, now: float | None = None) -> Told:
        """A fix of one of them; `now`, when it is not news."""
        last = self._fixes.get(who)
        if not self._rules or (last is not None and fix.at <= last.at):
            return []
        self._placed(who, fix)
        told: Told = []
        candidates = set(self._grid.round(fix)) - {who}
        for rule in self._rules.values():
            for key in sorted(self._keys(rule, who, candidates)):
                told += self._looked_at(rule, key, fix.at if now is None else now)
        return told

    def due(self, now: float) -> Told:
        """What came due without a fix: a dwell that is over, and whoever was not heard for too long."""
        told: Told = []
        for pair in sorted(self._pairs.values(), key=lambda each: each.key):
            told += self._looked_at(self._rules[pair.rule], pair.key, now)
        return told

    def forget(self, who: str) -> Told:
        """It is tracked no more."""
        told = []
        for key in sorted(self._of.get(who, ())):
            pair = self._pairs[key]
            if pair.told:
                told.append(self._crossing(pair, 1, self._newest(pair), pair.since, "no longer tracked"))
            self._drop(key)
        if self._fixes.pop(who, None) is not None:
            self._grid.remove(who)
        return told

    def kept(self) -> bytes:
        """Who is near whom, as JSON."""
        return msgspec.json.encode(sorted(self._pairs.values(), key=lambda each: each.key))

    def remember(self, written: bytes, fixes: Iterable[tuple[str, Fix]]) -> None:
        """After a restart; a pair of which somebody has no fix is forgotten. Raises msgspec.MsgspecError."""
        for who, fix in fixes:
            self._placed(who, fix)
        for pair in msgspec.json.decode(written, type=list[Pair]):
            if pair.rule in self._rules and pair.one in self._fixes and pair.other in self._fixes:
                self._put(pair)

    def _keys(self, rule: _Rule, who: str, candidates: Iterable[str]) -> set[Key]:
        """The pairs of `who` that a rule may be about now."""
        found = {key for key in self._of.get(who, ()) if key[0] == rule.id}
        is_one, is_other = _is_of(who, rule.one), _is_of(who, rule.other)
        for each in candidates:
            pairs = [(who, each)] if is_one and _is_of(each, rule.other) else []
            pairs += [(each, who)] if is_other and _is_of(each, rule.one) else []
            if pairs:
                found.add((rule.id, *min(pairs)))
        return found

    def _looked_at(self, rule: _Rule, key: Key, now: float) -> Told:
        _, one, other = key
        pair = self._pairs.get(key)
        a, b = self._fixes[one], self._fixes[other]
        silent = max(now - a.at, now - b.at) >= rule.heard_s
        metres = distance_m(_scale_near(round(a.latitude)), a.place, b.place)
        if pair is None:
            if silent or metres > rule.near_m or not self._has_room():
                return []
            pair = self._put(Pair(*key, max(a.at, b.at)))
        elif silent or metres > max(rule.far_m, rule.near_m + a.accuracy_m + b.accuracy_m):
            self._drop(key)
            at = min(a.at, b.at) + rule.heard_s if silent else max(a.at, b.at)
            why = f"not heard for {rule.heard_s:g} s" if silent else f"{metres:.0f} m apart"
            return [self._crossing(pair, 1, at, pair.since, why)] if pair.told else []
        if pair.told or now - pair.since < rule.dwell_s:
            return []
        self._put(Pair(*key, pair.since, True))
        return [self._crossing(pair, 0, pair.since + rule.dwell_s, pair.since, f"{metres:.0f} m apart")]

    def _crossing(self, pair: Pair, which: int, at: float, since: float, why: str) -> tuple[str, Crossing]:
        kind = self._rules[pair.rule].kinds[which]
        fix = self._fixes[pair.one]
        return pair.one, Crossing(kind, pair.rule, self._version, at, since, fix, None, 1.0, why, pair.other)

    def _newest(self, pair: Pair) -> float:
        return max(self._fixes[each].at for each in (pair.one, pair.other))

    def _placed(self, who: str, fix: Fix) -> None:
        self._fixes[who] = fix
        self._grid.put(who, fix)

    def _has_room(self) -> bool:
        if len(self._pairs) < PAIRS_MAX:
            return True
        self.refused += 1
        return False

    def _put(self, pair: Pair) -> Pair:
        self._pairs[pair.key] = pair
        for who in (pair.one, pair.other):
            self._of.setdefault(who, set()).add(pair.key)
        return pair

    def _drop(self, key: Key) -> None:
        del self._pairs[key]
        for who in key[1:]:
            self._of[who].discard(key)


class _Grid:
    """Cells at least `metres` wide: whoever is so near is in a cell beside. Rows of one latitude, each with columns of
    its own width."""

    def __init__(self, metres: float) -> None:
        self._metres = metres
        self._row = metres / north_m(0.0)  # a degree of latitude is shortest at the equator
        self._cells: dict[tuple[int, int], set[str]] = {}
        self._at: dict[str, tuple[int, int]] = {}

    def put(self, who: str, fix: Fix) -> None:
        row = floor(fix.latitude / self._row)
        cell = row, self._column(row, turned(fix.longitude))
        if self._at.get(who) != cell:
            self.remove(who)
            self._at[who] = cell
            self._cells.setdefault(cell, set()).add(who)

    def remove(self, who: str) -> None:
        cell = self._at.pop(who, None)
        if cell is not None:
            self._cells[cell].discard(who)
            if not self._cells[cell]:
                del self._cells[cell]

    def round(self, fix: Fix) -> Iterator[str]:
        middle = floor(fix.latitude / self._row)
        for row in (middle - 1, middle, middle + 1):
            last = self._columns(row) - 1
            column = self._column(row, turned(fix.longitude))
            for beside in {(column + step) % (last + 1) for step in (-1, 0, 1)}:
                yield from self._cells.get((row, beside), ())

    def _column(self, row: int, longitude: float) -> int:
        columns = self._columns(row)
        return min(floor((longitude + 180.0) / 360.0 * columns), columns - 1)

    def _columns(self, row: int) -> int:
        """As many as are wide enough where the row is nearest to a pole, beside this row and its neighbours."""
        steepest = min(max(abs(row - 1), abs(row + 2)) * self._row, LATITUDE_MAX)
        return max(int(360.0 * east_m(steepest) / self._metres), 1)


@lru_cache(maxsize=181)
def _scale_near(latitude: int) -> Scale:
    return scale_at(latitude)


def _is_of(who: str, named: frozenset[str]) -> bool:
    return who in named or "*" in named or f"{who.partition(':')[0]}:*" in named


def _of_zone(zone: MovingZone) -> _Rule:
    far_m = zone.radius_m + zone.exit_buffer_m
    sets = frozenset(zone.who), frozenset(zone.carriers)
    return _Rule(zone.id, *sets, zone.radius_m, far_m, zone.dwell_s, zone.heard_s, ("entered", "exited"))


def _of_proximity(rule: Proximity) -> _Rule:
    far_m = rule.metres + rule.apart_m
    sets = frozenset(rule.one), frozenset(rule.other)
    return _Rule(rule.id, *sets, rule.metres, far_m, rule.dwell_s, rule.heard_s, ("met", "separated"))


def twice(moving: Sequence[MovingZone], proximity: Sequence[Proximity], zones: Iterable[str]) -> str:
    """A name that is given to two of them; "" when none is."""
    seen = set(zones)
    for name in [*(each.id for each in moving), *(each.id for each in proximity)]:
        if name in seen:
            return name
        seen.add(name)
    return ""
