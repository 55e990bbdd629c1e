"""Which gateways and devices the database knows, and when each device was heard.

Rules
- A gateway or device that no site file names is known from its first batch on. It is written in a transaction of its
  own before the batch is stored, so that the two lanes never wait for each other over a new device, and an alarm finds
  the site of its device whichever lane came first.
- `last_seen` is written every SEEN_PERIOD_S, not with each commit. It is an aid for people; a hub that is killed leaves
  it a moment behind.
- A gateway that belongs to no site has no devices; its observations are stored all the same.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from hub import clock
from hub.copy_rows import micros, text_array, time_array
from hub.parcel import Parcel
from hub.store import Store, StoreError

SEEN_PERIOD_S = 2.0
KNOWN_MAX = 200_000  # then it is forgotten and asked again
SEEN_MAX = 100_000  # devices heard in one period; what is more is seen in the next one


class Registry:
    """Shared by both lanes; `run()` as a task."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()  # devices, and gateways as "/name": no device has a slash in front
        self._seen: dict[str, datetime] = {}

    async def register(self, store: Store, parcels: Iterable[Parcel]) -> None:
        """Make known what is new in `parcels`, over the caller's connection. Raises StoreError."""
        new: dict[str, str] = {}
        gateways: set[str] = set()
        for parcel in parcels:
            if f"/{parcel.gateway}" not in self._known:
                gateways.add(parcel.gateway)
            new |= {device: parcel.gateway for device in parcel.series.latest.seen if device not in self._known}
        if not new and not gateways:
            return
        async with store.transaction() as tx:
            await tx.execute("gateways_register", gateways=sorted(gateways | set(new.values())))
            if new:
                await tx.execute("devices_register", devices=list(new), gateways=list(new.values()))
        if len(self._known) + len(new) > KNOWN_MAX:
            self._known.clear()
        self._known |= new.keys()
        self._known |= {f"/{gateway}" for gateway in gateways}

    def seen(self, heard: Mapping[str, datetime]) -> None:
        """Devices were heard at these times; written soon."""
        for device, at in heard.items():
            held = self._seen.get(device)
            if (held is None and len(self._seen) < SEEN_MAX) or (held is not None and held < at):
                self._seen[device] = at

    def last_seen(self, device: str, stored: datetime | None) -> datetime | None:
        """The newest that is known, written or not."""
        waiting = self._seen.get(device)
        return max(stored, waiting) if stored and waiting else stored or waiting

    async def run(self) -> None:
        """Write for ever; once more when cancelled is not worth the wait."""
        while True:
            await clock.sleep(SEEN_PERIOD_S)
            try:
                await self.write_seen()
            except StoreError:
                continue  # the store has said it; what waits is written later

    async def write_seen(self) -> None:
        """Raises StoreError; nothing is forgotten then."""
        if not self._seen:
            return
        written = dict(sorted(self._seen.items()))
        devices, times = text_array(list(written)), time_array(list(map(micros, written.values())))
        await self._store.execute("devices_seen", devices=devices, times=times)
        for device, at in written.items():
            if self._seen.get(device) == at:
                del self._seen[device]
