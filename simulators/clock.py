"""The simulators' only clock. Devices stamp their reports with it, as real ones do with theirs."""

import asyncio
import time
from datetime import UTC, datetime


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never jump; only differences mean something."""
    return time.monotonic()


async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
