"""How long a link waits before it tries again: full jitter, twice as long at most with each trouble."""

import random

from edge import clock

FIRST_S = 0.5
LONGEST_S = 60.0
HEALTHY_S = 60.0  # it went well for so long: the next trouble starts with the short wait again

_jitter = random.SystemRandom()


class Pause:
    """`begin` with each attempt; `seconds` when it has ended, for how long to wait."""

    def __init__(self) -> None:
        self._attempt = 0
        self._began = clock.monotonic()

    def begin(self) -> None:
        self._began = clock.monotonic()

    def reset(self) -> None:
        """It went well, however short it was."""
        self._attempt = 0

    def seconds(self) -> float:
        self._attempt = 0 if clock.monotonic() - self._began > HEALTHY_S else self._attempt + 1
        return _jitter.uniform(0, min(LONGEST_S, FIRST_S * 2.0 ** min(self._attempt, 10)))
