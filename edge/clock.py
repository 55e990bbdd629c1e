"""The edge's only clock: wall time for observations, monotonic time for waits."""

import asyncio
import time
from datetime import UTC, datetime

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never jump; only differences mean something."""
    return time.monotonic()


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
