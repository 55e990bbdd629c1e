"""One demo a folder: a second one would wipe the data under the first.

The kernel holds the lock for the process that opened the file, so it ends with the process, however that ends; the file
itself stays and means nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridward.processes import ProcessError

LOCK = "demo.lock"


@contextmanager
def only_demo(directory: Path) -> Iterator[None]:
    """Hold `directory`, which is made, for this process. Raises ProcessError when it cannot be written or is held."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ProcessError(f"--directory {directory}: {error.strerror}") from error
    try:
        _take(handle, directory)
        yield
    finally:
        os.close(handle)


def _take(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
        text = f"a demo runs here (pid {holder}): stop it or use --directory ({directory})"
        raise ProcessError(text) from error
    os.truncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
