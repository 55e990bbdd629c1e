"""A GPIO value file: "1" or "0" is written to it and read back. Works with the kernel's files and with any other.

The file is opened once, at the start, and made when it is not there: when all descriptors are taken later, the siren
has its own. It is opened again when another file has taken its place, or when the old one fails.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

READ_BYTES = 64
FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO without a reader must not hang the open
STATES = {b"1": True, b"0": False}


class GpioFile:
    answer_s_max = 2.0

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle: int | None = None

    def read(self) -> bool | None:
        """Opens the file, too; None when it holds neither "1" nor "0"."""
        try:
            return STATES.get(self._found(self._opened()))
        except OSError:
            return None

    def write(self, on: bool) -> str:
        wanted = b"1" if on else b"0"
        try:
            found = self._put(wanted)
        except OSError:
            self.close()
            try:
                found = self._put(wanted)
            except OSError as error:
                self.close()
                return f"{self._path}: {error.strerror}"
        if found == wanted:
            return ""
        return f"{self._path} reads {found.decode(errors='replace')!r} after {wanted.decode()!r} was written"

    def close(self) -> None:
        """The output stays as it is."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with suppress(OSError):
                os.close(handle)

    def _put(self, wanted: bytes) -> bytes:
        """What it reads after that. Raises OSError."""
        handle = self._opened()
        os.pwrite(handle, wanted, 0)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            with suppress(OSError):  # the kernel's own files have a size of their own
                os.ftruncate(handle, len(wanted))
        return self._found(handle)

    def _found(self, handle: int) -> bytes:
        return os.pread(handle, READ_BYTES, 0).strip()

    def _opened(self) -> int:
        if self._handle is not None and not self._is_there(self._handle):
            self.close()
        if self._handle is None:
            self._handle = os.open(self._path, FLAGS, 0o666)
        return self._handle

    def _is_there(self, handle: int) -> bool:
        try:
            return os.path.samestat(Path(self._path).stat(), os.fstat(handle))
        except OSError:
            return False
