"""Keeps a part of the agent going: a bug of ours in one part costs that part a second, never the siren or the spool."""

import traceback
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


def outcome_of(work: Callable[[], str | None]) -> str:
    """ "" when `work` is done, else why not; what it raises is a reason like any other, to be told to whoever asked."""
    try:
        return work() or ""
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({at.filename.rpartition('/')[2]}:{at.lineno})"
