"""What each device of a link last said of itself, so that only news is told. Pure but for its memory, which is bounded.

Rules
- A raised alarm is told each time the device tells it. A cleared one is told once: when it was raised before, or when
  nothing is known yet (the link is new, an alarm from before may still be open at the hub).
- A state (a door, a lock) is told when it is not the one told last.
- More than `devices_max` devices: the one that is known longest is forgotten. Forgetting costs a repetition, no news.
- What a report is told as depends on what was told before it, so its bodies are named by what they are (`frame_id`),
  not by number: two deliveries of one report have equal names for what they have in common.
"""

from collections.abc import Mapping

from devices.observation import Alarm, Body, Event, Telemetry, digest

DEVICES_MAX = 10_000
NAMES_MAX = 200  # of one device

Component = str
Kind = str


class Conditions:
    def __init__(self, devices_max: int = DEVICES_MAX) -> None:
        self._devices_max = devices_max
        self._known: dict[str, dict[str, str]] = {}

    def alarms(self, device: str, found: Mapping[tuple[Component, Kind], bool]) -> list[Alarm]:
        """The alarms that are worth telling, raised ones first."""
        told = []
        for (component, kind), raised in sorted(found.items(), key=lambda item: (not item[1], item[0])):
            if self.changed(device, f"alarm {kind} {component}", str(raised)) or raised:
                told.append(Alarm(kind=kind, raised=raised, component=component))
        return told

    def changed(self, device: str, name: str, value: str) -> bool:
        """Whether `value` is news; it is remembered."""
        known = self._known.get(device)
        if known is None:
            if len(self._known) >= self._devices_max:
                del self._known[next(iter(self._known))]
            known = self._known[device] = {}
        if known.get(name) == value:
            return False
        if len(known) >= NAMES_MAX and name not in known:
            del known[next(iter(known))]
        known[name] = value
        return True


def frame_id(report: str, body: Body, part: str = "") -> str:
    """The name of one body of a report; "" when the report has none. `part` tells apart what else is equal."""
    if not report:
        return ""
    words = [part, type(body).__name__]
    if isinstance(body, Alarm):
        words += [body.kind, str(body.raised)]
    if isinstance(body, Event):
        words += [body.kind, *body.attributes]
    if isinstance(body, Alarm | Event | Telemetry):
        words.append(body.component)
    return digest(report.encode(), *(word.encode() for word in words))
