"""A disk that fills up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.small_disk import small_disk_at

DISK_BYTES = 40_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of DISK_BYTES; skipped where this user may not mount one."""
    with small_disk_at(tmp_path / "disk", DISK_BYTES) as folder:
        yield folder
