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
OVERLAP = timedelta(minutes=2)
AHEAD_MAX = timedelta(days=31)  # of a clock that is wrong; nothing is recorded in the device's own future
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
        self._ahead = timedelta()  # the device's clock minus ours
        self._open = False  # records of an outage are still to come: it is not over
        self._search: isapi.Search | None = None
        self._pages = 0

    def heard(self, alert: Alert | None, now: datetime) -> None:
        """The stream brought something."""
        if not self._open:
            self._heard_at = now
        live = alert is not None and (alert.passage is None or alert.passage.current is not False)
        if live and alert is not None and alert.time is not None:
            self._ahead = min(max(alert.time - now, -AHEAD_MAX), AHEAD_MAX)

    def begin(self, now: datetime) -> list[Message]:
        """The first request of a search; none where nothing is wanted."""
        self._search, self._pages = None, 0
        if not self._back:
            return []
        since = max(now - self._back, self._heard_at - OVERLAP if self._heard_at else now - self._back)
        self._search = isapi.Search(self._clock.local(since + self._ahead), self._clock.local(now + AHEAD_MAX))
        self._open = True
        return [self._search.request()]

    def answered(self, answer: Message, now: datetime) -> tuple[list[Alert], list[Message]]:
        """Records, and what is to be asked next. A device without such a log (a camera) refuses, and that is all; one
        that did not answer is asked again when the stream begins again."""
        search, self._search = self._search, None
        status = answer.headers.get("status", "")
        page = isapi.read_page(answer.data, self._clock) if status == "200" else None
        if search is None or not status:
            return [], []
        self._pages += 1
        if page is None or not page.more or not page.count or self._pages >= PAGES_MAX:
            self._open, self._heard_at = False, now
            return page.records if page is not None else [], []
        self._search = isapi.Search(search.since, search.until, search.position + page.count)
        return page.records, [self._search.request()]
