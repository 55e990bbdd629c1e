"""How the gateway itself is: what it measures of itself, and how far its clock is from the hub's.

`resident_memory_mb` and `disk_free_mb` are megabytes of 10^6 bytes.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from devices.dictionary import in_range
from devices.observation import DeviceId, Event, Observation, Telemetry

MB = 1_000_000
STATM = Path("/proc/self/statm")


class Skew:
    """Gateway clock minus hub clock, from receipts that came just now. Pure.

    What a receipt spends on its way makes the difference look greater than it is, never smaller: the smallest one of
    a period counts.
    """

    def __init__(self) -> None:
        self._smallest: float | None = None
        self.seconds = 0.0
        self.known = False

    def receipt(self, committed_at: datetime, now: datetime) -> None:
        difference = (now - committed_at).total_seconds()
        self._smallest = difference if self._smallest is None else min(self._smallest, difference)

    def settle(self) -> None:
        """The end of a period; without a receipt in it the last known skew stays."""
        if self._smallest is not None:
            self.seconds, self.known = round(self._smallest, 3), True
        self._smallest = None


def gateway_device(gateway: str) -> DeviceId:
    """The device that a gateway is in its own reports."""
    return DeviceId(f"gateway:{gateway}")


def telemetry(device: DeviceId, now: datetime, values: Mapping[str, float]) -> Observation:
    """What cannot be (a clock that is centuries off) is left out, as with any device."""
    good = {name: value for name, value in values.items() if in_range(name, value)}
    return Observation(device=device, observed_at=now, received_at=now, body=Telemetry(good))


def event(device: DeviceId, now: datetime, kind: str, attributes: dict[str, str]) -> Observation:
    return Observation(device=device, observed_at=now, received_at=now, body=Event(kind=kind, attributes=attributes))


def resident_memory_mb() -> float:
    """0.0 where the system does not tell."""
    try:
        pages = int(STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / MB, 2)


def disk_free_mb(folder: Path) -> float:
    """What an ordinary user may still write beside the spool."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0.0
    return round(found.f_bavail * found.f_frsize / MB, 1)
