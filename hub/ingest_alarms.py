"""The urgent lane inside its transaction: alarms become conditions, incidents and steps. What joins what is decided by
`correlation`, what a step does by `incidents`; here their values are read from the database and written back.

Alarms are placed by one transaction at a time (an advisory lock), because two that run at once could each open an
incident for one fire.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, field

from devices.dictionary import EVENTS, P3, alarm_priority
from devices.observation import BACKLOG, TIME_INVALID, Alarm, Event, Observation
from hub.chain import START, hash_of
from hub.copy_rows import EventRow, label_of, name_of, text_of
from hub.correlation import Case, Key, Outcome, Raised, correlate, counts, key_of
from hub.incident_view import condition_text, entry_of, incident_of, step_columns
from hub.incidents import ACTIONS_OF_PEOPLE, Incident, Step, advance
from hub.outbox import LATE
from hub.store import Row, Transaction

LATE_AFTER = timedelta(seconds=30)  # committed this long after the edge received it: not news any more
LATE_MAX = timedelta(days=366)  # beyond it is the edge's clock that is wrong: told as fresh, rather too loud
TICK = timedelta(microseconds=1)
HUB = "hub"

Mark = tuple[str, str, str, datetime, str]  # device, kind, component, observed_at, zone


class Changes(Struct):
    """What the transaction did that others want to hear of once it is committed."""

    incidents: list[int] = field(default_factory=list)
    notices: list[tuple[int, str]] = field(default_factory=list)  # incident, what happened (hub.outbox)
    at: datetime | None = None  # of its steps, when alarms were placed


class Work(Struct):
    """The incidents of one transaction: as held, as they become, and their steps."""

    now: datetime
    machines: dict[int, Incident]
    heads: dict[int, bytes]  # of their logs (hub.chain)
    steps: list[dict[str, Any]] = field(default_factory=list)
    notices: dict[int, str] = field(default_factory=dict)

    def step(self, incident: int, action: str, actor: str, cause: str, detail: dict[str, Any]) -> None:
        step = Step(action=action, actor=actor, at=self.now, cause=cause)
        after = advance(self.machines[incident], step)
        self.machines[incident] = after
        entry = entry_of(incident, step, after, detail)
        self.heads[incident] = hash_of(self.heads[incident], entry)
        self.steps.append(step_columns(entry, self.heads[incident]))


def event_row(  # noqa: PLR0917
    gateway: str, epoch: str, seq: int, observation: Observation, now: datetime, slow_s: float
) -> EventRow | None:
    """An Alarm or Event as its row; None for a body that is neither. `slow_s`: how far the edge's clock is behind."""
    body = observation.body
    if not isinstance(body, Alarm | Event):
        return None
    alarm = isinstance(body, Alarm)
    known = EVENTS.get(body.kind)
    return EventRow(
        gateway=gateway,
        epoch=epoch,
        seq=seq,
        device=name_of(observation.device),
        kind=name_of(body.kind),
        raised=body.raised if isinstance(body, Alarm) else None,
        priority=alarm_priority(body.kind) if alarm else (known.priority if known else P3),
        component=label_of(body.component),
        description=text_of(body.description) if isinstance(body, Alarm) else "",
        attributes=body.attributes if isinstance(body, Event) else {},
        zone=name_of(observation.zone) if observation.zone else "",
        observed_at=observation.observed_at,
        received_at=observation.received_at,
        committed_at=now,
        late=_is_late(observation, now, timedelta(seconds=slow_s)),
        flags=observation.flags,
    )


def _is_late(observation: Observation, now: datetime, slow: timedelta) -> bool:
    """Not news any more: its edge, or the device itself, kept it (BACKLOG, by a clock that can be)."""
    since = observation.received_at
    if BACKLOG in observation.flags and TIME_INVALID not in observation.flags:
        since = min(since, observation.observed_at)
    return LATE_AFTER + slow < now - since < LATE_MAX


