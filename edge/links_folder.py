"""Folder links: somebody drops files; each is a message, in the order of their names.

Rules
- A file counts once it has not changed for `period_s`: who writes it may still be writing. Names that begin with a dot
  do not count, nor does anything but plain files.
- What was read is moved to `done/` below when it is durable, to `bad/` when it is too long or cannot be read. In both
  the newest KEPT_MAX stay.
- While the link holds, or the spool does not take it, files stay where they are.
"""

import asyncio
import os
from fnmatch import fnmatchcase
from pathlib import Path

import structlog
from msgspec import Struct

from devices.family import Message, MessageFamily
from devices.observation import Result
from edge import clock
from edge.flow import Flow, LinkError, Seldom, Wiring, hand_over
from edge.mqtt import end
from edge.supervisor import supervise

FILES_AT_ONCE = 100
KEPT_MAX = 1_000

log = structlog.get_logger()


class Dropped(Struct, frozen=True):
    """`data` None: too long, or it cannot be read."""

    path: Path
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
        self._sizes: dict[str, tuple[int, int]] = {}  # name -> (size, modified in ns) when last looked
        self._crash, self._unreadable = Seldom(), Seldom()
        self._looking: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        return 1

    async def open(self) -> None:
        """Raises LinkError."""
        try:
            for folder in (self._path, self._path / "done", self._path / "bad"):
                await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
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

    async def _look_for_ever(self) -> None:
        while True:
            await clock.sleep(self._period_s)
            if self.flow.holding:
                continue
            try:
                for dropped in await asyncio.to_thread(self._ripe):
                    await self._take(dropped)
                await asyncio.to_thread(self._tidy)
            except OSError as error:
                if self._unreadable.due():
                    log.error("folder_unreadable", link=self.name, error=error.strerror)

    def _ripe(self) -> list[Dropped]:
        """What has not changed since last looked, oldest name first."""
        with os.scandir(self._path) as entries:
            plain = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        found = {
            entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns)
            for entry in plain
            if fnmatchcase(entry.name, self._pattern) and not entry.name.startswith(".")
        }
        ripe = sorted(name for name, size in found.items() if self._sizes.get(name) == size)
        self._sizes = found
        return [self._read(self._path / name) for name in ripe[:FILES_AT_ONCE]]

    def _read(self, path: Path) -> Dropped:
        try:
            with path.open("rb") as file:
                data = file.read(self._family.message_bytes_max + 1)
        except OSError:
            return Dropped(path, None)
        return Dropped(path, data if len(data) <= self._family.message_bytes_max else None)

    async def _take(self, dropped: Dropped) -> None:
        if dropped.data is None:
            log.warning("file_refused", link=self.name, file=dropped.path.name)
            await asyncio.to_thread(self._put_away, dropped.path, "bad")
            return
        results = self._receive(Message(f"file {dropped.path.name}", dropped.data))
        if results is None:
            await asyncio.to_thread(self._put_away, dropped.path, "bad")
        elif await hand_over(self._wiring, self.flow, results) is None:
            await asyncio.to_thread(self._put_away, dropped.path, "done")
        else:
            self._begin_anew()  # it believes that it has told what nobody took

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

    def _put_away(self, path: Path, where: str) -> None:
        path.replace(self._path / where / path.name)

    def _tidy(self) -> None:
        for where in ("done", "bad"):
            kept = sorted((self._path / where).iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for path in kept[: max(len(kept) - KEPT_MAX, 0)]:
                path.unlink()
