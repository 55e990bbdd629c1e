"""The spool: told durable means durable; two lanes; bounded, with every drop declared; trouble told once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from devices.envelope import LANES, Lane, decode_observation, encode
from devices.observation import Observation
from edge.reports import Reports
from edge.spool import Spool, _Group
from edge.spool_file import SpoolFile
from edge.spool_remains import SET_ASIDE_MAX
from edge.spool_sql import UNREADABLE, DamagedError, SpoolError
from edge.spool_tables import CHUNK_ROWS_MAX
from edge.window import Window
from hub.cursor import take
from simulators.device import UNANSWERED_MAX
from tests.edge.site import BAND, GATEWAY, NOW, alarm, held, spool_file, steps, until

ALL = 10**6


@asynccontextmanager
async def opened(folder: Path, file_mb_max: int = 0, devices: int = 8) -> AsyncIterator[Spool]:
    folder.mkdir(exist_ok=True)
    reports = Reports(devices)
    file = SpoolFile(folder, 1_000_000, file_mb_max, reports, GATEWAY)
    file.open(NOW)
    spool = Spool(file, reports, lambda: None)
    try:
        yield spool
    finally:
        await spool.close()


async def append(spool: Spool, *rows: Observation) -> SpoolError | None:
    outcome: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
    spool.append(rows, outcome.set_result)
    return await outcome


def write(file: SpoolFile, rows: int, start: int = 0, lane: Lane = "routine", size: int = 0) -> None:
    bodies = [encode(steps(BAND + "x" * size, number)) for number in range(start, start + rows)]
    file.write({lane: bodies}, {}, {})


# --- what is durable ---------------------------------------------------------------------------------


async def test_rows_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        epoch = spool.epoch
        assert await append(spool, steps(BAND, 1), alarm(BAND, "sos"), steps(BAND, 2)) is None
        assert await append(spool, steps(BAND, 3)) is None
    file = spool_file(tmp_path)
    assert file.epoch == epoch
    assert [(seq, one.body.values["steps"]) for seq, one in held(file, "routine")] == [(1, 1), (2, 2), (3, 3)]  # type: ignore[union-attr]
    assert [seq for seq, _ in held(file, "urgent")] == [1]
    file.close()


def test_what_was_confirmed_before_a_kill_is_there(tmp_path: Path) -> None:
    folder, confirmed = tmp_path / "spool", tmp_path / "confirmed"
    folder.mkdir()
    argv = [sys.executable, "-m", "tests.edge.appender", str(folder), str(confirmed)]
    told: set[int] = set()
    for _ in range(3):
        process = subprocess.Popen(argv)
        before = len(told)
        while len(told) < before + 150:
            assert process.poll() is None
            told = {int(line) for line in confirmed.read_text().split()} if confirmed.exists() else set()
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = {int(line) for line in confirmed.read_text().split()}
        confirmed.write_text("".join(f"{number}\n" for number in told))
        file = spool_file(folder)
        routine = [row.body.values["steps"] for _, row in held(file, "routine")]  # type: ignore[union-attr]
        urgent = [int(row.body.component) for _, row in held(file, "urgent")]  # type: ignore[union-attr]
        assert told <= {*routine, *urgent}
        assert len(urgent) == len(set(urgent)), "a report that was accepted is not stored again"
        for lane in LANES:
            seqs = [seq for seq, _ in held(file, lane)]
            assert seqs == list(range(1, len(seqs) + 1))
        file.close()


class Watched(apsw.VFS):
    """The system's files, and whether what was written to them was also synced."""

    def __init__(self) -> None:
        self.dirty: set[str] = set()
        super().__init__("watched", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> "WatchedFile":
        return WatchedFile(self, name, flags)


class WatchedFile(apsw.VFSFile):
    def __init__(self, watched: Watched, name: Any, flags: list[int]) -> None:
        self._watched = watched
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._watched.dirty.add(self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._watched.dirty.discard(self._name)
        super().xSync(flags)


@pytest.fixture
def watched() -> Iterator[Watched]:
    vfs = Watched()
    yield vfs
    vfs.unregister()


def test_what_write_returned_from_was_synced(tmp_path: Path, watched: Watched) -> None:
    """kill -9 does not show this; a power cut would."""
    file = spool_file(tmp_path)
    for start in range(0, 3_000, 100):
        write(file, 100, start, size=200)
        assert watched.dirty == set()
    file.write({}, {}, {"lost": "[]"})
    assert watched.dirty == set()
    file.write({}, {"routine": 100}, {})
    assert watched.dirty, "what the hub has may be forgotten twice"
    file.close()


async def test_an_alarm_goes_to_the_disk_at_once_and_takes_what_waits_along(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        order: list[str] = []
        spool.append([steps(BAND, 1)], lambda _: order.append("routine"))
        assert spool._timer is not None, "routine rows wait for company"
        spool.append([alarm(BAND, "sos")], lambda _: order.append("urgent"))
        assert spool._timer is None, "an alarm does not"
        await until(lambda: len(order) == 2, "both durable")
        assert order == ["routine", "urgent"]


async def test_a_link_that_crashes_over_an_answer_keeps_no_other_from_being_answered(tmp_path: Path) -> None:
    def crash(error: SpoolError | None) -> None:
        raise RuntimeError("a bug")

    answered = asyncio.get_running_loop().create_future()
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            spool.append([steps(BAND, 1)], crash)
            spool.append([steps(BAND, 2)], answered.set_result)
            async with asyncio.timeout(5):
                assert await answered is None
            assert spool.waiting_rows == 0
    assert [line["event"] for line in logs] == ["answer_crashed"]


async def test_many_appends_are_few_transactions(tmp_path: Path) -> None:
    commits = 0

    def stored() -> None:
        nonlocal commits
        commits += 1

    reports = Reports(8)
    file = SpoolFile(tmp_path, 1_000_000, 0, reports, GATEWAY)
    file.open(NOW)
    spool = Spool(file, reports, stored)
    done = [asyncio.get_running_loop().create_future() for _ in range(500)]
    for number, future in enumerate(done):
        spool.append([steps(BAND, number)], future.set_result)
    assert await asyncio.gather(*done) == [None] * 500
    assert commits <= 3 and spool.waiting_rows == 0
    await spool.close()


async def test_a_second_delivery_is_answered_but_not_stored_even_after_a_restart(tmp_path: Path) -> None:
    rows = [alarm(BAND, "sos", frame_id="x.0"), steps(BAND, 1, "x.1")]
    async with opened(tmp_path) as spool:
        assert await append(spool, *rows) is None
        assert await append(spool, *rows) is None
        assert (spool.rows, spool.duplicates) == (2, 2) and spool.holds(rows[0])
    async with opened(tmp_path) as spool:
        assert spool.holds(rows[0]) and await append(spool, *rows) is None and spool.rows == 2


async def test_a_backlog_that_is_sent_again_is_not_stored_again_even_after_a_restart(tmp_path: Path) -> None:
    """The line broke before the answers came; 500 devices are enrolled."""
    backlog = [alarm(BAND, "sos", frame_id=f"{number}.0") for number in range(UNANSWERED_MAX)]
    for _ in range(2):
        async with opened(tmp_path, devices=500) as spool:
            for _ in range(2):
                for start in range(0, UNANSWERED_MAX, 50):
                    assert await append(spool, *backlog[start : start + 50]) is None
            assert spool.rows == UNANSWERED_MAX


def test_stored_reports_are_replaced_by_those_still_known_and_a_failure_leaves_both_alone(tmp_path: Path) -> None:
    file = spool_file(tmp_path)
    reports = file._reports
    for number in range(reports.stored_max + 1):
        reports.offer(f"watch:{number % 20}", f"{number}.0")
        if number % 1_000 == 0:
            file.write({}, {}, {})
    file.write({}, {}, {})
    assert file._reports_stored == reports.stored_max + 1
    file._sql.execute("PRAGMA max_page_count=1")
    reports.offer(BAND, "x.0")
    with pytest.raises(SpoolError):
        write(file, 500, size=60)
    assert file._reports_stored == reports.stored_max + 1, "nothing was stored, nothing replaced"
    file._sql.execute("PRAGMA max_page_count=1000000")
    reports.offer(BAND, "x.0")
    file.write({}, {}, {})
    [[stored]] = file._sql.execute("SELECT sum(length(body)) FROM reports")
    assert file._reports_stored == reports.entries(bytes(stored)) < reports.stored_max
    file.close()


async def test_small_values_are_kept_with_the_rows(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        spool.append([alarm(BAND, "lost_contact")], lambda _: None, {"lost": "[1]"})
        await spool.settled()
    file = spool_file(tmp_path)
    assert (file.kept("lost"), file.kept("never")) == ("[1]", "")
    file.write({}, {}, {"lost": "", "track:a": "x"})
    assert (file.kept("lost"), file.all_kept("")) == ("", {"track:a": "x"})
    file.close()


# --- bounded, and nothing goes without a word --------------------------------------------------------


def test_routine_goes_first_and_urgent_only_when_none_is_left(tmp_path: Path) -> None:
    file = spool_file(tmp_path, rows_max=1_000)
    write(file, 300, lane="urgent")
    for start in range(0, 2_000, 100):
        write(file, 100, start)
        assert file.rows <= 1_000
    assert (file.lanes["urgent"].rows, file.lanes["urgent"].dropped) == (300, 0)
    assert (file.lanes["routine"].rows, file.lanes["routine"].dropped_through) == (700, 1_300)
    for start in range(0, 1_200, 100):
        write(file, 100, start, lane="urgent")
    assert file.lanes["routine"].rows == 0 and file.lanes["urgent"].rows == 1_000
    assert (file.lanes["urgent"].dropped, file.lanes["urgent"].dropped_through) == (500, 500)
    assert held(file, "urgent")[0][0] == 501
    file.close()


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("urgent"), st.integers(1, 700)),
        st.tuples(st.just("routine"), st.integers(1, 700)),
        st.tuples(st.just("commit"), st.integers(0, 100)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    min_size=1,
    max_size=25,
)


@given(acts=ACTS)
def test_accepted_is_delivered_and_spooled_and_declared(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    file = spool_file(folder, rows_max=1_000)
    delivered: dict[Lane, int] = dict.fromkeys(LANES, 0)  # rows that a hub got: each lane's cursor moves over them
    cursor: dict[Lane, int] = dict.fromkeys(LANES, 0)
    gone: dict[Lane, int] = dict.fromkeys(LANES, 0)
    for act, number in acts:
        if act == "reopen":
            file.close()
            file = spool_file(folder, rows_max=1_000)
        elif act == "commit":
            for lane in LANES:
                found = file.fetch(lane, cursor[lane], 1 + 20 * number, 500_000)
                if found.pieces:
                    gone[lane] += max(found.first - 1 - cursor[lane], 0)
                    assert found.first - 1 <= max(found.dropped_through, cursor[lane]), "a hole is declared"
                    delivered[lane] += found.last - max(found.first - 1, cursor[lane])
                    cursor[lane] = found.last
                    file.write({}, {lane: found.last}, {})
        else:
            write(file, number, lane=act)  # type: ignore[arg-type]
        for lane in LANES:
            state = file.lanes[lane]
            waiting = len(held(file, lane))
            assert state.rows == waiting
            assert state.appended == delivered[lane] + waiting + state.dropped
            assert state.dropped >= gone[lane]
        assert file.rows <= 1_000
    file.close()


LANE_ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 700)),
        st.tuples(st.just("send"), st.integers(1, 600)),
        st.tuples(st.just("hear"), st.integers(1, 8)),
        st.tuples(st.just("receipt"), st.just(0)),
        st.tuples(st.sampled_from(["cut", "hub restarts", "edge restarts"]), st.just(0)),
    ),
    min_size=1,
    max_size=30,
)