async def place_alarms(tx: Transaction, rows: Sequence[EventRow], now: datetime) -> tuple[dict[int, int], Changes]:
    """Store what the alarms among `rows` do. Returns index of row -> incident, and what changed."""
    alarms = [(index, row) for index, row in enumerate(rows) if row.raised is not None]
    if not alarms:
        return {}, Changes()
    await tx.execute("correlation_lock")
    await _upsert_conditions(tx, [row for _, row in alarms])
    sites = {row["device"]: row["site"] for row in await tx.rows("device_sites", devices=_distinct(alarms))}
    raised = {_mark(row): row for _, row in alarms if row.raised and counts(row.kind)}
    known = {_mark(row): row["incident"] for row in await _placed(tx, raised)}
    fresh = {
        mark: _raised(row, sites.get(row.device, ""))
        for mark, row in sorted(raised.items(), key=lambda item: item[1].observed_at)
        if mark not in known
    }
    cleared = sorted({_condition(row) for _, row in alarms if not row.raised})
    held = await _lock_cases(tx, {alarm.key for alarm in fresh.values()}, cleared)
    outcome = correlate(fresh.values(), map(_case, held))
    if outcome.merged:  # a look from before the merge is one from before this, whatever the clocks of hubs
        shown = await tx.rows("incidents_shown", incidents=[row["incident"] for row in held])
        now = max([now, *(row["through"] + TICK for row in shown)])
    numbers, work = await _carry_out(tx, fresh, held, outcome, {_mark(row): row for row in raised.values()}, now)
    known = {mark: outcome.merged.get(number, number) for mark, number in known.items()} | numbers
    await _attach_clears(tx, numbers)
    where = {index: known[_mark(row)] for index, row in alarms if _mark(row) in known and row.raised}
    where |= await _place_clears(tx, [(index, row) for index, row in alarms if not row.raised])
    return where, Changes(sorted(work.machines), sorted(work.notices.items()), now)


async def incidents_of(tx: Transaction, alarms: Sequence[EventRow]) -> set[int]:
    """Those that alarms which were placed before belong to."""
    raised = {row["incident"] for row in await _placed(tx, [_mark(row) for row in alarms if row.raised])}
    clears = await _place_clears(tx, [(index, row) for index, row in enumerate(alarms) if not row.raised])
    return raised | set(clears.values())


async def _carry_out(  # noqa: PLR0917
    tx: Transaction,
    fresh: dict[Mark, Raised],
    held: list[Row],
    outcome: Outcome,
    rows: dict[Mark, EventRow],
    now: datetime,
) -> tuple[dict[Mark, int], Work]:
    """Write the outcome of the correlation: new incidents, merges, alarms, steps."""
    before = {row["incident"]: row for row in held}
    machines = {number: incident_of(row) for number, row in before.items()}
    work = Work(now, machines, {number: row["head"] for number, row in before.items()})
    stored = {number: number for number in outcome.cases}
    for number, case in outcome.cases.items():
        if number < 0:
            stored[number] = await _open(tx, case)
            work.machines[stored[number]] = Incident(case.key.group)
            work.heads[stored[number]] = START
            work.notices[stored[number]] = LATE["opened"] if case.late else "opened"
    joined = {mark: stored[number] for mark, number in zip(fresh, outcome.joined, strict=True)}
    await _add_alarms(tx, joined, rows)
    for loser, winner in outcome.merged.items():
        await _merge(tx, work, loser, stored[winner])
    raised_now = defaultdict(list)
    for mark, number in joined.items():
        raised_now[number].append(rows[mark])
    alive = [number for number in work.machines if number not in outcome.merged]
    after = await _uncleared(tx, alive)
    for number in alive:
        _take_steps(work, number, raised_now[number], after[number])
    cases = {stored[number]: case for number, case in outcome.cases.items()}
    for number in alive:
        await _update(tx, work, number, cases.get(number) or _case(before[number]))
        if number in before and number in cases and before[number]["late"] and not cases[number].late:
            work.notices[number] = "raised"  # until now there was nothing fresh to tell
    for step in work.steps:
        await tx.execute("incident_step", **step)
    return joined, work


