"""`gridward demo --check`: the demo as its own operator and auditor.

Operator: every incident is worked through the public HTTP API exactly as a person would: acknowledge, dispatch, arrive,
resolve once its alarms are cleared, close. What never clears (an SOS has no "all clear" on the wire) is closed as
isolated, with a reason, after the scenario has ended.
Auditor: what devices were told was accepted (the simulators' ledger) is compared with the database, row by row.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from gridward import clock
from gridward.hub_client import HubClient, HubError
from gridward.ledger import Balance, reconcile
from gridward.postgres import rows
from gridward.processes import ProcessError
from gridward.stack import Stack

LOOK_S = 0.2
PLAY_S_MAX = 900.0
SETTLE_S_MAX = 45.0
ISOLATE_AFTER_S = 5.0
NEXT = {"open": "acknowledge", "acknowledged": "dispatch", "dispatched": "arrive"}
REASONS = {"resolve": "rehearsal: seen on site, handled", "close": "rehearsal: verified"}
ISOLATED = "rehearsal: checked on site, the device sends no all-clear"
SHOWN_MAX = 10
HUBS_OWN = ("raise", "clear", "merge", "absorb")


class AlarmTimes(Struct, frozen=True):
    """The four times of one alarm; `seen` is None when no operator opened its incident."""

    incident: int
    device: str
    kind: str
    observed: datetime
    received: datetime
    committed: datetime
    seen: datetime | None
    late: bool


class Report(Struct, frozen=True, kw_only=True):
    """What happened, and whether all of it was as promised."""

    stored: dict[str, int]
    balance: Balance
    incidents: list[dict[str, Any]]
    alarms: list[AlarmTimes]
    seconds: float

    @property
    def unclosed(self) -> list[int]:
        return [incident["incident"] for incident in self.incidents if incident["phase"] != "closed"]

    @property
    def complaints(self) -> list[str]:
        """Why the verdict is not clean; empty when it is."""
        found = []
        if not self.balance.accepted:
            found.append("no report was accepted: nothing was shown")
        if not self.incidents:
            found.append("no incident was opened: nothing was shown")
        if self.balance.lost:
            found.append(f"{len(self.balance.lost)} accepted reports are not in the database")
        if self.balance.twice:
            found.append(f"{len(self.balance.twice)} accepted reports are in the database twice")
        if self.unclosed:
            found.append(f"incidents not closed: {self.unclosed}")
        return found

    @property
    def clean(self) -> bool:
        return not self.complaints

    def show(self, console: Console) -> None:
        console.print(_overview(self))
        console.print(_incident_table(self.incidents))
        console.print(_alarm_table(self.alarms))
        for name, keys in (("lost", self.balance.lost), ("twice", self.balance.twice)):
            for key in keys[:SHOWN_MAX]:
                console.print(f"  {name}: {key}", highlight=False, markup=False)
        for complaint in self.complaints:
            console.print(f"[red]not clean:[/red] {complaint}", highlight=False)
        if self.clean:
            console.print("[green]clean:[/green] nothing lost, nothing twice, every incident closed", highlight=False)


class Rehearsal:
    """One run of the scenario with nobody at the console."""

    def __init__(self, stack: Stack, tell: Callable[[str], None]) -> None:
        if stack.client is None:
            raise ProcessError("the stack was not started")
        self._stack = stack
        self._client: HubClient = stack.client
        self._tell = tell
        self._ended_at: float | None = None
        self._phases: dict[int, str] = {}
        self._looked: dict[int, int] = {}

    def play(self) -> Report:
        """Work incidents until the scenario is over, everything has arrived and every incident is closed."""
        began = clock.monotonic()
        while not self._finished(began):
            self._stack.check_alive()
            for incident in self._client.incidents("active"):
                self._look(incident)
                self._work(incident)
            clock.pause(LOOK_S)
        return self._report(clock.monotonic() - began)

    def _finished(self, began: float) -> bool:
        now = clock.monotonic()
        if self._ended_at is None:
            if now - began > PLAY_S_MAX:
                raise ProcessError(f"the scenario did not end within {PLAY_S_MAX:.0f} s")
            if self._stack.played:
                self._ended_at = now
                self._tell("the scenario has been played; waiting for what is still on its way")
            return False
        if now - self._ended_at > SETTLE_S_MAX:
            return True  # the report says what is missing
        return self._settled()

    def _settled(self) -> bool:
        """Everything accepted is stored, and no incident is open. Asked twice is enough: nothing new can come."""
        if self._client.incidents("active"):
            return False
        return not reconcile(self._stack.venue.ledger, self._stack.dsn).lost

    def _look(self, incident: dict[str, Any]) -> None:
        """Say that the operator sees it, whenever there is a new alarm to see."""
        number, alarms = incident["incident"], incident["alarm_count"]
        if self._looked.get(number) != alarms:
            self._looked[number] = alarms
            shown = self._client.incident(number)
            if shown["merged_into"] is None:
                self._client.seen(shown)

    def _work(self, incident: dict[str, Any]) -> None:
        """The next step on one incident, if there is one to take now."""
        action, isolated = self._choose(incident)
        if action not in incident["allowed"]:
            return
        seen = self._client.incident(incident["incident"])
        reason = ISOLATED if isolated else REASONS.get(action, "")
        try:
            after = self._client.step(seen, action, reason, isolated)
        except HubError as error:
            if " 412 " in str(error) or " 409 " in str(error):
                return  # a further alarm came in between: look again
            raise
        if self._phases.get(incident["incident"]) != after["phase"]:
            self._phases[incident["incident"]] = after["phase"]
            self._tell(f"incident {incident['incident']} ({incident['kind']}): {action} → {after['phase']}")

    def _choose(self, incident: dict[str, Any]) -> tuple[str, bool]:
        """(action, isolated). Resolving waits for the clears, or for the end of the scenario."""
        phase = incident["phase"]
        if phase in NEXT:
            return NEXT[phase], False
        given_up = self._ended_at is not None and clock.monotonic() - self._ended_at > ISOLATE_AFTER_S
        if incident["uncleared"] and not given_up:
            return "", False
        if phase == "on_scene":
            return "resolve", False
        return "close", bool(incident["uncleared"])

    def _report(self, seconds: float) -> Report:
        incidents = [self._client.incident(item["incident"]) for item in self._client.incidents()]
        incidents.sort(key=lambda incident: int(incident["incident"]))
        alarms = [_times(incident, alarm) for incident in incidents for alarm in incident["alarms"] if alarm["raised"]]
        return Report(
            stored=_stored(self._stack.dsn),
            balance=reconcile(self._stack.venue.ledger, self._stack.dsn),
            incidents=incidents,
            alarms=alarms,
            seconds=seconds,
        )


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0…1) of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _stored(dsn: str) -> dict[str, int]:
    query = """
        SELECT 'telemetry values' AS what, count(*) AS n FROM telemetry
        UNION ALL SELECT 'positions', count(*) FROM positions
        UNION ALL SELECT class || 's', count(*) FROM events GROUP BY class
        UNION ALL SELECT 'declared gaps', count(*) FROM gaps"""
    return {row["what"]: row["n"] for row in rows(dsn, query)}


def _times(incident: dict[str, Any], alarm: dict[str, Any]) -> AlarmTimes:
    seen = alarm["seen_at"]
    return AlarmTimes(
        incident=incident["incident"],
        device=alarm["device"],
        kind=alarm["kind"],
        observed=datetime.fromisoformat(alarm["observed_at"]),
        received=datetime.fromisoformat(alarm["received_at"]),
        committed=datetime.fromisoformat(alarm["committed_at"]),
        seen=datetime.fromisoformat(seen) if seen else None,
        late=alarm["late"],
    )


def _overview(report: Report) -> Table:
    table = Table("what", "how many", title="Rehearsal", title_justify="left", show_header=False, box=SIMPLE)
    table.add_row("played and settled in", f"{report.seconds:.0f} s")
    table.add_row("reports accepted from devices", f"{report.balance.accepted:,}")
    for what, number in sorted(report.stored.items()):
        table.add_row(f"stored: {what}", f"{number:,}")
    table.add_row("lost", f"{len(report.balance.lost)}")
    table.add_row("twice", f"{len(report.balance.twice)}")
    phases = Counter(incident["phase"] for incident in report.incidents)
    table.add_row("incidents", ", ".join(f"{number} {phase}" for phase, number in phases.items()) or "none")
    commit_ms = [_ms(alarm.received, alarm.committed) for alarm in report.alarms]
    seen_ms = [_ms(alarm.committed, alarm.seen) for alarm in report.alarms if alarm.seen]
    for name, values in (("received → committed", commit_ms), ("committed → seen", seen_ms)):
        table.add_row(f"alarms, {name}", f"p50 {percentile(values, 0.5):.0f} ms, p99 {percentile(values, 0.99):.0f} ms")
    return table


def _incident_table(incidents: list[dict[str, Any]]) -> Table:
    title = "Incidents, with the steps that people took"
    table = Table("", "", "kind", "where", "alarms", "steps", "phase", title=title, title_justify="left", box=SIMPLE)
    for item in incidents:
        where = item["zone_name_en"] or item["subject_name"] or "-"
        steps = sum(step["action"] not in HUBS_OWN for step in item["steps"])
        cells = (f"P{item['priority']}", item["kind"], where, str(item["alarm_count"]), str(steps), item["phase"])
        table.add_row(str(item["incident"]), *cells)
    return table


def _alarm_table(alarms: list[AlarmTimes]) -> Table:
    """The first alarms with their four times: the device's clock, then how long each further hand took."""
    shown = sorted(alarms, key=lambda alarm: alarm.received)[: 3 * SHOWN_MAX]
    title = f"Alarms ({len(shown)} of {len(alarms)}), milliseconds from each time to the next"
    columns = ("", "device", "alarm", "observed", "received", "committed", "seen")
    table = Table(*columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True)
    for alarm in shown:
        kind = f"{alarm.kind} (late)" if alarm.late else alarm.kind
        waits = [_ms(alarm.observed, alarm.received), _ms(alarm.received, alarm.committed)]
        seen = f"{_ms(alarm.committed, alarm.seen):+.0f}" if alarm.seen else "-"
        cells = (f"{alarm.observed:%H:%M:%S}", *(f"{wait:+.0f}" for wait in waits), seen)
        table.add_row(str(alarm.incident), alarm.device, kind, *cells)
    return table


def _ms(first: datetime, then: datetime) -> float:
    return (then - first).total_seconds() * 1000
