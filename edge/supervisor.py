"""Keeps a part of the agent going: a bug of ours in one part costs that part a second, never the siren or the spool."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

import structlog

from edge import clock

PAUSE_S = 1.0

T = TypeVar("T")

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


async def apart(work: Callable[..., T], *words: object) -> T:
    """`work(*words)` in a thread of its own, for what may hang. asyncio's own threads are few, and waited for at the
    end: some mounts or buses that hang would keep a command from being recorded, and one would keep the process from
    ending. A caller starts one at a time."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        if not told.done():
            settle()

    def run() -> None:
        try:
            settle = partial(told.set_result, work(*words))
        except Exception as error:
            settle = partial(told.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(tell, settle)

    Thread(target=run, name="apart", daemon=True).start()
    return await told