def _take_steps(work: Work, number: int, raised: Sequence[EventRow], uncleared: tuple[str, ...]) -> None:
    """A step for each condition that is new in the incident, for each that is gone, and for what opens it again.

    A repeated alarm of a condition that is raised already moves `last_alarm_at` and the count, and makes no step: a
    detector that repeats itself every second would bury what people wrote.
    """
    before = set(work.machines[number].uncleared)
    seen = set(before)
    late = all(row.late for row in raised)
    for row in raised:
        condition = _condition(row)
        reopens = work.machines[number].phase == "resolved"
        if condition in seen and not reopens:
            continue
        seen.add(condition)
        detail = {"observed_at": row.observed_at.isoformat(), "description": row.description, "late": row.late}
        work.step(number, "raise", f"device:{row.device}", condition, detail)
        if reopens:
            work.notices.setdefault(number, LATE["raised"] if late else "raised")
    for condition in sorted(seen.difference(uncleared)):
        work.step(number, "clear", f"device:{condition.split(' ', 1)[0]}", condition, {})
    held = work.machines[number]
    work.machines[number] = Incident(held.group, held.phase, uncleared, held.version)


async def _merge(tx: Transaction, work: Work, loser: int, winner: int) -> None:
    work.step(loser, "merge", HUB, f"one case with incident {winner}", {"into": winner})
    work.step(winner, "absorb", HUB, f"one case with incident {loser}", {"from": loser})
    gone = work.machines[loser]
    kept = work.machines[winner]
    work.machines[winner] = Incident(
        kept.group, kept.phase, tuple({**dict.fromkeys(kept.uncleared), **dict.fromkeys(gone.uncleared)}), kept.version
    )
    await tx.execute("incident_alarms_move", loser=loser, winner=winner)
    await tx.execute("incident_conditions_move", loser=loser, winner=winner)
    await tx.execute("incident_events_move", loser=loser, winner=winner)
    await tx.execute("incident_merge", loser=loser, winner=winner, version=gone.version, head=work.heads[loser])


async def _open(tx: Transaction, case: Case) -> int:
    key = case.key
    same = {"group": key.group, "site": key.site, "place": key.zone, "subject": key.subject}
    previous = await tx.row("incident_previous", opened_at=case.opened_at, **same)
    row = await tx.one(
        "incident_open",
        kind=case.kind,
        priority=case.priority,
        zone=case.zone,
        opened_at=case.opened_at,
        last_alarm_at=case.last_alarm_at,
        late=case.late,
        alarm_count=case.alarm_count,
        previous=previous["incident"] if previous else None,
        **same,
    )
    return int(row["incident"])


async def _update(tx: Transaction, work: Work, number: int, case: Case) -> None:
    machine = work.machines[number]
    await tx.execute(
        "incident_update",
        incident=number,
        kind=case.kind,
        priority=case.priority,
        zone=case.zone,
        phase=machine.phase,
        opened_at=case.opened_at,
        last_alarm_at=case.last_alarm_at,
        late=case.late,
        alarm_count=case.alarm_count,
        uncleared=list(machine.uncleared),
        version=machine.version,
        head=work.heads[number],
    )


async def _upsert_conditions(tx: Transaction, alarms: Sequence[EventRow]) -> None:
    newest: dict[tuple[str, str, str], list[datetime | None]] = {}
    for row in alarms:
        times = newest.setdefault((row.device, row.kind, row.component), [None, None])
        which = 0 if row.raised else 1
        held = times[which]
        times[which] = row.at if held is None else max(held, row.at)
    conditions = sorted(newest)
    await tx.execute(
        "conditions_upsert",
        devices=[device for device, _, _ in conditions],
        kinds=[kind for _, kind, _ in conditions],
        components=[component for _, _, component in conditions],
        raised=[newest[condition][0] for condition in conditions],
        cleared=[newest[condition][1] for condition in conditions],
    )


