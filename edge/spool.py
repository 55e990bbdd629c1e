"""The spool as the event loop sees it: append and be told when it is durable. A thread of its own does the disk.

Rules
- Group commit: urgent rows go to the disk at once; routine rows wait at most ROUTINE_WAIT_S for company. What arrives
  while the disk is busy joins the next transaction.
- `done(None)` is called in the loop after the commit, `done(error)` when the disk did not take the rows: they were not
  accepted, and the device must not be answered.
- The loop never waits for the disk. Whoever brings rows must stop when too many of its own are not durable yet.
- What the hub has is forgotten even when the disk takes no new rows: that is what makes room.
- Waiting for the disk at the end has a limit: one that hangs must not keep the process from ending.
- A failing disk is logged once and its recovery once; so is a file set aside because it could not be read.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

import structlog
from msgspec import Struct, field

from devices.envelope import LANES, Lane, encode, lane_of
from devices.observation import Observation
from edge import clock
from edge.reports import Reports
from edge.spool_file import Rows, SpoolFile
from edge.spool_sql import UNREADABLE, LaneState, SpoolError
from edge.spool_tables import Fetched
from edge.supervisor import outcome_of

ROUTINE_WAIT_S = 0.02
GROUP_ROWS_MAX = 1_000
SETTLE_S_MAX = 10.0
CLOSE_S_MAX = 10.0

Done = Callable[[SpoolError | None], None]
Entry = tuple[Lane, str, str, bytes]  # lane, device, frame id, encoded observation

log = structlog.get_logger()


class _Group(Struct):
    """What goes to the disk together; `keeps` are small values that outlive a restart, durable with these rows."""

    entries: list[Entry] = field(default_factory=list)
    dones: list[Done] = field(default_factory=list)
    keeps: dict[str, str] = field(default_factory=dict)
    lane: Lane = "routine"  # the more urgent of what is in it


class _Forget(Struct):
    """`epoch`: of the file that the hub spoke of; its successor has other rows under the same numbers."""

    epoch: str
    lane: Lane
    seq: int


class _Anew(Struct):
    """`epoch`: of the file that is older than what the hub has of it."""

    epoch: str


class _Fetch(Struct):
    lane: Lane
    after: int
    rows_max: int
    bytes_max: int
    answer: "asyncio.Future[Fetched]"


_Job = _Group | _Forget | _Anew | _Fetch


class Spool:
    def __init__(self, file: SpoolFile, reports: Reports, stored: Callable[[], None]) -> None:
        """`file` is open; `stored` is called in the loop after each commit, and when the epoch has changed."""
        self._file = file
        self._reports = reports
        self._stored = stored
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._group = _Group()
        self._timer: asyncio.TimerHandle | None = None
        self._forgets: dict[tuple[str, Lane], int] = {}
        self.stopped: asyncio.Future[None] = self._loop.create_future()  # done when the thread has ended
        self._older = ""  # the epoch of which that was said
        self.waiting_rows = 0
        self.failing = ""
        self.refuses_alarms = False  # a disk that is nearly full still takes them while it refuses the rest
        self.refused_rows = 0
        self._say_set_aside()
        self._thread = Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> str:
        return self._file.epoch

    @property
    def rows(self) -> int:
        """How many rows wait for the hub."""
        return self._file.rows

    @property
    def duplicates(self) -> int:
        return self._reports.duplicates

    def lane(self, lane: Lane) -> LaneState:
        return self._file.lanes[lane]

    def holds(self, observation: Observation) -> bool:
        """Whether this report was accepted before."""
        return self._reports.holds(observation.device, observation.frame_id)

    def append(self, observations: Sequence[Observation], done: Done, keeps: Mapping[str, str] | None = None) -> None:
        """`keeps`: small values that `SpoolFile.kept` gives back after a restart, stored together with the rows; ""
        drops one."""
        entries = self._group.entries
        for observation in observations:
            lane = lane_of(observation)
            if lane == "urgent":
                self._group.lane = lane
            entries.append((lane, observation.device, observation.frame_id, encode(observation)))
        self.waiting_rows += len(observations)
        self._group.dones.append(done)
        self._group.keeps.update(keeps or {})
        if self._group.lane == "urgent" or len(entries) >= GROUP_ROWS_MAX:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(ROUTINE_WAIT_S, self._flush)

    def forget(self, epoch: str, lane: Lane, seq: int) -> None:
        """The hub has everything of this epoch up to `seq`."""
        self._queue.put(_Forget(epoch, lane, seq))

    def begin_anew(self, epoch: str) -> None:
        """The hub has rows of this epoch that were never given out: the file is older than what the hub has of it."""
        if epoch != self._older:
            self._older = epoch
            log.error("spool_older_than_hub", epoch=epoch)
        self._queue.put(_Anew(epoch))

    async def settled(self) -> None:
        """Until everything appended so far is durable or refused, at most SETTLE_S_MAX."""
        settled: asyncio.Future[None] = self._loop.create_future()
        self.append([], lambda _: settled.set_result(None))
        self._flush()
        await self._wait_for_disk(settled, SETTLE_S_MAX)

    async def fetch(self, lane: Lane, after: int, rows_max: int, bytes_max: int) -> Fetched:
        """The oldest rows that end beyond `after`; raises SpoolError."""
        answer: asyncio.Future[Fetched] = self._loop.create_future()
        self._queue.put(_Fetch(lane, after, rows_max, bytes_max, answer))
        return await answer

    async def close(self) -> None:
        """Write what waits, then close the file; after CLOSE_S_MAX that is left to the thread."""
        self._flush()
        self._queue.put(None)
        await self._wait_for_disk(self.stopped, CLOSE_S_MAX)

    async def _wait_for_disk(self, done: "asyncio.Future[None]", wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await asyncio.shield(done)
        except TimeoutError:
            log.error("spool_hangs", waiting_rows=self.waiting_rows)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._group.dones:
            self._queue.put(self._group)
            self._group = _Group()

    # --- in the thread ---

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            self._file.close()
            with suppress(RuntimeError):  # the loop did not wait for so long
                self._loop.call_soon_threadsafe(self.stopped.set_result, None)

    def _turn(self) -> bool:
        """Take all that waits, at least one job; False after the last."""
        jobs = [self._queue.get()]
        while True:
            try:
                jobs.append(self._queue.get_nowait())
            except Empty:
                break
        self._work([job for job in jobs if job is not None])
        return None not in jobs

    def _work(self, jobs: list[_Job]) -> None:
        groups = [job for job in jobs if isinstance(job, _Group)]
        for job in jobs:
            if isinstance(job, _Forget):
                key = (job.epoch, job.lane)
                self._forgets[key] = max(job.seq, self._forgets.get(key, 0))
        room = {lane: self._file.takes(lane) for lane in LANES}
        full = [group for group in groups if group.entries and not room[group.lane]]
        if full:
            groups = [group for group in groups if not group.entries or room[group.lane]]
            self._loop.call_soon_threadsafe(self._finish, full, SpoolError("disk full"), False)
        if groups or self._forgets:
            error = self._store(groups)
            self._loop.call_soon_threadsafe(self._finish, groups, error, room["routine"])
        for job in jobs:
            if isinstance(job, _Anew) and job.epoch == self._file.epoch:
                self._anew()
            elif isinstance(job, _Fetch):
                self._fetch(job)

    def _anew(self) -> None:
        """When that fails the hub's next receipt asks for it again."""
        try:
            self._file.begin_anew(clock.now())
        except UNREADABLE:
            with suppress(SpoolError):
                self._file.replace(clock.now())
        except SpoolError:
            return
        self._loop.call_soon_threadsafe(self._finish, [], None, False)

    def _store(self, groups: list[_Group]) -> SpoolError | None:
        keeps = {name: value for group in groups for name, value in group.keeps.items()}
        error = self._write(groups, keeps)
        if error is not None and groups and self._forgets:
            self._write([], {})  # its failure is the same one
        return error

    def _write(self, groups: list[_Group], keeps: dict[str, str]) -> SpoolError | None:
        for _ in range(2):
            try:
                self._file.reopen(clock.now())
                committed = {lane: seq for (epoch, lane), seq in self._forgets.items() if epoch == self._file.epoch}
                self._file.write(self._fresh(groups), committed, keeps)
            except UNREADABLE:
                try:
                    self._file.replace(clock.now())
                except SpoolError as error:
                    return error
                continue
            except SpoolError as error:
                return error
            self._forgets = {}
            return None
        return SpoolError("unreadable twice")

    def _fresh(self, groups: list[_Group]) -> Rows:
        rows: Rows = {}
        offer = self._reports.offer
        for group in groups:
            for lane, device, frame_id, body in group.entries:
                if offer(device, frame_id):
                    rows.setdefault(lane, []).append(body)
        return rows

    def _fetch(self, job: _Fetch) -> None:
        found: Fetched | SpoolError
        try:
            self._file.reopen(clock.now())
            found = self._file.fetch(job.lane, job.after, job.rows_max, job.bytes_max)
        except UNREADABLE as error:
            try:
                self._file.replace(clock.now())
                found = SpoolError(str(error))
            except SpoolError as worse:
                found = worse
            self._loop.call_soon_threadsafe(self._finish, [], None, False)
        except SpoolError as error:
            found = error
        self._loop.call_soon_threadsafe(_answer, job.answer, found)

    # --- in the loop again ---

    def _finish(self, groups: list[_Group], error: SpoolError | None, room: bool) -> None:
        if error is not None and not self.failing:
            log.error("spool_failing", error=str(error))
            self.failing = str(error)
        elif error is None and self.failing and groups and room:  # only new rows prove that the disk takes new rows
            log.info("spool_recovered")
            self.failing, self.refuses_alarms = "", False
        self._say_set_aside()
        if any(group.entries and group.lane == "urgent" for group in groups):
            self.refuses_alarms = error is not None
        for group in groups:
            self.waiting_rows -= len(group.entries)
            if error is not None:
                self.refused_rows += len(group.entries)
            for done in group.dones:
                if wrong := outcome_of(partial(done, error)):  # a bug of one link; the others are told all the same
                    log.error("answer_crashed", error=wrong)
        self._stored()

    def _say_set_aside(self) -> None:
        aside, self._file.set_aside = self._file.set_aside, None
        if aside is not None:
            log.error(
                "spool_set_aside",
                file=str(aside.path),
                epoch=aside.epoch,
                kept=aside.kept,
                lost=aside.lost,
                removed=aside.removed,
            )


def _answer(future: "asyncio.Future[Fetched]", found: Fetched | SpoolError) -> None:
    if future.done():
        return
    if isinstance(found, SpoolError):
        future.set_exception(found)
    else:
        future.set_result(found)
