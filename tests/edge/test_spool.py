"""The spool: told durable means durable; two lanes; bounded, with every drop declared; trouble told once."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from devices.envelope import LANES, Lane, decode_observation, encode
from devices.observation import Observation
from edge.reports import Reports
from edge.spool import Spool
from edge.spool_file import CHUNK_ROWS_MAX, SpoolError, SpoolFile
from simulators.device import UNANSWERED_MAX
from tests.edge.site import BAND, NOW, alarm, held, spool_file, steps, until

ALL = 10**6


@asynccontextmanager
async def opened(folder: Path, file_mb_max: int = 0, devices: int = 8) -> AsyncIterator[Spool]:
    folder.mkdir(exist_ok=True)
    reports = Reports(devices)
    file = SpoolFile(folder, 1_000_000, file_mb_max, reports)
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


async def test_many_appends_are_few_transactions(tmp_path: Path) -> None:
    commits = 0

    def stored() -> None:
        nonlocal commits
        commits += 1

    reports = Reports(8)
    file = SpoolFile(tmp_path, 1_000_000, 0, reports)
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


async def test_a_full_file_refuses_routine_then_urgent_and_takes_both_again_when_the_hub_has_some(
    tmp_path: Path,
) -> None:
    wide = [alarm(BAND, "sos", "y" * 5_000, frame_id=f"{number}.0") for number in range(40)]
    with capture_logs() as logs:
        async with opened(tmp_path, file_mb_max=1) as spool:
            accepted = await fill(spool, 100, 200)
            assert spool.rows == accepted == spool.lane("routine").appended
            outcomes = [await append(spool, row) for row in wide]
            taken = outcomes.index(None) if None in outcomes else 0
            stored = sum(outcome is None for outcome in outcomes)
            assert taken == 0 and 0 < stored < len(wide), "alarms have the last tenth"
            assert spool.rows == accepted + stored and spool.refused_rows == 100 + len(wide) - stored
            spool.forget(spool.epoch, "routine", accepted)
            await until(lambda: spool.rows == stored, "the rows are forgotten")
            assert await append(spool, wide[-1]) is None, "not taken for a duplicate"
            assert spool.rows == stored + 1
    assert [line["event"] for line in logs] == ["spool_failing", "spool_recovered"]


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


def damage(folder: Path, from_page: int) -> None:
    path = folder / "spool.sqlite"
    content = bytearray(path.read_bytes())
    content[from_page * 4096 :] = b"\xa5" * (len(content) - from_page * 4096)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("from_page", [0, 1])
async def test_a_file_that_cannot_be_read_is_set_aside(tmp_path: Path, from_page: int) -> None:
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
            assert spool.rows == 1, "a receipt for the old file says nothing about the new one"
    assert [line["event"] for line in logs] == ["spool_set_aside"]
    assert [path for path in tmp_path.iterdir() if "unreadable" in path.name]


async def test_a_file_that_turns_bad_while_in_use_is_replaced_and_duplicates_are_still_known(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with opened(tmp_path) as spool:
            for number in range(40):
                await append(spool, *[steps(BAND + "x" * 300, row, f"{number}-{row}.0") for row in range(100)])
            epoch = spool.epoch
            spool._file._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # from here on the file itself is read
            spool._file._sql.execute("PRAGMA cache_size=0")
            spool._file._sql.execute("PRAGMA shrink_memory")
            damage(tmp_path, 1)
            await until(lambda: _reads_badly(spool, epoch), "the damage is seen")
            assert await append(spool, steps(BAND, 1, "new.0")) is None
            assert await append(spool, steps(BAND + "x" * 300, 0, "39-0.0")) is None
            assert spool.rows == 1
    assert [line["event"] for line in logs].count("spool_set_aside") == 1


def _reads_badly(spool: Spool, epoch: str) -> bool:
    asyncio.ensure_future(spool.fetch("routine", 0, 10, ALL)).add_done_callback(lambda done: done.exception())
    return spool.epoch != epoch


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
        file = SpoolFile(folder, 1_000, 0, Reports(1))
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