class Line:
    """One lane of an edge, the batches on their way, and a hub's cursor."""

    def __init__(self, folder: Path) -> None:
        self.file = spool_file(folder, rows_max=1_000)
        self.window = Window()
        self.batches: list[tuple[list[int], int]] = []
        self.cursor = 0
        self.delivered: list[int] = []
        self.gaps: list[int] = []

    def send(self, rows_max: int) -> None:
        while self.window.open:
            found = self.file.fetch("routine", self.window.sent, rows_max, ALL)
            through = self.window.declares(found.first, found.dropped_through)
            if through is None:
                return
            self.window.push(found.last or through, 0.0)
            self.batches.append((list(range(found.first, found.last + 1)) if found.pieces else [], through))

    def hear(self, count: int) -> None:
        for seqs, through in self.batches[:count]:
            taken = take(self.cursor, seqs, through)
            self.delivered += seqs[taken.first : taken.beyond]
            self.gaps += [seq for first, last in taken.gaps for seq in range(first, last + 1)]
            self.cursor = taken.committed
        del self.batches[:count]

    def receipt(self) -> None:
        if self.window.commit(self.cursor, self.file.lanes["routine"].appended, 0.0):
            self.file.write({}, {"routine": self.cursor}, {})

    def do(self, act: str, number: int, folder: Path) -> None:
        if act == "append":
            write(self.file, number)
        elif act == "send":
            self.send(number)
        elif act == "hear":
            self.hear(number)
        elif act == "receipt":
            self.receipt()
        elif act == "hub restarts":
            self.batches.clear()
        elif act == "cut":
            self.window.rewind()
        else:
            self.file.close()
            self.file = spool_file(folder, rows_max=1_000)
            committed = self.file.lanes["routine"].committed
            self.window = Window(committed=committed, sent=committed)


