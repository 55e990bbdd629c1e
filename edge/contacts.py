"""Supervision: which enrolled devices have been silent for longer than their family allows. Pure.

Rules
- The clock of a device starts when the agent does. Whatever it sends counts, a heartbeat too.
- A device that is overdue raises `lost_contact` once; the first word from it clears that.
- Which devices are lost outlives a restart (`lost`), so that the clear is not forgotten.
- Silence is measured in monotonic seconds (`at`): a wall clock that is set must not make every device lost.
- Seconds in which the gateway itself did not listen are added to a device's time (`excuse`), no more than these, and
  only for devices of the link that was not listened to: the one they were last heard on, at first the one of their
  family. A link that is busy hides nobody on another one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from devices.observation import Alarm, DeviceId, Observation

KIND = "lost_contact"


class Contacts:
    def __init__(
        self, silence_s_max: Mapping[DeviceId, float], lost: Iterable[str], at: float, links: Mapping[DeviceId, str]
    ) -> None:
        """`links`: where a device will be heard, as far as that is known."""
        self._limits = dict(silence_s_max)
        self._links = dict(links)
        self._heard_at: dict[DeviceId, float] = dict.fromkeys(self._limits, at)
        self._lost = {device for device in self._limits if device in set(lost)}
        self._unclaimed = set(lost) - self._limits.keys()  # lost before the restart, and not enrolled so far

    @property
    def lost(self) -> list[DeviceId]:
        return sorted(self._lost)

    def heard(self, device: DeviceId, link: str, at: float, now: datetime) -> Observation | None:
        """The clearing of the alarm, when there was one."""
        if device in self._heard_at:
            self._heard_at[device] = at
            self._links[device] = link
        if device not in self._lost:
            return None
        self._lost.discard(device)
        return _alarm(device, now, raised=False)

    def overdue(self, at: float, now: datetime) -> list[Observation]:
        """An alarm for each device that has become silent since last asked."""
        silent = [
            device
            for device, limit in self._limits.items()
            if at - self._heard_at[device] > limit and device not in self._lost
        ]
        self._lost.update(silent)
        return [_alarm(device, now, raised=True) for device in silent]

    def gone(self, now: datetime) -> list[Observation]:
        """The clearing for devices that were lost when they were taken out of the configuration."""
        gone, self._unclaimed = sorted(self._unclaimed), set()
        return [_alarm(DeviceId(device), now, raised=False) for device in gone]

    def watch(self, device: DeviceId, silence_s_max: float, link: str, at: float) -> None:
        """It is enrolled from now on. `link`: where it will be heard, "" when that is not known."""
        self._limits[device] = silence_s_max
        self._heard_at[device] = at
        if link:
            self._links[device] = link
        if device in self._unclaimed:
            self._unclaimed.discard(device)
            self._lost.add(device)

    def forget(self, device: DeviceId, now: datetime) -> Observation | None:
        """It is enrolled no more; the clearing of its alarm, when there was one."""
        for known in (self._limits, self._heard_at, self._links):
            known.pop(device, None)
        if device not in self._lost:
            return None
        self._lost.discard(device)
        return _alarm(device, now, raised=False)

    def excuse(self, seconds: float, at: float, link: str = "") -> None:
        """The gateway did not listen for so long, until `at`: on one link, or ("") at all."""
        for device, heard_at in self._heard_at.items():
            if not link or self._links.get(device) == link:
                self._heard_at[device] = min(heard_at + seconds, at)


def _alarm(device: DeviceId, now: datetime, raised: bool) -> Observation:
    return Observation(device=device, observed_at=now, received_at=now, body=Alarm(kind=KIND, raised=raised))
