"""How a Hikvision session catches up after an outage, and the ways in which it drives doors. Pure; bounded.

The log is asked for page by page, from the last thing that was heard (at most `back`) to now. What
it brings that came by the stream, too, has the same name and counts once.
"""

from datetime import datetime, timedelta

from devices.doors import Way
from devices.families import hikvision_isapi as isapi
from devices.families.hikvision_wire import Alert
from devices.family import Message
from devices.local_time import LocalClock

PAGES_MAX = 300
OVERLAP = timedelta(minutes=2)  # the device's clock is not ours
WAYS = {
    "open": Way("open a door once", "open", "unlocked"),
    "close": Way("lock a door, and end what always_open or always_closed began", "close", "locked"),
    "always_open": Way("keep a door unlocked", "alwaysOpen", "unlocked"),
    "always_closed": Way("keep a door locked, also for those who may pass", "alwaysClose", "locked"),
}


class Log:
    def __init__(self, time_zone: str, back: timedelta) -> None:
        self._clock = LocalClock(time_zone)
        self._back = back
        self._heard_at: datetime | None = None
        self._search: isapi.Search | None = None
        self._pages = 0

    def heard(self, now: datetime) -> None:
        """The stream brought something. While records of an outage are still to come, that outage is not over."""
        if self._search is None:
            self._heard_at = now

    def begin(self, now: datetime) -> list[Message]:
        """The first request of a search; none where nothing is wanted."""
        self._search, self._pages = None, 0
        if not self._back:
            return []
        since = max(now - self._back, self._heard_at - OVERLAP if self._heard_at else now - self._back)
        self._search = isapi.Search(self._clock.local(since), self._clock.local(now + OVERLAP))
        return [self._search.request()]

    def answered(self, answer: Message, now: datetime) -> tuple[list[Alert], list[Message]]:
        """Records, and what is to be asked next. A device without such a log (a camera) refuses, and that is all."""
        search, self._search = self._search, None
        page = isapi.read_page(answer.data, self._clock) if answer.headers.get("status") == "200" else None
        if search is None or page is None:
            return [], []
        self._pages += 1
        if not page.more or not page.count or self._pages >= PAGES_MAX:
            self._heard_at = now
            return page.records, []
        self._search = isapi.Search(search.since, search.until, search.position + page.count)
        return page.records, [self._search.request()]
