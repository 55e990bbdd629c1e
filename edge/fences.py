"""Geofences at the edge: what a device's Positions say about the zones of its site, with or without the hub.

Rules
- The engine is geofences.late: one track a device, on the devices' own times. A time in the future is taken as now.
- What it tells becomes an Event of the device, `zone_` and the kind; attributes say since when, how certain, and why.
- What the disk refuses is taken back: the device sends it again, and it is told then.
- What several devices come to (crowds, moving zones, meetings) is looked at once in a while, by where each was last.
- Tracks outlive a restart: what changed is kept with the rows that it made, and otherwise now and then. A track that
  was kept a while ago tells nothing twice: only who is inside matters for that, and that is kept with the rows.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from devices.observation import DeviceId, Observation, Position
from devices.zone_event import zone_event
from geofences.cells import Cells
from geofences.crowds import Crowds
from geofences.late import taken
from geofences.plan import Plan
from geofences.step import NotAFix, Told, carried, checked, is_due, until
from geofences.together import MovingZone, Proximity, Together
from geofences.track import Crossing, Fix, Track, attributes_of, fix_of, kept, read

KEPT = "track:"
KEPT_TOGETHER, KEPT_CROWDS = "track:=together", "track:=crowds"  # no device's
AT_ONCE_MAX = 500  # tracks, so that nothing waits long for them: they take 10 ms
NO_ZONES = Plan(Cells(()), {}, 0)
EMPTY = Track()

log = structlog.get_logger()
Changed = dict[str, tuple[Track, Track]]  # each track as it was, and as it is now


class Drawn(Struct, frozen=True):
    """What a version of the document "zones" says."""

    plan: Plan
    moving: tuple[MovingZone, ...] = ()
    proximity: tuple[Proximity, ...] = ()


class Fences:
    """`plan`: the zones in force."""

    def __init__(self, plan: Plan = NO_ZONES) -> None:
        self.plan = plan
        self._tracks: dict[str, Track] = {}  # by device
        self._changed: Changed = {}
        self._unkept: set[str] = set()
        self._moved: dict[str, None] = {}  # since it was looked at what several come to, the longest first
        self._crowds = Crowds(plan, {}, {})
        self._compares = False  # whether anything is asked of several
        self._together = Together()
        self._stored: dict[str, str] = {}  # of these two, until there are rules to read them by
        self._unkept_together = False

    def remember(self, stored: Mapping[str, str]) -> None:
        """What `keeps` said before a restart, by name; what cannot be read is forgotten."""
        for name, written in stored.items():
            if name in {KEPT_TOGETHER, KEPT_CROWDS}:
                self._stored[name] = written
                continue
            try:
                self._tracks[name.removeprefix(KEPT)] = read(written.encode())
            except msgspec.MsgspecError as error:
                log.warning("track_unreadable", error=str(error))

    def obey(self, drawn: Drawn, now: datetime) -> list[Observation]:
        """These zones are in force from now on; what that takes back of what several came to."""
        self.plan = drawn.plan
        since: Mapping[str, float] = self._crowds.since
        told = self._together.obey(drawn.moving, drawn.proximity, drawn.plan.version)
        try:
            if written := self._stored.pop(KEPT_CROWDS, ""):
                since = msgspec.json.decode(written, type=dict[str, float])
            fixes = ((device, track.fix) for device, track in self._tracks.items() if track.fix is not None)
            if written := self._stored.pop(KEPT_TOGETHER, ""):
                self._together.remember(written.encode(), fixes)
        except msgspec.MsgspecError as error:
            log.warning("track_unreadable", error=str(error))
        self._crowds = Crowds(drawn.plan, self._tracks, since)
        self._compares = bool(self._crowds) or bool(self._together)
        self._moved = dict.fromkeys(self._tracks) if self._compares else {}
        return [one for device, crossing in told for one in events_of(DeviceId(device), now, (crossing,), "")]

    def tracked(self) -> list[DeviceId]:
        return [DeviceId(device) for device in self._tracks]

    def forget(self, device: DeviceId) -> None:
        """It is enrolled no more: nothing comes due for it, and it begins anew if it comes back."""
        if self._tracks.pop(device, None) is not None:
            self._changed.pop(device, None)
            self._unkept.add(device)
        self._crowds.forget(device)
        self._together.forget(device)

    def seen(self, one: Observation, body: Position) -> list[Observation]:
        """What a Position tells."""
        before = self._tracks.get(one.device, EMPTY)
        try:
            track, told = taken(before, checked(fix_at(one, body)), self.plan)
        except NotAFix:
            return []
        self._put(one.device, before, track)
        if not told:
            return []
        return events_of(one.device, one.received_at, told, f"{one.frame_id}.z" if one.frame_id else "")

    def due(self, now: datetime) -> list[Observation]:
        """What came due without a Position."""
        at, found, left = now.timestamp(), [], AT_ONCE_MAX
        for device, old in list(self._tracks.items()):
            track = old
            if left and old.key != self.plan.key and old.fix is not None:
                left -= 1
                track, told = carried(old, replace(old.fix, at=at), self.plan)
                self._put(device, old, track)
                found += events_of(DeviceId(device), now, told, "")
            if is_due(track, at, self.plan):
                new, told = until(track, at, self.plan)
                self._put(device, track, new)
                found += events_of(DeviceId(device), now, told, "")
        return [*found, *self._come_to(now)]

    def _come_to(self, now: datetime) -> list[Observation]:
        """What several devices come to, by where each was last."""
        told: list[tuple[str, Crossing]] = []
        for device in list(islice(self._moved, AT_ONCE_MAX)):
            del self._moved[device]
            track = self._tracks.get(device)
            if track is None:
                continue
            told += [(device, crossing) for crossing in self._crowds.moved(device, track)]
            if track.fix is not None:
                told += self._together.moved(device, track.fix, now.timestamp())
        told += self._together.due(now.timestamp())
        self._unkept_together |= bool(told)
        return [one for device, crossing in told for one in events_of(DeviceId(device), now, (crossing,), "")]

    def take_changed(self) -> Changed:
        """The tracks that changed since last asked."""
        changed, self._changed = self._changed, {}
        return changed

    def take_back(self, changed: Changed) -> None:
        """What these told was not stored. A track that went on since keeps what it has."""
        for device, (before, after) in changed.items():
            if self._tracks.get(device) is after:
                self._tracks[device] = before

    def keeps(self, changed: Changed | None = None) -> dict[str, str]:
        """To be stored, "" of one that is forgotten: of these tracks those whose state changed; without them all that
        are not kept as they are."""
        if changed is None:
            wanted, self._unkept = self._unkept, set()
        else:
            wanted = {device for device, (before, after) in changed.items() if after.state is not before.state}
            self._unkept -= wanted
        found = {KEPT + device: self._written(device) for device in wanted}
        if self._unkept_together:
            self._unkept_together = False
            found[KEPT_CROWDS] = msgspec.json.encode(self._crowds.since).decode()
            found[KEPT_TOGETHER] = self._together.kept().decode()
        return found

    def _written(self, device: str) -> str:
        track = self._tracks.get(device)
        return kept(track).decode() if track is not None else ""

    def _put(self, device: str, before: Track, track: Track) -> None:
        self._tracks[device] = track
        self._unkept.add(device)
        if self._compares:
            self._moved[device] = None
        self._changed[device] = (self._changed.get(device, (before, track))[0], track)


def fix_at(one: Observation, body: Position) -> Fix:
    """On the device's own time; one in the future is taken as now."""
    return fix_of(min(one.observed_at, one.received_at).timestamp(), body)


def events_of(device: DeviceId, received_at: datetime, told: Told, frame_id: str) -> list[Observation]:
    return [
        zone_event(device, each, attributes_of(each), received_at, frame_id=f"{frame_id}{number}" if frame_id else "")
        for number, each in enumerate(told)
    ]
