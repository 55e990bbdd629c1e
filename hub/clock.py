"""The one place of this package that reads a clock or waits."""

import asyncio
import time
from datetime import UTC, datetime


def now() -> datetime:
    """The current instant, aware, UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never go backwards; only differences mean anything."""
    return time.monotonic()


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
