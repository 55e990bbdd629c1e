"""What people do with incidents: one step, checked against the table and the version the person looked at."""

from datetime import datetime
from typing import Any, Protocol

from hub.chain import hash_of
from hub.incident_view import entry_of, incident_of, incident_views, step_columns
from hub.incidents import ACTIONS_OF_PEOPLE, IllegalStep, ReasonMissing, Step, advance
from hub.store import Store

__all__ = ["IllegalStep", "ReasonMissing", "StaleVersion", "UnknownIncident", "take_step"]


class UnknownIncident(Exception):
    """There is no incident of that number."""


class StaleVersion(Exception):
    """The incident has moved on since the person looked; `current` is its version now."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the incident is at version {current} now")
        self.current = current


class Live(Protocol):
    """Where changes go that people watch; never blocks."""

    def publish(self, event: str, body: dict[str, Any], /) -> None: ...


async def take_step(  # noqa: PLR0917 - the seam with the API
    store: Store,
    live: Live,
    incident_id: int,
    action: str,
    actor: str,
    reason: str,
    isolated: bool,
    expected_version: int | None,
    now: datetime,
) -> None:
    """One step by a person, stored and published. Raises UnknownIncident, StaleVersion, ReasonMissing, IllegalStep."""
    if action not in ACTIONS_OF_PEOPLE:
        raise IllegalStep(f"there is no action {action}")
    async with store.transaction() as tx:
        row = await tx.row("incident_lock", incident=incident_id)
        if row is None:
            raise UnknownIncident(incident_id)
        if expected_version is not None and expected_version != row["version"]:
            raise StaleVersion(row["version"])
        if row["merged_into"] is not None:
            raise IllegalStep(f"incident {incident_id} became part of incident {row['merged_into']}")
        step = Step(action=action, actor=actor, at=now, cause=reason.strip(), isolated=isolated)
        after = advance(incident_of(row), step)
        entry = entry_of(incident_id, step, after, {"isolated": True} if isolated else {})
        head = hash_of(row["head"], entry)
        await tx.execute("incident_step", **step_columns(entry, head))
        await tx.execute("incident_phase", incident=incident_id, phase=after.phase, version=after.version, head=head)
        views = await incident_views(tx, [incident_id])
    for view in views:
        live.publish("incident", view)
