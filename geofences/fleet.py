"""Many tracks at once: geofences.late.taken, by numpy, for hubs and replays. It says the same in the same order.

How
- Most fixes show nothing new: their track is plain, nothing is due, no step is long or late or a jump. All that is left
  is to see which zones' shapes hold them, and what was waited for; that is done for a whole batch at once.
- Where somebody enters or exits, the state is made by the same function as for one track (geofences.stays.settled).
- Every other fix is taken alone: its track is put together (geofences.track), stepped, and laid back into the columns.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np

from geofences.batch import Batch, Flags, Floats, Ints, Points
from geofences.cells import Cells
from geofences.fleet_columns import Fixes, Rows, Waits, numbers_of
from geofences.fleet_edges import Boundaries
from geofences.late import taken
from geofences.plan import Plan
from geofences.reach import NOTHING
from geofences.stays import settled, watched
from geofences.step import BEFORE_MAX, DEGREES_PER_METRE, JUMP_DEGREES_S, is_due, run, until
from geofences.track import NOWHERE, Crossing, Fix, Pending, State, Track

NEARLY = 0.999  # of a length: surely shorter than it, however it is rounded
NEVER = Fix(-np.inf, 0.0, 0.0)
DWELLS = ("dwell_in_s", "dwell_out_s")

Told: TypeAlias = list[tuple[int, Crossing]]


class Fleet:
    """Tracks have numbers: `add` gives the next."""

    def __init__(self, plan: Plan) -> None:
        self._rows = Rows()
        self._waits = Waits()
        self._states: list[State] = []
        self._before: list[tuple[State, ...]] = []
        self._asleep: dict[int, Track] = {}  # those without a fix under this plan
        self._suspects: dict[int, tuple[Fix, ...]] = {}
        self._touched: set[int] = set()  # whose state this round has changed
        self._cells: Cells | None = None
        self._obey(plan)

    def add(self, track: Track | None = None) -> int:
        """A track not heard of yet, or one that is known from elsewhere."""
        row = self._rows.add()
        self._states.append(NOWHERE)
        self._before.append(())
        if track is None:
            self._put_nowhere(row)
        else:
            self._asleep[row] = track
        return row

    def obey(self, plan: Plan) -> None:
        """From the next fixes on."""
        for row in range(self._rows.count):
            if not self._rows.new[row]:
                self._asleep[row] = self.track(row)
        self._rows.known[:] = False
        self._rows.waits[:] = False
        self._waits = Waits()
        self._obey(plan)
        for row in np.flatnonzero(self._rows.new).tolist():
            self._put_nowhere(row)

    def take(self, rows: Ints, fixes: Fixes) -> Told:
        """Fixes of these tracks, in the order in which they came; what is told, with the place of its fix in the
        batch. Fixes must be such as geofences.step.checked lets pass."""
        points = self._batch.points(fixes.longitude, fixes.latitude)
        told: Told = []
        for chosen in _rounds(rows):
            if len(chosen) == len(rows):
                told += self._round(chosen, rows, fixes, points)
            else:
                told += self._round(chosen, rows[chosen], fixes.of(chosen), points.of(chosen))
        told.sort(key=lambda each: each[0])  # stable: what one fix tells stays in its order
        return told

    def until(self, now: float) -> list[tuple[int, Crossing]]:
        """What came due without a fix, with the number of its track."""
        rows, count = self._rows, self._rows.count
        due = np.minimum(rows.due[:count], rows.last.at[:count] + self._plan.lost_s) <= now
        told = []
        for row in np.flatnonzero(due & rows.known[:count]).tolist():
            track = self.track(row)
            if is_due(track, now, self._plan):
                track, more = until(track, now, self._plan)
                self._put(row, track)
                told += [(row, crossing) for crossing in more]
        return told

    def track(self, row: int) -> Track:
        """As geofences.step knows it."""
        if row in self._asleep:
            return self._asleep[row]
        if self._rows.new[row]:
            return Track()
        rows = self._rows
        return Track(
            key=self._plan.key,
            ids=self._plan.ids,
            fix=rows.last.fix(row),
            signature=int(rows.points.signature[row]),
            told=float(rows.told[row]),
            state=self._states[row],
            pending=tuple(self._pending(row)),
            recent=rows.recent(row),
            before=self._before[row],
            suspects=self._suspects.get(row, ()),
        )

    def _obey(self, plan: Plan) -> None:
        if self._cells is not plan.cells:  # another posture has the same
            self._cells, self._batch, self._boundaries = plan.cells, Batch(plan.cells), Boundaries(plan)
        self._plan = plan
        self._reach = Batch(plan.reach.cells) if plan.reach.cells is not None else None
        self._watched = plan.resting | plan.riding
        rules = plan.rules
        self._enter_m, self._leave_m = np.array(plan.enter_m), np.array(plan.leave_m)
        self._buffer_m = np.array([each.exit_buffer_m for each in rules])
        self._dwell_in, self._dwell_out = (np.array([getattr(each, name) for each in rules]) for name in DWELLS)
        self._fixes_min = np.array([each.fixes_min for each in rules])

    def _round(self, at: Ints, rows: Ints, fixes: Fixes, points: Points) -> Told:
        """Fixes of tracks that are all different."""
        told: Told = []
        self._touched.clear()
        is_plain, is_due = self._looked_at(rows, fixes)
        for index in np.flatnonzero(is_due).tolist():
            found = self._run(int(rows[index]), float(fixes.at[index]))
            is_plain[index] = found is not None
            told += [(int(at[index]), crossing) for crossing in found or ()]
        for index in np.flatnonzero(~is_plain).tolist():
            told += [(int(at[index]), crossing) for crossing in self._alone(int(rows[index]), fixes.fix(index))]
        if not is_plain.all():
            at, rows, fixes, points = at[is_plain], rows[is_plain], fixes.of(is_plain), points.of(is_plain)
        changed = np.flatnonzero((points.signature != self._rows.points.signature[rows]) | self._rows.waits[rows])
        if len(changed):
            told += self._settled(at[changed], rows[changed], fixes.of(changed), points.of(changed))
        self._brought_forward(rows, fixes, points)
        return told

    def _looked_at(self, rows: Ints, fixes: Fixes) -> tuple[Flags, Flags]:
        """Which fixes need not be taken alone, and of which of these something has come due since the last one."""
        here, last, plan = self._rows, self._rows.last, self._plan
        elapsed = fixes.at - last.at[rows]
        far = np.maximum(np.abs(fixes.longitude - last.longitude[rows]), np.abs(fixes.latitude - last.latitude[rows]))
        is_plain = here.known[rows] & here.plain[rows] & (elapsed > 0) & (elapsed < plan.lost_s)
        is_plain &= far <= elapsed * JUMP_DEGREES_S
        if self._reach is not None:
            is_plain &= self._reach.points(fixes.longitude, fixes.latitude).signature == NOTHING
        steps = np.flatnonzero(is_plain & (far > plan.crossed_from_m * DEGREES_PER_METRE))
        if len(steps):
            step_m = self._boundaries.steps_m(last.of(rows[steps]), fixes.of(steps))
            is_plain[steps] = step_m < plan.crossed_from_m * NEARLY
        return is_plain | here.new[rows], is_plain & (fixes.at >= here.due[rows])

    def _run(self, row: int, now: float) -> list[Crossing] | None:
        """As geofences.step; None when what came due makes the track one that is taken alone."""
        here, old = self._rows, self._states[row]
        state, told = run(old, float(here.told[row]), here.last.fix(row), now, self._plan)
        if not self._is_plain(state):
            return None
        self._changed(row, state)
        here.told[row] = now
        return told

    def _changed(self, row: int, state: State) -> None:
        old = self._states[row]
        if state is old:
            return
        if row not in self._touched:
            self._touched.add(row)
            self._before[row] = (*self._before[row][1 - BEFORE_MAX :], old)
        self._states[row], self._rows.due[row], self._rows.plain[row] = state, state.due, self._is_plain(state)

    def _is_plain(self, state: State) -> bool:
        """Nor is it in a zone that came into force since its last fix: there it is to be watched from the next on."""
        return state.is_plain and self._watched.isdisjoint(state.stays)

    def _brought_forward(self, rows: Ints, fixes: Fixes, points: Points) -> None:
        here = self._rows
        for old, new in zip((*here.last, *here.points), (*fixes, *points), strict=True):
            old[rows] = new
        here.told[rows], here.known[rows], here.new[rows] = fixes.at, True, False
        here.push(rows, fixes)
        if self._suspects:
            for row in rows.tolist():
                self._suspects.pop(row, None)

    def _alone(self, row: int, fix: Fix) -> Iterable[Crossing]:
        track, told = taken(self.track(row), fix, self._plan)
        self._put(row, track)
        return told

    def _put(self, row: int, track: Track) -> None:
        """Laid into the columns."""
        here, fix, state = self._rows, track.fix, track.state
        self._asleep.pop(row, None)
        if fix is None or track.key != self._plan.key:
            self._asleep[row] = track
            return
        signature, *place = self._plan.cells.place(fix.longitude, fix.latitude)
        here.put(row, (*numbers_of(fix), *place, signature, False))
        here.new[row] = False
        here.told[row], here.due[row] = track.told, state.due
        here.known[row], here.plain[row] = True, self._is_plain(state)
        here.set_recent(row, track.recent)
        self._states[row], self._before[row] = state, track.before
        if track.suspects:
            self._suspects[row] = track.suspects
        else:
            self._suspects.pop(row, None)
        if here.waits[row]:
            self._waits.taken(self._only(row))
        here.waits[row] = bool(track.pending)
        if track.pending:
            self._wait(row, track.pending, state)

    def _put_nowhere(self, row: int) -> None:
        """A track without a fix is in the corner of the widest grid, where nothing is."""
        here = self._rows
        corner = (0, self._plan.cells.build.slots[0], 0.0, 0.0, 0.0, 0.0, 0, False)  # as geofences.batch.Points
        here.put(row, (*numbers_of(NEVER), *corner))
        here.new[row], here.plain[row], here.due[row], here.told[row] = True, True, np.inf, -np.inf

    def _only(self, rows: int | Ints) -> Flags:
        found = np.zeros(self._rows.count, np.bool_)
        found[rows] = True
        return found

    def _wait(self, row: int, pending: tuple[Pending, ...], state: State) -> None:
        self._waits.add(
            np.full(len(pending), row),
            np.array([each.zone for each in pending]),
            np.array([each.zone not in state.members for each in pending]),
            np.array([np.nan if each.since is None else each.since for each in pending]),
            np.array([each.fixes for each in pending]),
        )

    def _pending(self, row: int) -> Iterator[Pending]:
        if not self._rows.waits[row]:
            return
        waits = self._waits
        for at in sorted(np.flatnonzero(waits.track == row).tolist(), key=lambda at: int(waits.zone[at])):
            since = float(waits.since[at])
            yield Pending(int(waits.zone[at]), None if np.isnan(since) else since, int(waits.fixes[at]))

    def _settled(self, at: Ints, rows: Ints, fixes: Fixes, points: Points) -> Told:
        """As geofences.step: what is waited for, and whose waiting is over."""
        number, waits = self._merged(rows, points)
        sure, metres = self._sure(number, waits, fixes, points)
        waits.since = np.where(np.isnan(waits.since), fixes.at[number], waits.since)
        waits.fixes = waits.fixes + 1
        dwell = np.where(waits.enters, self._dwell_in[waits.zone], self._dwell_out[waits.zone])
        long = (fixes.at[number] - waits.since >= dwell) & (waits.fixes >= self._fixes_min[waits.zone])
        waits.since[~sure], waits.fixes[~sure] = np.nan, 0
        over = sure & long
        kept = ~over
        self._waits.add(waits.track[kept], waits.zone[kept], waits.enters[kept], waits.since[kept], waits.fixes[kept])
        self._rows.waits[rows] = False
        self._rows.waits[waits.track[kept]] = True
        return self._crossed(at, rows, fixes, (number[over], waits.zone[over], metres[over]))

    def _merged(self, rows: Ints, points: Points) -> tuple[Ints, Waits]:
        """What these tracks wait for now, by track and then zone; and the place of its track in `rows`."""
        is_changed = np.flatnonzero(points.signature != self._rows.points.signature[rows])
        changes = self._batch.between(self._rows.points.of(rows[is_changed]), points.of(is_changed))
        place = np.zeros(self._rows.count, np.int64)
        place[rows] = np.arange(len(rows))
        old = self._waits.taken(self._only(rows))
        count = len(changes.point)
        number = np.concatenate([place[old.track], is_changed[changes.point]])
        zone = np.concatenate([old.zone, changes.zone])
        found = Waits()
        enters = np.concatenate([old.enters, changes.gain > 0])
        since = np.concatenate([old.since, np.full(count, np.nan)])
        fixes = np.concatenate([old.fixes, np.zeros(count, np.int64)])
        order = np.lexsort((zone, number))
        number, zone = number[order], zone[order]
        # A zone that was waited for and is changed again is as it was: neither is left.
        twice = (number[1:] == number[:-1]) & (zone[1:] == zone[:-1])
        once = np.ones(len(order), np.bool_)
        once[1:][twice] = once[:-1][twice] = False
        order, number = order[once], number[once]
        found.add(rows[number], zone[once], enters[order], since[order], fixes[order])
        return number, found

    def _sure(self, number: Ints, waits: Waits, fixes: Fixes, points: Points) -> tuple[Flags, Floats]:
        longitude = points.longitude[number]
        if self._plan.cells.east_of_seam:
            longitude = np.where(longitude < 0, longitude + 360.0, longitude)
        metres = self._boundaries.metres(longitude, points.latitude[number], waits.zone)
        accuracy_m, zone = fixes.accuracy_m[number], waits.zone
        left = np.maximum(accuracy_m * self._leave_m[zone], self._buffer_m[zone])
        least = np.where(waits.enters, accuracy_m * self._enter_m[zone], left)
        return ~(metres < least), metres

    def _crossed(self, at: Ints, rows: Ints, fixes: Fixes, over: tuple[Ints, Ints, Floats]) -> Told:
        """Those whose waiting is over enter or exit; `over`: place of the track, zone, metres."""
        told: Told = []
        numbers, zones, metres = (column.tolist() for column in over)
        of, places = rows[over[0]].tolist(), at[over[0]].tolist()
        now, last = fixes.of(over[0]).fixes(), self._rows.last.of(rows[over[0]]).fixes()
        start = 0
        while start < len(numbers):
            number, end = numbers[start], start + 1
            while end < len(numbers) and numbers[end] == number:
                end += 1
            changed = dict(zip(zones[start:end], metres[start:end], strict=True))
            told += [
                (places[start], crossing) for crossing in self._entered(of[start], now[start], last[start], changed)
            ]
            start = end
        return told

    def _entered(self, row: int, fix: Fix, last: Fix | None, metres: dict[int, float]) -> list[Crossing]:
        last = None if self._rows.new[row] else last
        state, told = settled(self._states[row], metres, fix, last, self._plan)
        if not self._is_plain(state):
            state, more = watched(state, fix, last, self._plan)
            told += more
        self._changed(row, state)
        return told


def _rounds(rows: Ints) -> Iterator[Ints]:
    """The places of each track's first fix, then of its second …"""
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], rows[order][1:] != rows[order][:-1]])) if len(rows) else order
    if len(starts) == len(rows):
        yield np.arange(len(rows))
        return
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    for number in range(int(rank.max()) + 1):
        yield np.flatnonzero(rank == number)
