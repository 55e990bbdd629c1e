"""Which of a device's equal reports was sent again, and which was said again. Pure; bounded.

For protocols whose reports carry a short number and no time. After its battery was changed a radio counts from the
beginning: its second emergency is its first one, byte for byte, and must not be taken for a copy of that.

Rules
- A report that comes within REPEAT of its last copy is the same one; a later one is new.
- What a new link sees for the first time gets the name that a link before would have given it within this hour: a
  report that is sent again after a broken connection is not new.
- More than `reports_max`: the one not heard of for longest is forgotten.
"""

from datetime import datetime, timedelta

from devices.local_time import hour_of_doubt
from devices.observation import digest

REPEAT = timedelta(minutes=5)


class Repeats:
    def __init__(self, reports_max: int) -> None:
        self._reports_max = reports_max
        self._named: dict[str, tuple[str, datetime]] = {}  # name, when it came last; the latest last

    def name(self, now: datetime, *parts: bytes) -> str:
        """The frame id of the report that consists of `parts`."""
        key = digest(*parts)
        before = self._named.pop(key, None)
        if before is None:
            name = digest(*parts, hour_of_doubt(None, now))
        elif abs(now - before[1]) <= REPEAT:
            name = before[0]
        else:
            name = digest(*parts, now.isoformat().encode())
        self._named[key] = (name, now)
        if len(self._named) > self._reports_max:
            del self._named[next(iter(self._named))]
        return name