async def _placed(tx: Transaction, marks: Iterable[Mark]) -> list[Row]:
    columns = _columns(marks)
    return await tx.rows("alarms_placed", **columns) if columns["devices"] else []


async def _add_alarms(tx: Transaction, joined: dict[Mark, int], rows: dict[Mark, EventRow]) -> None:
    if joined:
        ats = [rows[mark].at for mark in joined]
        await tx.execute("incident_alarms_add", incidents=list(joined.values()), ats=ats, **_columns(joined))


async def _place_clears(tx: Transaction, clears: Sequence[tuple[int, EventRow]]) -> dict[int, int]:
    """Index of clear -> its incident."""
    if not clears:
        return {}
    columns = _columns(_mark(row) for _, row in clears)
    del columns["zones"]
    rows = await tx.rows("clears_placed", indexes=[index for index, _ in clears], **columns)
    return {row["index"]: row["incident"] for row in rows}


async def _attach_clears(tx: Transaction, joined: dict[Mark, int]) -> None:
    """What was cleared before these alarms came. Nearly always nothing, and then `events` is not touched."""
    if not joined:
        return
    rows = await tx.rows("raises_before_clears", incidents=list(joined.values()), **_columns(joined))
    if rows:
        await tx.execute(
            "clears_attach",
            devices=[row["device"] for row in rows],
            kinds=[row["kind"] for row in rows],
            components=[row["component"] for row in rows],
            times=[row["observed_at"] for row in rows],
            nexts=[row["next_at"] for row in rows],
            incidents=[row["incident"] for row in rows],
        )


async def _lock_cases(tx: Transaction, keys: Iterable[Key], cleared: list[str]) -> list[Row]:
    wanted = list(keys)
    if not wanted and not cleared:
        return []
    locked = await tx.rows(
        "cases_lock",
        groups=[key.group for key in wanted],
        sites=[key.site for key in wanted],
        places=[key.zone for key in wanted],
        subjects=[key.subject for key in wanted],
        conditions=cleared,
    )
    incidents = [row["incident"] for row in locked]
    return await tx.rows("cases_read", incidents=incidents, people=list(ACTIONS_OF_PEOPLE)) if incidents else []


async def _uncleared(tx: Transaction, incidents: list[int]) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {number: [] for number in incidents}
    for row in await tx.rows("incidents_uncleared", incidents=incidents) if incidents else []:
        found[row["incident"]].append(condition_text(row["device"], row["kind"], row["component"]))
    return {number: tuple(conditions) for number, conditions in found.items()}


def _columns(marks: Iterable[Mark]) -> dict[str, list[Any]]:
    columns = list(zip(*marks, strict=True)) or [()] * 5
    return dict(zip(("devices", "kinds", "components", "times", "zones"), map(list, columns), strict=True))


def _raised(row: EventRow, site: str) -> Raised:
    key = key_of(row.kind, row.device, row.zone, site)
    return Raised(key, row.device, row.kind, row.component, row.observed_at, row.zone, row.late)


def _case(row: Row) -> Case:
    return Case(
        number=row["incident"],
        key=Key(row["site"] or "", row["alarm_group"], row["place"], row["subject"]),
        kind=row["kind"],
        zone=row["zone"] or "",
        opened_at=row["opened_at"],
        last_alarm_at=row["last_alarm_at"],
        priority=row["priority"],
        late=row["late"],
        alarm_count=row["alarm_count"],
        touched=row["touched"],
    )


def _mark(row: EventRow | Row) -> Mark:
    if isinstance(row, EventRow):
        return (row.device, row.kind, row.component, row.observed_at, row.zone)
    return (row["device"], row["kind"], row["component"], row["observed_at"], row["zone"])


def _condition(row: EventRow) -> str:
    return condition_text(row.device, row.kind, row.component)


def _distinct(alarms: Iterable[tuple[int, EventRow]]) -> list[str]:
    return sorted({row.device for _, row in alarms})
