"""Times that devices write on their own wall clock, without a zone. Pure.

Many protocols of the field give date and time as the installer's clock shows them. `LocalClock` turns such a time into
aware UTC and back; `read_iso` reads texts that may have a zone.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from devices.observation import TIME_INVALID

ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|z|[+-]\d\d:?\d\d)?", re.ASCII)
AHEAD_MAX = timedelta(minutes=10)  # nothing is observed in the future: from here on the device's clock is wrong
BEHIND_MAX = timedelta(days=90)  # no device keeps reports longer: older is a clock that was never set
STOPPED_AFTER = timedelta(hours=1)


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
        """Aware time as this wall clock shows it; as it is at the ends of the calendar."""
        try:
            return at.astimezone(self._zone)
        except OverflowError:
            return at


def read_iso(text: str, clock: LocalClock | None = None) -> datetime | None:
    """A time in ISO 8601, with a zone or without: then of `clock`, or UTC when there is none. None for no time."""
    found = ISO.fullmatch(text.strip())
    if found is None:
        return None
    whole, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(whole) + timedelta(seconds=float(fraction or 0))
        if zone is None and clock is not None:
            return clock.utc(at)
        offset = UTC if zone in (None, "Z", "z") else datetime.strptime(zone.replace(":", ""), "%z").tzinfo
        return at.replace(tzinfo=offset).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def observed(claimed: datetime | None, now: datetime, keep: bool = False) -> tuple[datetime, tuple[str, ...]]:
    """When something was, and flags. What the device claims, when that can be; else the time of receiving, flagged.

    `keep`: an impossible claim is flagged, but kept.
    """
    if claimed is None:
        return now, (TIME_INVALID,)
    if -AHEAD_MAX <= now - claimed <= BEHIND_MAX:
        return claimed, ()
    return (claimed if keep else now), (TIME_INVALID,)


def hour_of_doubt(claimed: datetime | None, now: datetime) -> bytes:
    """Goes into the name of an alarm's report: b"" when the claim is fresh, else the hour of receiving.

    Under a stopped clock two presses hours apart look the same on the wire; they must not count as one delivered twice.
    """
    if claimed is not None and abs(now - claimed) <= STOPPED_AFTER:
        return b""
    return b"%d" % (now.timestamp() // STOPPED_AFTER.total_seconds())
