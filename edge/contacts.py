"""Supervision: which enrolled devices have been silent for longer than their family allows. Pure.

Rules
- The clock of a device starts when the agent does. Whatever it sends counts, a heartbeat too.
- A device that is overdue raises `lost_contact` once; the first word from it clears that.
- Which devices are lost outlives a restart (`lost`), so that the clear is not forgotten.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from devices.observation import Alarm, DeviceId, Observation

KIND = "lost_contact"


class Contacts:
    def __init__(self, silence_s_max: Mapping[DeviceId, float], lost: Iterable[str], now: datetime) -> None:
        self._limits = {device: timedelta(seconds=seconds) for device, seconds in silence_s_max.items()}
        self._heard_at = dict.fromkeys(self._limits, now)
        self._lost = {device for device in self._limits if device in set(lost)}

    @property
    def lost(self) -> list[DeviceId]:
        return sorted(self._lost)

    def heard(self, observation: Observation) -> Observation | None:
        """The clearing of the alarm, when there was one."""
        device, now = observation.device, observation.received_at
        if device not in self._heard_at:
            return None
        self._heard_at[device] = now
        if device not in self._lost:
            return None
        self._lost.discard(device)
        return _alarm(device, now, raised=False)

    def overdue(self, now: datetime) -> list[Observation]:
        """An alarm for each device that has become silent since last asked."""
        silent = [
            device
            for device, limit in self._limits.items()
            if device not in self._lost and now - self._heard_at[device] > limit
        ]
        self._lost.update(silent)
        return [_alarm(device, now, raised=True) for device in silent]


def _alarm(device: DeviceId, now: datetime, raised: bool) -> Observation:
    return Observation(device=device, observed_at=now, received_at=now, body=Alarm(kind=KIND, raised=raised))
