"""How many are inside: too_many and eased, from the tracks of all who are tracked. Pure.

Rules
- Whoever has entered and not left is inside; whoever is lost inside counts on: they may be there still.
- The limit is `count_max`, or what `density_max_per_km2` makes of the zone's area, whichever is less.
- `too_many` is told when the limit is passed, `eased` when no more than `eased_at` are left, and in between nothing:
  the two alternate.
"""

from collections.abc import Mapping
from math import floor

from geofences.plan import Plan
from geofences.projection import ring_area_m2
from geofences.rules import Rules
from geofences.track import Crossing, Fix, Track
from geofences.zones import Zone

EASED = 0.9


class Crowds:
    """Of the zones of one plan. `since`: which have too many, and since when; it survives a restart."""

    def __init__(self, plan: Plan, tracks: Mapping[str, Track], since: Mapping[str, float]) -> None:
        self._plan = plan
        self._limits = {
            plan.ids[at]: limit
            for at, rules in enumerate(plan.rules)
            if (limit := _limit(rules, plan.cells.zones[at])) is not None
        }
        self._inside: dict[str, set[str]] = {zone: set() for zone in self._limits}
        self.since = {zone: at for zone, at in since.items() if zone in self._limits}
        for who, track in tracks.items():
            self._count(who, track)

    def __bool__(self) -> bool:
        """Whether any zone has a limit."""
        return bool(self._limits)

    def count(self, zone: str) -> int:
        return len(self._inside.get(zone, ()))

    def moved(self, who: str, track: Track) -> list[Crossing]:
        """What it comes to that a track is as it is now."""
        changed = self._count(who, track)
        fix = track.fix
        return [each for zone in changed for each in self._looked_at(zone, fix)] if fix is not None else []

    def forget(self, who: str) -> None:
        """It is tracked no more. What that eases is told with the next one who comes or goes."""
        for inside in self._inside.values():
            inside.discard(who)

    def _count(self, who: str, track: Track) -> list[str]:
        """The zones whose count it changes."""
        if not self._limits:
            return []
        there = {track.ids[at] for at in track.state.stays}
        changed = [zone for zone, inside in self._inside.items() if (zone in there) != (who in inside)]
        for zone in changed:
            self._inside[zone] ^= {who}
        return changed

    def _looked_at(self, zone: str, fix: Fix) -> list[Crossing]:
        count, (most, least) = self.count(zone), self._limits[zone]
        since = self.since.get(zone)
        if since is None and count > most:
            self.since[zone] = fix.at
            return [self._told("too_many", zone, fix, fix.at, f"{count} inside, {most} allowed")]
        if since is not None and count <= least:
            del self.since[zone]
            return [self._told("eased", zone, fix, since, f"{count} inside")]
        return []

    def _told(self, kind: str, zone: str, fix: Fix, since: float, why: str) -> Crossing:
        return Crossing(kind, zone, self._plan.version, fix.at, since, fix, None, 1.0, why)


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
