"""The ground truth of a scenario: which alarms and events its world must lead to, on which device and when. Pure.

The scenario is played without lines and without waiting: every event acts on its device at its own second, and what the
device would report of it is the truth. Positions and counters are left out; a report that only repeats what is raised
already is not told again. The same scenario always gives the same truth.

A line of the file: {"at_s": 15.0, "device": "gbt26875:889", "kind": "smoke", "raised": true, "component": "1-3-0x…",
"action": "smoke"}. Its wall-clock time is the start of the play plus at_s divided by its speed. `raised` is null for
events, which only happen.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from simulators.device import Accepted, ActionError
from simulators.scenario import ScenarioError, build
from simulators.spec import Scenario

START = datetime(2026, 1, 1, tzinfo=UTC)
NO_ALARM = ("position", "telemetry")
PRESSED = {("watch", "sos"), ("watch", "fall")}  # never taken back by the device: each press counts


class Truth(Struct, frozen=True, kw_only=True):
    at_s: float
    device: str
    kind: str
    raised: bool | None
    component: str
    action: str


def truth_of(scenario: Scenario, where: str = "scenario") -> tuple[Truth, ...]:
    """In the order of time; raises ScenarioError, naming the event, for what a device cannot do."""
    devices = {spec.device: build(spec, scenario.seed, where) for spec in scenario.devices}
    raised: set[tuple[str, str, str]] = set()
    found: list[Truth] = []
    numbered = sorted(enumerate(scenario.events), key=lambda pair: pair[1].at_s)
    for index, event in numbered:
        device = devices[event.device]
        try:
            device.act(event.action, event.args, START + timedelta(seconds=event.at_s))
        except ActionError as error:
            raise ScenarioError(f"{where}: events[{index}].action: {error}") from error
        for row in _news(device.owed(), raised):
            found.append(
                Truth(
                    at_s=event.at_s,
                    device=row.device,
                    kind=row.kind,
                    raised=row.values.get("raised"),
                    component=row.component,
                    action=event.action,
                )
            )
    return tuple(found)


def _news(rows: list[Accepted], raised: set[tuple[str, str, str]]) -> Iterator[Accepted]:
    """The alarms and events among `rows` that change something; `raised` is kept up to date."""
    for row in rows:
        if row.kind in NO_ALARM:
            continue
        key = (row.device, row.kind, row.component)
        now_raised = row.values.get("raised")
        if now_raised is True and key in raised:
            continue
        if now_raised is True and (row.device.partition(":")[0], row.kind) not in PRESSED:
            raised.add(key)
        if now_raised is False:
            raised.discard(key)
        yield row
