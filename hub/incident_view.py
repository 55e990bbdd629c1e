"""An incident as the HTTP API and the live stream show it: one shape for both, ready for JSON."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from hub.chain import Entry
from hub.incidents import Incident, Phase, Step, allowed
from hub.store import Row, Transaction, jsonb


async def incident_views(tx: Transaction, incidents: Sequence[int]) -> list[dict[str, Any]]:
    """Query `incident_views` for these numbers, ready for JSON."""
    return [incident_view(row) for row in await tx.rows("incident_views", incidents=list(incidents))]


def incident_view(row: Row) -> dict[str, Any]:
    """A row with the columns of query `incident_views` as the Incident object of the API."""
    view = {key: value for key, value in row.items() if key != "alarm_group"}
    return view | {
        "group": row["alarm_group"],
        "opened_at": iso(row["opened_at"]),
        "last_alarm_at": iso(row["last_alarm_at"]),
        "uncleared": [condition_parts(text) for text in row["uncleared"]],
        "allowed": list(allowed(incident_of(row))),
    }


def incident_of(row: Row) -> Incident:
    """What the machine must know, from a row of `incidents`."""
    return Incident(row["alarm_group"], Phase(row["phase"]), tuple(row["uncleared"]), row["version"])


def entry_of(incident: int, step: Step, after: Incident, detail: Mapping[str, Any]) -> Entry:
    """The row of the log that `step` makes; `after`: the incident as it is then."""
    return Entry(
        incident=incident,
        number=after.version,
        action=step.action,
        actor=step.actor,
        at=step.at,
        cause=step.cause,
        phase=after.phase,
        detail=detail,
    )


def step_columns(entry: Entry, carried: bytes) -> dict[str, Any]:
    """A step with its hash, for query `incident_step`."""
    return {**msgspec.structs.asdict(entry), "detail": jsonb(entry.detail), "hash": carried}


def condition_text(device: str, kind: str, component: str) -> str:
    """How `incidents.uncleared` holds a condition: device and kind have no spaces, a component may."""
    return f"{device} {kind} {component}"


def condition_parts(text: str) -> dict[str, str]:
    device, kind, component = text.split(" ", 2)
    return {"device": device, "kind": kind, "component": component}


def iso(at: datetime) -> str:
    """ISO 8601 in UTC, "2026-11-24T08:00:00.25Z"."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
