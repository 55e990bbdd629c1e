"""A GPIO value file: "1" or "0" is written to it and read back. Works with the kernel's files and with any other."""

from collections.abc import Callable
from pathlib import Path


class GpioFile:
    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def set(self, on: bool, done: Callable[[str], None]) -> None:
        wanted = "1" if on else "0"
        try:
            self._path.write_text(wanted)
            found = self._path.read_text().strip()
        except OSError as error:
            done(f"{self._path}: {error.strerror}")
            return
        done("" if found == wanted else f"{self._path} reads {found!r} after {wanted!r} was written")

    def close(self) -> None:
        """The output stays as it is."""
