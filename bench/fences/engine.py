"""What is asked of every engine."""

from abc import ABC, abstractmethod

from bench.fences.events import Events
from bench.fences.world import Fixes


class Absent(Exception):
    """An engine that cannot run here; the text says why."""


class Engine(ABC):
    """One set of fences, made ready before anything is timed; every run starts with movers never heard of."""

    @abstractmethod
    def batch_s(self, fixes: Fixes) -> float:
        """Seconds until the events of all fixes are in memory."""

    @abstractmethod
    def events(self) -> Events:
        """Of the last batch_s."""

    def single_us(self, fixes: Fixes) -> list[float]:
        """Microseconds of each fix, called one by one; none by an engine that is not for single fixes."""
        return []

    def close(self) -> None:
        """Gives back what it holds beyond Python's objects."""
        return
