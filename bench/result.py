"""One measured number, and what it is to be compared with."""

from msgspec import Struct


class Result(Struct, frozen=True, kw_only=True):
    """`limit` is measured in the same run (same unit as `value`), so that the ratio holds on any machine.

    `goal` reads as it is written in the plan ("≥ 0.50×", "p99 ≤ 100 ms"); `met` is None when there is no goal.
    """

    name: str  # "gbt26875 decode"
    value: float
    unit: str  # "frames/s", "ms", "MB"
    limit: float | None = None
    limit_name: str = ""  # "bare relay", "psql \\copy"
    goal: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the limit; None when nothing was measured beside it."""
        return self.value / self.limit if self.limit else None
