"""Times that devices write on their own wall clock, without a zone. Pure.

Many protocols of the field give date and time as the installer's clock shows them. `LocalClock` turns such a time into
aware UTC and back.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

AHEAD_MAX = timedelta(days=1)  # a report from further in the future is the device's mistake
BEHIND_MAX = timedelta(days=30)  # between the clock of a report and that of the frame that carries it


class LocalClock:
    """The wall clock of one named time zone; raises ValueError for a name that does not exist."""

    def __init__(self, time_zone: str) -> None:
        try:
            self._zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(f"no time zone {time_zone!r}; expected a name such as Asia/Shanghai") from error

    def utc(self, shown: datetime | None) -> datetime | None:
        """What the clock shows (naive, None for no date) as aware UTC; None when that is beyond the calendar."""
        try:
            return shown and shown.replace(tzinfo=self._zone).astimezone(UTC)
        except OverflowError:
            return None

    def local(self, at: datetime) -> datetime:
        """Aware time as this wall clock shows it."""
        return at.astimezone(self._zone)


def believable(claimed: datetime | None, now: datetime, reference: datetime | None = None) -> bool:
    """Whether a device's claim about when something was can be kept. `reference`: what the same device says now is."""
    if claimed is None or claimed - now > AHEAD_MAX:
        return False
    return reference is None or reference - claimed < BEHIND_MAX