LOST_BEFORE_A_HOLE = [("append", 500), ("send", 1), ("hub restarts", 0), ("append", 700), ("send", 1), ("hear", 9)]
SENT_BEFORE_A_RESTART = [
    *(("append", 500), ("send", 1), ("hear", 9), ("edge restarts", 0)),
    *(("append", 700), ("send", 1), ("receipt", 0)),
]


@given(acts=LANE_ACTS)
@example(acts=LOST_BEFORE_A_HOLE)
@example(acts=SENT_BEFORE_A_RESTART)
def test_each_row_is_delivered_or_waits_or_was_counted_and_declared(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    """Also rows that were dropped behind a batch that had them."""
    folder = tmp_path_factory.mktemp("spool")
    line = Line(folder)
    for act, number in acts:
        line.do(act, number, folder)
        assert line.file.rows <= 1_000
    for _ in range(10):
        line.window.rewind()
        line.send(600)
        line.hear(len(line.batches))
        line.receipt()
    state = line.file.lanes["routine"]
    assert line.file.rows == 0 and state.committed == state.appended
    assert sorted(line.delivered + line.gaps) == list(range(1, state.appended + 1)), "once, or declared"
    assert state.dropped == len(line.gaps)
    line.file.close()


def test_rows_that_were_dropped_while_the_hub_had_them_are_not_counted(tmp_path: Path) -> None:
    """Alarms took their place; the receipt came later."""
    file = spool_file(tmp_path, rows_max=1_000)
    write(file, 1_000)
    assert file.fetch("routine", 0, ALL, ALL).last == 1_000
    write(file, 700, lane="urgent")
    assert (file.lanes["routine"].rows, file.lanes["routine"].dropped) == (0, 1_000)
    file.write({}, {"routine": 600}, {})
    assert file.lanes["routine"].dropped == 400
    file.write({}, {"routine": 1_000}, {})
    assert (file.lanes["routine"].dropped, file.lanes["routine"].rows) == (0, 0)
    file.close()


def test_chunks_are_bounded_in_rows_and_fetches_in_both(tmp_path: Path) -> None:
    file = spool_file(tmp_path)
    write(file, 3 * CHUNK_ROWS_MAX)
    assert file.fetch("routine", 0, 1, 1).last == CHUNK_ROWS_MAX, "at least one chunk"
    assert file.fetch("routine", 0, 2 * CHUNK_ROWS_MAX, ALL).last == 2 * CHUNK_ROWS_MAX
    assert file.fetch("routine", 100, ALL, 10 * ALL).first == 1, "a chunk travels whole"
    nothing = file.fetch("urgent", 0, ALL, ALL)
    assert (nothing.pieces, nothing.last) == ((), 0)
    file.close()


# --- a disk in trouble -------------------------------------------------------------------------------


async def fill(spool: Spool, rows: int, size: int) -> int:
    """Append routine rows until they are refused; how many were accepted."""
    accepted, error = 0, None
    while error is None:
        error = await append(spool, *[steps(BAND + "x" * size, number) for number in range(rows)])
        accepted += rows if error is None else 0
    assert str(error) == "disk full"
    return accepted


def wide(count: int, start: int = 0) -> list[Observation]:
    return [alarm(BAND, "sos", "y" * 5_000, frame_id=f"{number}.0") for number in range(start, start + count)]


async def test_in_a_full_file_alarms_take_the_place_of_routine_rows_and_are_refused_when_none_is_left(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        async with opened(tmp_path, file_mb_max=1) as spool:
            accepted = await fill(spool, 100, 200)
            assert spool.rows == accepted == spool.lane("routine").appended
            assert [await append(spool, row) for row in wide(60)] == [None] * 60
            routine = spool.lane("routine")
            assert 0 < routine.dropped == routine.dropped_through == accepted - routine.rows
            outcomes = [await append(spool, row) for row in wide(200, 60)]
            stored = outcomes.index(next(filter(None, outcomes)))
            assert routine.rows == 0 and routine.dropped == accepted, "an alarm is worth more than any of them"
            assert outcomes == [None] * stored + outcomes[stored:] and None not in outcomes[stored:]
            assert spool.rows == 60 + stored and spool.lane("urgent").dropped == 0
            spool.forget(spool.epoch, "urgent", 60)
            await until(lambda: spool.rows == stored, "the rows are forgotten")
            assert await append(spool, *wide(1, 259)) is None, "not taken for a duplicate"
            spool.forget(spool.epoch, "urgent", 60 + stored)
            await until(lambda: spool.rows == 1, "forgotten, too")
            assert await append(spool, steps(BAND, 1)) is None
    assert [line["event"] for line in logs] == ["spool_failing", "spool_recovered"]


async def test_what_the_hub_has_is_forgotten_though_the_rows_beside_it_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path, file_mb_max=1) as spool:
        for number in range(300):
            await append(spool, *wide(1, number))
        rows = spool.rows
    file = spool._file
    file.open(NOW)
    spool._forgets = {(file.epoch, "urgent"): 2}
    spool._group = _Group()
    entries: list[Any] = [("urgent", BAND, row.frame_id, encode(row)) for row in wide(50, 500)]
    assert str(spool._store([_Group(entries=entries)])) == "disk full"
    assert file.rows == rows - 2 and spool._forgets == {}
    file.close()


async def test_on_a_nearly_full_disk_alarms_take_the_place_of_routine_rows(small_disk: Path) -> None:
    async with opened(small_disk / "spool") as spool:
        accepted = await fill(spool, 500, 2_000)
        disk = os.statvfs(small_disk)
        (small_disk / "ballast").write_bytes(bytes(disk.f_bavail * disk.f_frsize - 10_000_000))
        assert await append(spool, alarm(BAND, "sos")) is None, "below what alarms need, but for those rows"
        routine = spool.lane("routine")
        assert 0 < routine.dropped == accepted - routine.rows < accepted


async def test_a_full_disk_refuses_rows_keeps_what_it_has_and_comes_back(small_disk: Path) -> None:
    with capture_logs() as logs:
        async with opened(small_disk / "spool") as spool:
            accepted = await fill(spool, 500, 2_000)
            assert spool.rows == accepted
            assert await append(spool, alarm(BAND, "sos")) is None, "alarms go on for a while"
            ballast = small_disk / "ballast"
            with pytest.raises(OSError, match="No space"):
                ballast.write_bytes(bytes(40_000_000))
            assert await append(spool, alarm(BAND, "sos")) is not None, "somebody else took the rest"
            ballast.unlink()
            assert await append(spool, steps(BAND, 1)) is not None
            spool.forget(spool.epoch, "routine", accepted)
            await until(lambda: spool.rows == 1, "forgetting needs no more room than was left")
            assert await append(spool, steps(BAND, 1)) is None
    assert [line["event"] for line in logs] == ["spool_failing", "spool_recovered"]
    file = spool_file(small_disk / "spool")
    assert (len(held(file, "routine")), len(held(file, "urgent"))) == (1, 1)
    file.close()


def damage(folder: Path, from_page: int, pages: int = 0, name: str = "spool.sqlite") -> None:
    """Overwrite pages (0: all from there on)."""
    content = bytearray((folder / name).read_bytes())
    end = (from_page + pages) * 4096 if pages else len(content)
    content[from_page * 4096 : end] = b"\xa5" * (end - from_page * 4096)
    (folder / name).write_bytes(bytes(content))


@pytest.mark.parametrize("from_page", [0, 1])
async def test_a_file_of_which_nothing_can_be_read_is_set_aside(tmp_path: Path, from_page: int) -> None:
    async with opened(tmp_path) as spool:
        await append(spool, *[steps(BAND, number, f"{number}.0") for number in range(2_000)])
        epoch = spool.epoch
    damage(tmp_path, from_page)
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            assert spool.epoch != epoch, "the hub must not take new rows for old ones"
            assert await append(spool, steps(BAND, 1)) is None and spool.lane("routine").appended == 1
            spool.forget(epoch, "routine", 2_000)
            await spool.settled()
            assert spool.lane("routine").rows == 1, "a receipt for the old file says nothing about the new one"
            [(_, notice)] = held(spool._file, "urgent")
            assert (notice.device, notice.body.kind) == (GATEWAY, "spool_set_aside")  # type: ignore[union-attr]
    assert [line["event"] for line in logs] == ["spool_set_aside"]
    assert [path for path in tmp_path.iterdir() if "unreadable" in path.name]


def read_from_the_file_itself(file: SpoolFile) -> None:
    file._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file._sql.execute("PRAGMA cache_size=0")
    file._sql.execute("PRAGMA shrink_memory")


async def test_a_file_that_turns_bad_while_in_use_is_replaced_and_duplicates_are_still_known(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            for number in range(40):
                await append(spool, *[steps(BAND + "x" * 300, row, f"{number}-{row}.0") for row in range(100)])
            await append(spool, alarm(BAND, "sos"))
            epoch = spool.epoch
            read_from_the_file_itself(spool._file)
            damage(tmp_path, 1)
            await until(lambda: _reads_badly(spool, logs), "the damage is seen")
            assert await append(spool, steps(BAND, 1, "new.0")) is None
            assert await append(spool, steps(BAND + "x" * 300, 0, "39-0.0")) is None
            routine, urgent = spool.lane("routine"), spool.lane("urgent")
            assert spool.epoch == epoch, "the hub goes on where it was"
            assert (routine.appended, routine.rows, routine.dropped, routine.dropped_through) == (
                4_001,
                1,
                4_000,
                4_000,
            )
            assert (urgent.appended, urgent.rows, urgent.dropped) == (2, 1, 1), "the alarm is declared as lost"
    [aside] = [line for line in logs if line["event"] == "spool_set_aside"]
    assert aside["lost"] == {"urgent": "1-1", "routine": "1-4000"}


def _reads_badly(spool: Spool, logs: list[Any]) -> bool:
    asyncio.ensure_future(spool.fetch("routine", 0, 10, ALL)).add_done_callback(lambda done: done.exception())
    return any(line["event"] == "spool_set_aside" for line in logs)


def filled(folder: Path) -> SpoolFile:
    """Ten alarms among 5,000 routine rows, of which the hub has some."""
    file = spool_file(folder)
    for number in range(50):
        write(file, 100, number * 100, size=200)
        if number % 5 == 0:
            file.write({"urgent": [encode(alarm(BAND, "sos", str(number)))]}, {}, {"lost": '["x"]'})
    file.write({}, {"routine": 300, "urgent": 1}, {})
    return file


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("in_use", [False, True])
def test_what_can_still_be_read_is_brought_over_and_the_rest_is_declared(
    tmp_path: Path, in_use: bool, seed: int
) -> None:
    """Some pages anywhere behind those that say what the file is."""
    file = filled(tmp_path)
    epoch, accepted = file.epoch, {lane: file.lanes[lane].appended for lane in LANES}
    read_from_the_file_itself(file)
    pages = (tmp_path / "spool.sqlite").stat().st_size // 4096
    place = Random(seed).randrange(8, pages - 6)
    if not in_use:
        file.close()
    damage(tmp_path, place, pages=4)
    if in_use:
        with pytest.raises(UNREADABLE):
            while True:
                for lane in LANES:
                    at = 0
                    while (found := file.fetch(lane, at, 100, ALL)).pieces:
                        at = found.last
                file._sql.execute("PRAGMA integrity_check")
                raise DamagedError("in a page without rows")
        file.replace(NOW)
    else:
        file = spool_file(tmp_path)
        if file.set_aside is None:  # nothing that is read at the start
            file.replace(NOW)
    assert file.epoch == epoch and file.kept("lost") == '["x"]'
    for lane in LANES:
        state = file.lanes[lane]
        rows = dict(held(file, lane))
        assert state.committed == {"urgent": 1, "routine": 300}[lane]
        assert accepted[lane] <= state.appended <= accepted[lane] + 1
        assert len(rows) == state.rows and state.committed + len(rows) + state.dropped == state.appended
        if lane == "routine":
            assert all(row.body.values["steps"] == seq - 1 for seq, row in rows.items())  # type: ignore[union-attr]
            assert len(rows) > 0 and state.dropped < 1_000, "most of it"
    urgent = held(file, "urgent")
    assert urgent[-1][1].body.kind == "spool_set_aside" and len(urgent) + file.lanes["urgent"].dropped == 10  # type: ignore[union-attr]
    file.close()


async def test_a_row_that_is_not_what_was_written_never_leaves(tmp_path: Path) -> None:
    """SQLite does not see a bit that fell over in a long value; the hub would refuse the batch for ever."""
    async with opened(tmp_path) as spool:
        for number in range(3):
            await append(spool, *[steps(BAND + "x" * 300, row) for row in range(number * 100, number * 100 + 100)])
        await append(spool, alarm(BAND, "sos"))
        read_from_the_file_itself(spool._file)
        content = (tmp_path / "spool.sqlite").read_bytes()
        at = content.index(b'"steps":150')
        (tmp_path / "spool.sqlite").write_bytes(content[:at] + b'"steps":950' + content[at + 11 :])
        with pytest.raises(SpoolError):
            await spool.fetch("routine", 100, 10, ALL)
        file = spool._file
        assert [seq for seq, _ in held(file, "routine")] == [*range(1, 101), *range(201, 301)]
        assert (file.lanes["routine"].dropped, file.lanes["routine"].dropped_through) == (100, 200)
        assert [row.body.kind for _, row in held(file, "urgent")] == ["sos", "spool_set_aside"]  # type: ignore[union-attr]


def test_a_full_file_is_brought_over_into_one_of_the_same_size(tmp_path: Path) -> None:
    file = spool_file(tmp_path, file_mb_max=1)
    write(file, 5, lane="urgent")
    while file.takes("routine"):
        write(file, 20, size=200)
    accepted = file.lanes["routine"].appended
    file.replace(NOW)
    assert len(held(file, "urgent")) == 6
    routine = file.lanes["routine"]
    assert routine.appended == accepted == routine.rows + routine.dropped and routine.rows > accepted * 0.9
    file.close()


def test_without_its_numbers_a_file_is_brought_over_into_a_new_epoch(tmp_path: Path) -> None:
    file = filled(tmp_path)
    epoch, before = file.epoch, [row for _, row in held(file, "urgent")]
    file._sql.execute("DELETE FROM meta")
    file._sql.execute("DELETE FROM lanes")
    file.close()
    (tmp_path / "spool.sqlite").rename(tmp_path / "spool.sqlite.broken")
    file = spool_file(tmp_path)
    assert file.epoch not in ("", epoch)
    urgent = held(file, "urgent")
    assert [seq for seq, _ in urgent] == list(range(1, 11)) and [row for _, row in urgent[:-1]] == before
    assert [seq for seq, _ in held(file, "routine")] == list(range(1, 4_701))
    assert file.lanes["routine"].dropped == 0
    file.close()


@pytest.mark.parametrize("stage", ["renamed in part", "nothing brought over", "brought over"])
def test_a_process_that_ends_while_a_file_is_brought_over_loses_and_doubles_nothing(tmp_path: Path, stage: str) -> None:
    file = filled(tmp_path)
    epoch, before = file.epoch, held(file, "urgent")
    if stage == "brought over":
        file.replace(NOW)
        file.close()
        assert file.set_aside is not None
        file.set_aside.path.rename(tmp_path / "spool.sqlite.broken")
    else:  # as kill -9 leaves it: what was written last stands beside the file
        copies = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("shm")}
        file.close()
        for path in tmp_path.iterdir():
            path.unlink()
        copies["spool.sqlite.broken"] = copies.pop("spool.sqlite")
        if stage != "renamed in part":
            copies["spool.sqlite.broken-wal"] = copies.pop("spool.sqlite-wal")
        for name, content in copies.items():
            (tmp_path / name).write_bytes(content)
    file = spool_file(tmp_path)
    assert file.epoch == epoch and held(file, "urgent")[: len(before)] == before
    assert len(held(file, "urgent")) == len(before) + 1 and file.lanes["routine"].rows == 4_700
    assert not (tmp_path / "spool.sqlite.broken").exists() and file.set_aside is not None
    file.close()


def test_files_set_aside_within_one_second_keep_apart_and_only_the_newest_stay(tmp_path: Path) -> None:
    file = filled(tmp_path)
    removed: list[str] = []
    for _ in range(SET_ASIDE_MAX + 2):
        file.replace(NOW)
        assert file.set_aside is not None and file.epoch in file.set_aside.path.name
        removed += file.set_aside.removed
    asides = {path.name for path in tmp_path.iterdir() if "unreadable" in path.name}
    assert len({name for name in asides if not name.endswith(("-wal", "-shm"))}) == SET_ASIDE_MAX
    assert len(set(removed)) == 2 and not asides & set(removed)
    assert file.lanes["routine"].rows == 4_700 and len(held(file, "urgent")) == 9 + SET_ASIDE_MAX + 2
    file.close()


class Hanging(apsw.VFS):
    """A disk that takes what is written, and does not come back from a sync until it may."""

    def __init__(self) -> None:
        self.may = Event()
        self.may.set()
        super().__init__("hanging", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> "HangingFile":
        return HangingFile(self, name, flags)


class HangingFile(apsw.VFSFile):
    def __init__(self, hanging: Hanging, name: Any, flags: list[int]) -> None:
        self._hanging = hanging
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        self._hanging.may.wait()
        super().xSync(flags)


async def test_a_disk_that_hangs_does_not_keep_the_agent_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.spool.SETTLE_S_MAX", 0.05)
    monkeypatch.setattr("edge.spool.CLOSE_S_MAX", 0.05)
    hanging = Hanging()
    try:
        with capture_logs() as logs:
            async with opened(tmp_path) as spool:
                hanging.may.clear()
                spool.append([alarm(BAND, "sos")], lambda _: None)
                await spool.settled()
            assert [line["event"] for line in logs] == ["spool_hangs", "spool_hangs"]
        hanging.may.set()
        await until(spool.stopped.done, "the thread ends when the disk comes back")
    finally:
        hanging.may.set()
        hanging.unregister()
    file = spool_file(tmp_path)
    assert len(held(file, "urgent")) == 1
    file.close()


async def test_a_replacement_that_fails_is_tried_again_and_forgets_nothing_wrongly(tmp_path: Path) -> None:
    """The disk refuses the new file for a while: rows are refused, then taken, and never taken for duplicates."""
    async with opened(tmp_path) as spool:
        spool._file.close()
        (tmp_path / "spool.sqlite").rename(tmp_path / "elsewhere")
        (tmp_path / "spool.sqlite").mkdir()
        assert await append(spool, steps(BAND, 1, "x.0")) is not None
        assert await append(spool, steps(BAND, 1, "x.0")) is not None
        (tmp_path / "spool.sqlite").rmdir()
        assert await append(spool, steps(BAND, 1, "x.0")) is None
        assert spool.rows == 1


def test_a_spool_in_use_is_refused_with_one_line(tmp_path: Path) -> None:
    first = spool_file(tmp_path)
    with pytest.raises(SpoolError, match=r"spool\.sqlite: in use by another process$"):
        spool_file(tmp_path)
    first.close()
    spool_file(tmp_path).close()


def test_a_folder_that_is_none_is_refused_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "missing", tmp_path / "file"):
        file = SpoolFile(folder, 1_000, 0, Reports(1), GATEWAY)
        with pytest.raises(SpoolError, match=str(folder)) as refused:
            file.open(NOW)
        assert "\n" not in str(refused.value)


def test_a_failing_transaction_changes_nothing(tmp_path: Path) -> None:
    file = spool_file(tmp_path)
    write(file, 10)
    before = msgspec.json.encode([file.lanes[lane] for lane in LANES])
    file._sql.execute("PRAGMA max_page_count=1")
    with pytest.raises(SpoolError, match="disk full"):
        write(file, 500, size=60)
    assert msgspec.json.encode([file.lanes[lane] for lane in LANES]) == before
    assert [seq for seq, _ in held(file, "routine")] == list(range(1, 11))
    file.close()


def test_each_row_is_what_was_given(tmp_path: Path) -> None:
    file = spool_file(tmp_path)
    row = alarm(BAND, "sos", "c", frame_id="f.0")
    file.write({"urgent": [encode(row)]}, {}, {})
    [(body,)] = file._sql.execute("SELECT body FROM chunks")
    seq, given_back = msgspec.json.decode(body, type=tuple[int, msgspec.Raw])
    assert (seq, decode_observation(bytes(given_back))) == (1, row)
    file.close()
