"""Keeps a part of the agent going: a bug of ours in one part costs that part a second, never the siren or the spool."""

from collections.abc import Awaitable, Callable

import structlog

from edge import clock

PAUSE_S = 1.0

log = structlog.get_logger()


async def supervise(part: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` for ever; what it raises is logged, and it starts again."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("part_crashed", part=part)
        await clock.sleep(PAUSE_S)
