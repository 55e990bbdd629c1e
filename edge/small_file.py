"""Small files of state_dir that outlive a power cut: written beside the old one, synced, then put in its place."""

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Durable when it returns, folder and name, too. Raises OSError; the old file is there then."""
    new = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
