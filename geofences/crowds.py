"""How many are inside: too_many and eased, from who entered and who left. Pure.

Rules
- A track counts from entered to exited; one that is lost inside counts on: it may be there still.
- The limit is `count_max`, or what `density_max_per_km2` makes of the zone's area, whichever is less.
- `too_many` is told when the limit is passed, `eased` when no more than `eased_at` are left, and in between nothing:
  the two alternate. They are told in the order in which fixes come; a late one changes the count when it comes.
"""

from collections.abc import Iterable, Mapping
from math import floor

from geofences.plan import Plan
from geofences.projection import ring_area_m2
from geofences.rules import Rules
from geofences.track import Crossing, Track
from geofences.zones import Zone

EASED = 0.9


class Crowds:
    """Of the zones of one plan. `since`: which have too many, and since when; it survives a restart."""

    def __init__(self, plan: Plan, tracks: Mapping[str, Track], since: Mapping[str, float] = {}) -> None:
        self._plan = plan
        self._limits = {
            plan.ids[at]: limit
            for at, rules in enumerate(plan.rules)
            if (limit := _limit(rules, plan.cells.zones[at])) is not None
        }
        self._inside: dict[str, set[str]] = {zone: set() for zone in self._limits}
        self.since = {zone: at for zone, at in since.items() if zone in self._limits}
        for who, track in tracks.items() if self._limits else ():
            for at in track.state.stays:
                if track.ids[at] in self._inside:
                    self._inside[track.ids[at]].add(who)

    def count(self, zone: str) -> int:
        return len(self._inside.get(zone, ()))

    def seen(self, who: str, told: Iterable[Crossing]) -> list[Crossing]:
        """What it adds that a track has entered or left."""
        if not self._limits:
            return []
        found: list[Crossing] = []
        for crossing in told:
            inside = self._inside.get(crossing.zone)
            if inside is None or crossing.kind not in {"entered", "exited", "left_corridor"}:
                continue
            if crossing.kind == "entered":
                inside.add(who)
            else:
                inside.discard(who)
            found += self._changed(crossing)
        return found

    def forget(self, who: str) -> None:
        """It is tracked no more. What that eases is told with the next one who comes or goes."""
        for inside in self._inside.values():
            inside.discard(who)

    def _changed(self, cause: Crossing) -> list[Crossing]:
        zone, count, (most, least) = cause.zone, self.count(cause.zone), self._limits[cause.zone]
        since = self.since.get(zone)
        if since is None and count > most:
            self.since[zone] = cause.at
            return [self._told("too_many", cause, cause.at, f"{count} inside, {most} allowed")]
        if since is not None and count <= least:
            del self.since[zone]
            return [self._told("eased", cause, since, f"{count} inside")]
        return []

    def _told(self, kind: str, cause: Crossing, since: float, why: str) -> Crossing:
        return Crossing(kind, cause.zone, self._plan.version, cause.at, since, cause.fix, None, 1.0, why)


def _limit(rules: Rules, zone: Zone) -> tuple[int, int] | None:
    """How many may be inside, and at how many it is eased."""
    limits = [] if rules.count_max is None else [rules.count_max]
    if rules.density_max_per_km2 is not None:
        limits.append(floor(rules.density_max_per_km2 * _area_m2(zone) / 1e6))
    if not limits:
        return None
    most = min(limits)
    return most, min(floor(most * EASED) if rules.eased_at is None else rules.eased_at, most)


def _area_m2(zone: Zone) -> float:
    total = 0.0
    for outer, *holes in zone.polygons:
        total += ring_area_m2(list(zip(*outer, strict=True)))
        total -= sum(ring_area_m2(list(zip(*hole, strict=True))) for hole in holes)
    return total
