"""Folder links: somebody drops files; each is a message, in the order of their names.

Rules
- A file counts once it has not changed for `period_s`: who writes it may still be writing. Names that begin with a dot
  do not count, nor does anything but plain files.
- What was read is moved to `done/` below when it is durable, to `bad/` when it is too long or cannot be read. In both
  the newest KEPT_MAX stay. One that was written anew meanwhile stays, and is read as another; one that cannot be moved
  is not read again, and holds up no other.
- While the link holds, or the spool does not take it, files stay where they are.
"""

import asyncio
import os
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import structlog
from msgspec import Struct

from devices.family import CommandRefused, DeviceCommand, Message, MessageFamily
from devices.observation import Result
from edge import clock
from edge.flow import NO_WAY, Flow, LinkError, Seldom, Wiring, hand_over
from edge.mqtt import end
from edge.supervisor import apart, supervise

FILES_AT_ONCE = 100
KEPT_MAX = 1_000

log = structlog.get_logger()


Was = tuple[int, int, int]  # inode, size, modified in ns: as long as they stay it is the same file
READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # it may be something else by now


class Dropped(Struct, frozen=True):
    """`data` None: too long, or it cannot be read."""

    path: Path
    was: Was
    data: bytes | None


class FolderLink:
    def __init__(
        self, wiring: Wiring, family: MessageFamily, *, path: Path, pattern: str = "*", period_s: float = 1.0
    ) -> None:
        self.name = wiring.name
        self.port = 0
        self.flow = Flow(wiring.rows_max, lambda: None, lambda: None)
        self._wiring = wiring
        self._family = family
        self._session = family.open_session(wiring.settings, wiring.enrolled)
        self._path = path
        self._pattern = pattern
        self._period_s = period_s
        self._seen: dict[str, Was] = {}  # when last looked
        self._stuck: dict[str, tuple[Was, str]] = {}  # read, and could not be moved to there
        self._crash, self._unreadable = Seldom(), Seldom()
        self._looking: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return 1

    async def open(self) -> None:
        """Raises LinkError."""
        try:
            for folder in (self._path, self._path / "done", self._path / "bad"):
                await apart(partial(folder.mkdir, parents=True, exist_ok=True))
        except OSError as error:
            raise LinkError(f"link {self.name}: {self._path}: {error.strerror}") from error
        self._looking = asyncio.create_task(supervise(f"link {self.name}", self._look_for_ever))

    def stop_reading(self) -> None:
        self.flow.stop()

    async def close(self) -> None:
        if self._looking is not None:
            await end([self._looking])

    def sweep(self) -> None:
        """Nothing waits in this link."""

    def command(self, command: DeviceCommand, now: datetime) -> None:
        raise CommandRefused(NO_WAY)

    async def _look_for_ever(self) -> None:
        while True:
            await clock.sleep(self._period_s)
            if self.flow.holding:
                continue
            try:
                await self._look()
            except OSError as error:
                self._say_unreadable(error)

    async def _look(self) -> None:
        for dropped in await apart(self._ripe):
            name = dropped.path.name
            was, where = self._stuck.pop(name, (None, ""))
            if was != dropped.was:
                where = await self._take(dropped)
            if where and not await apart(self._put_away, dropped, where):
                self._stuck[name] = (dropped.was, where)
        await apart(self._tidy)

    def _ripe(self) -> list[Dropped]:
        """What has not changed since last looked, oldest name first; what is stuck comes last."""
        with os.scandir(self._path) as entries:
            plain = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        found = {
            entry.name: _was(entry.stat(follow_symlinks=False))
            for entry in plain
            if fnmatchcase(entry.name, self._pattern) and not entry.name.startswith(".")
        }
        self._stuck = {name: stuck for name, stuck in self._stuck.items() if name in found}
        ripe = sorted(name for name, was in found.items() if self._seen.get(name) == was)
        ripe.sort(key=self._stuck.__contains__)
        self._seen = found
        return [self._read(self._path / name, found[name]) for name in ripe[:FILES_AT_ONCE]]

    def _read(self, path: Path, was: Was) -> Dropped:
        try:
            with os.fdopen(os.open(path, READING), "rb") as file:
                was = _was(os.fstat(file.fileno()))
                data = file.read(self._family.message_bytes_max + 1)
        except OSError:
            return Dropped(path, was, None)
        return Dropped(path, was, data if len(data) <= self._family.message_bytes_max else None)

    async def _take(self, dropped: Dropped) -> str:
        """Where the file belongs now, "" when it stays."""
        if dropped.data is None:
            log.warning("file_refused", link=self.name, file=dropped.path.name)
            return "bad"
        results = self._receive(Message(f"file {dropped.path.name}", dropped.data))
        if results is None:
            return "bad"
        if await hand_over(self._wiring, self.flow, results) is None:
            return "done"
        self._begin_anew()  # it believes that it has told what nobody took
        return ""

    def _receive(self, message: Message) -> list[Result] | None:
        """None when the session crashed over it."""
        try:
            return self._session.receive(message, clock.now())
        except Exception:
            self._begin_anew()
            if self._crash.due():
                log.exception("link_crashed", link=self.name)
            return None

    def _begin_anew(self) -> None:
        self._session = self._family.open_session(self._wiring.settings, self._wiring.enrolled)

    def _put_away(self, dropped: Dropped, where: str) -> bool:
        """Whether it is not there any more as it was read."""
        path = dropped.path
        try:
            if _was(path.stat(follow_symlinks=False)) == dropped.was:
                path.replace(self._path / where / path.name)
        except OSError as error:
            if path.exists():
                self._say_unreadable(error)
                return False
        return True

    def _say_unreadable(self, error: OSError) -> None:
        if self._unreadable.due():
            log.error("folder_unreadable", link=self.name, error=error.strerror)

    def _tidy(self) -> None:
        for where in ("done", "bad"):
            files = (path for path in (self._path / where).iterdir() if path.is_file())
            kept = sorted(files, key=lambda path: path.stat().st_mtime_ns)
            for path in kept[: max(len(kept) - KEPT_MAX, 0)]:
                path.unlink()


def _was(found: os.stat_result) -> Was:
    return found.st_ino, found.st_size, found.st_mtime_ns
