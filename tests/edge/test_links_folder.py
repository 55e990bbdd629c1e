"""Folder links: whole files in order, put away when durable, nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import msgspec
import pytest

from edge import links_folder
from edge.links_folder import FolderLink
from tests.edge.site import until
from tests.edge.test_links_http import BYTES_MAX, DEVICE, TOLD_ONCE, Settings
from tests.edge.wired import Behind, behind


@asynccontextmanager
async def link(made: Behind, path: Path) -> AsyncIterator[FolderLink]:
    folder = FolderLink(made.wiring(Settings(), DEVICE), TOLD_ONCE, path=path, pattern="*.json", period_s=0.02)
    await folder.open()
    try:
        yield folder
    finally:
        folder.stop_reading()
        await folder.close()


def press(number: int) -> bytes:
    return msgspec.json.encode({"device": DEVICE, "number": number})


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_file())


async def test_files_are_read_in_order_and_put_away(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop):
        for number in range(5):
            (drop / f"{number}.json").write_bytes(press(number))
        (drop / "note.txt").write_bytes(press(9))
        (drop / ".5.json").write_bytes(press(9))
        await until(lambda: len(names(drop / "done")) == 5, "put away")
        assert [row.frame_id for row in made.rows()] == ["0", "1", "2", "3", "4"]
        assert names(drop) == [".5.json", "note.txt"]


async def test_a_file_that_still_grows_is_not_read(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop) as folder:
        (drop / "1.json").write_bytes(press(1)[:5])
        folder._seen = {"1.json": (0, 4, 0)}
        assert folder._ripe() == []
        (drop / "1.json").write_bytes(press(1))
        await until(lambda: [row.frame_id for row in made.rows()] == ["1"], "stored")


async def test_what_cannot_be_used_is_put_aside(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop):
        (drop / "1.json").write_bytes(b"x" * (BYTES_MAX + 1))
        (drop / "2.json").write_bytes(b"crash")
        (drop / "3.json").write_bytes(press(3))
        await until(lambda: names(drop / "done") == ["3.json"], "stored")
        assert names(drop / "bad") == ["1.json", "2.json"]
        assert len(made.rows()) == 1


async def test_a_full_disk_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop):
        made.disk_full(True)
        (drop / "1.json").write_bytes(press(1))
        await until(lambda: made.spool.failing, "the disk refuses")
        assert names(drop) == ["1.json"]
        made.disk_full(False)
        await until(lambda: names(drop / "done") == ["1.json"], "stored at last")
        assert len(made.rows()) == 1


async def test_a_file_that_is_written_anew_while_it_is_taken_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that writes `latest.json` again and again."""
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop):
        busy, hangs, write = Event(), Event(), made.file.write
        monkeypatch.setattr(made.file, "write", lambda *words: (busy.set(), hangs.wait(), write(*words)))
        (drop / "latest.json").write_bytes(press(1))
        await until(busy.is_set, "the first is on its way to the disk")
        (drop / "new").write_bytes(press(2))
        (drop / "new").replace(drop / "latest.json")
        hangs.set()
        await until(lambda: [row.frame_id for row in made.rows()] == ["1", "2"], "both are stored")


async def test_a_file_that_cannot_be_put_away_is_stored_once(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop):
        (drop / "done" / "1.json").mkdir()
        (drop / "1.json").write_bytes(press(-1))
        await until(made.rows, "stored")
        for number in (2, 3, 4):
            (drop / f"{number}.json").write_bytes(press(number))
            await until((drop / "done" / f"{number}.json").exists, "it holds up no other")
        assert [row.frame_id for row in made.rows()] == ["", "2", "3", "4"]


async def test_links_are_not_followed(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    (tmp_path / "secret.json").write_bytes(press(1))
    async with behind(tmp_path) as made, link(made, drop):
        (drop / "1.json").symlink_to(tmp_path / "secret.json")
        (drop / "2.json").write_bytes(press(2))
        await until(lambda: names(drop / "done") == ["2.json"], "stored")
        assert [row.frame_id for row in made.rows()] == ["2"]


async def test_only_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_folder, "KEPT_MAX", 3)
    drop = tmp_path / "drop"
    async with behind(tmp_path) as made, link(made, drop):
        for number in range(6):
            (drop / f"{number}.json").write_bytes(press(number))
        await until(lambda: len(made.rows()) == 6 and len(names(drop / "done")) == 3, "tidied")


async def test_a_folder_that_hangs_does_not_keep_the_link_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount that is gone; `asyncio.run` would wait for its own threads for ever."""
    hangs, go_on = Event(), Event()
    async with behind(tmp_path) as made:
        async with link(made, tmp_path / "drop") as folder:
            monkeypatch.setattr(folder, "_ripe", lambda: (hangs.set(), go_on.wait()))
            await until(hangs.is_set, "it hangs")
        await asyncio.get_running_loop().shutdown_default_executor()
        go_on.set()
