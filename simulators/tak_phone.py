"""A phone or watch with TAK, as a TAK server passes its events on: Cursor on Target, XML, one event after the other.

    <event uid type how time start stale><point lat lon hae ce le/><detail>…</detail></event>
    a-f-G-U-C where it is; b-a-o-pan an alert with a link to its sender, b-a-o-can takes it back

Nothing is confirmed. Settings: `report_every_s` and those of whereabouts.py. Actions: emergency, cancel.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from xml.sax.saxutils import quoteattr

from msgspec import convert

from simulators.device import Accepted
from simulators.scripted import Placed, Talker, no_args

UNIT = "a-f-G-U-C"
ALERT, CANCEL = "b-a-o-pan", "b-a-o-can"
STALE = timedelta(minutes=10)


class TakPhone(Talker):
    WHAT, FAMILY = "a TAK phone", "cot"
    ACTIONS: ClassVar = no_args("emergency", "cancel")
    CONFIRMED = False

    def happened(self, action: str, said: Any, at: datetime) -> None:
        link = f'<link uid={quoteattr(self.native_id)} type="{UNIT}" relation="p-p"/>'
        words = 'type="Ring The Bell"' if action == "emergency" else 'cancel="true"'
        detail = f"<emergency {words}>{self.native_id}</emergency>{link}"
        row = self.row("sos", at, raised=action == "emergency")
        self._event(f"{self.native_id}-9-1-1", ALERT if action == "emergency" else CANCEL, at, detail, row)

    def measured(self, at: datetime) -> None:
        spot = self.where(at)
        row = self.row("position", at, longitude=spot.longitude, latitude=spot.latitude)
        self._event(self.native_id, UNIT, at, '<status battery="80"/>', row)

    def _event(self, uid: str, kind: str, at: datetime, detail: str, row: Accepted) -> None:
        start, stale = (f"{time:%Y-%m-%dT%H:%M:%S}.000Z" for time in (at, at + STALE))
        spot = self.where(at)
        point = f'<point lat="{spot.latitude}" lon="{spot.longitude}" hae="12" ce="5" le="9999999"/>'
        head = f'<event version="2.0" uid={quoteattr(uid)} type="{kind}" how="m-g" time="{start}"'
        text = f'{head} start="{start}" stale="{stale}">{point}<detail>{detail}</detail></event>'
        self.tell(self.next_key(), text.encode(), row)


def build(native_id: str, settings: dict[str, Any], seed: int) -> TakPhone:
    """Raises ValueError for an id with characters that mean something in XML."""
    if set("<&>\"'") & set(native_id):
        raise ValueError(f"a uid without <, &, > and quotes, not {native_id!r}")
    return TakPhone(native_id, convert(settings, Placed), seed)
