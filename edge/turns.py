"""Connections that have much to say take turns, so that one that says "fire" is heard within a few milliseconds.

asyncio reads every connection that has bytes once a turn of its loop; when hundreds of them flood, a turn takes longer
than an alarm may. Here AT_ONCE of those that flood are read in a turn, in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 4


class Turns:
    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is this one's turn."""
        self._waiting.append(go_on)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._waiting.popleft()()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
