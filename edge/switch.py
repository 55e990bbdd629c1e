"""One output on a thread of its own, so that what hangs behind it (a dead disk, a bus, a unit) never holds up the loop.

Rules
- Each wish is tried once and its outcome told once, from the thread. Whatever the output raises is an outcome, too.
- Of wishes that wait while the output is busy the newest wins; those that wanted the same share its outcome, the others
  are OVERTAKEN. At most WISHES_MAX wait, the oldest goes.
- A wish that was given up meanwhile (`void`) is not carried out any more.

Even a GPIO value file is written here and not in the loop: O_NONBLOCK does nothing for a regular file, and a pin behind
an I2C expander, or a file on a mount that is gone, can hang for seconds or for ever. Handing over costs well under a
millisecond (bench/siren.py).
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Thread
from typing import Protocol

from msgspec import Struct

from edge.supervisor import outcome_of

WISHES_MAX = 64
OVERTAKEN = "overtaken by a newer act"

Outcome = Callable[[str], None]  # "" when the output was seen to be in the wanted state, else why not


class Output(Protocol):
    """What is switched; called in one thread only."""

    answer_s_max: float  # when it has not come back by then, it hangs

    def read(self) -> bool | None:
        """How it stands; None when that cannot be told."""

    def write(self, on: bool) -> str:
        """Switch, and look whether it moved: "" or why not."""

    def close(self) -> None:
        """The output stays as it is."""


class Wish(Struct, eq=False):
    on: bool
    done: Outcome
    void: bool = False


class Switch:
    def __init__(self, name: str, output: Output, seen: Callable[[bool | None], None]) -> None:
        """`seen(how it stands)` is called once, from the thread, before anything is switched."""
        self.answer_s_max = output.answer_s_max
        self._output = output
        self._seen = seen
        self._wishes: deque[Wish] = deque()
        self._more = Condition()
        self._closing = False
        self._stands: bool | None = None
        self._thread = Thread(target=self._run, name=f"switch-{name}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def set(self, on: bool, done: Outcome) -> Wish:
        wish = Wish(on, done)
        with self._more:
            self._wishes.append(wish)
            gone = self._wishes.popleft() if len(self._wishes) > WISHES_MAX else None
            self._more.notify()
        if gone is not None and not gone.void:
            gone.done(OVERTAKEN)
        return wish

    def close(self) -> None:
        """What was wished before is tried, then the thread ends; does not wait for that."""
        with self._more:
            self._closing = True
            self._more.notify()

    def join(self, wait_s: float) -> None:
        self._thread.join(max(wait_s, 0.0))

    def _run(self) -> None:
        outcome_of(self._look)
        self._seen(self._stands)
        while wishes := self._waiting():
            on = wishes[-1].on
            error = outcome_of(partial(self._output.write, on))
            for wish in wishes:
                wish.done(error if wish.on == on else OVERTAKEN)
        outcome_of(self._output.close)

    def _look(self) -> None:
        self._stands = self._output.read()

    def _waiting(self) -> list[Wish]:
        """All wishes that wait and still count, at least one; none when it is time to end."""
        with self._more:
            while True:
                wishes = [wish for wish in self._wishes if not wish.void]
                self._wishes.clear()
                if wishes or self._closing:
                    return wishes
                self._more.wait()
