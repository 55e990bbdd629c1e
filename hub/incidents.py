"""The incident machine: one table says what may happen in which phase. Pure: values in, values out.

Rules
- `phase` is the fold of the steps: `reduce(advance, steps, Incident(group)).phase`.
- People acknowledge before they dispatch. Resolving and closing need a reason, a note is its reason.
- A further alarm opens a resolved incident again and leaves every other open phase as it is. Clearing changes no phase:
  a cleared fire never closes itself.
- A fire or a person's incident cannot be closed while an alarm of it is still raised, unless the person says that the
  detector is isolated. Closed is final; an alarm after that opens a new incident.
- `merge` and `absorb` are what the hub does when a late alarm shows that two incidents no person has touched were one.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Phase(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    RESOLVED = "resolved"
    CLOSED = "closed"


ACTIONS_OF_PEOPLE = ("acknowledge", "dispatch", "arrive", "resolve", "close", "note")
ACTIONS_OF_THE_HUB = ("raise", "clear", "merge", "absorb")
NEEDS_REASON = frozenset({"resolve", "close", "note"})
CLOSED_ONLY_WHEN_CLEAR = frozenset({"fire", "person"})  # groups

OPEN, ACKNOWLEDGED, DISPATCHED, ON_SCENE, RESOLVED, CLOSED = Phase

TRANSITIONS: dict[tuple[Phase, str], Phase] = {
    (OPEN, "acknowledge"): ACKNOWLEDGED,
    (ACKNOWLEDGED, "dispatch"): DISPATCHED,
    (DISPATCHED, "arrive"): ON_SCENE,
    (ACKNOWLEDGED, "resolve"): RESOLVED,
    (DISPATCHED, "resolve"): RESOLVED,
    (ON_SCENE, "resolve"): RESOLVED,
    (RESOLVED, "close"): CLOSED,
    (OPEN, "note"): OPEN,
    (ACKNOWLEDGED, "note"): ACKNOWLEDGED,
    (DISPATCHED, "note"): DISPATCHED,
    (ON_SCENE, "note"): ON_SCENE,
    (RESOLVED, "note"): RESOLVED,
    (OPEN, "raise"): OPEN,
    (ACKNOWLEDGED, "raise"): ACKNOWLEDGED,
    (DISPATCHED, "raise"): DISPATCHED,
    (ON_SCENE, "raise"): ON_SCENE,
    (RESOLVED, "raise"): OPEN,
    (OPEN, "clear"): OPEN,
    (ACKNOWLEDGED, "clear"): ACKNOWLEDGED,
    (DISPATCHED, "clear"): DISPATCHED,
    (ON_SCENE, "clear"): ON_SCENE,
    (RESOLVED, "clear"): RESOLVED,
    (OPEN, "absorb"): OPEN,
    (ACKNOWLEDGED, "absorb"): ACKNOWLEDGED,
    (DISPATCHED, "absorb"): DISPATCHED,
    (ON_SCENE, "absorb"): ON_SCENE,
    (RESOLVED, "absorb"): RESOLVED,
    (OPEN, "merge"): CLOSED,
}


class IllegalStep(Exception):
    """A step that the table or a rule refuses; the text says why, for people."""


class ReasonMissing(IllegalStep):
    """The step would be legal with a reason."""


class Incident(Struct, frozen=True):
    """What the machine must know. `uncleared`: the conditions still raised; `version`: how many steps there are."""

    group: str
    phase: Phase = OPEN
    uncleared: tuple[str, ...] = ()
    version: int = 0


class Step(Struct, frozen=True, kw_only=True):
    """One row of the log. `actor`: a user, "device:…" or "hub". `cause`: the reason given, or the alarm."""

    action: str
    actor: str
    at: datetime
    cause: str = ""
    isolated: bool = False


def advance(incident: Incident, step: Step) -> Incident:
    """The incident after the step; raises IllegalStep."""
    phase = TRANSITIONS.get((incident.phase, step.action))
    if phase is None:
        raise IllegalStep(f"{step.action} is not possible while the incident is {incident.phase}")
    if step.action in NEEDS_REASON and not step.cause.strip():
        raise ReasonMissing(f"{step.action} needs a reason")
    if step.action == "close" and _must_be_clear(incident) and not step.isolated:
        raise IllegalStep(f"still raised: {', '.join(incident.uncleared)}; clear it, or say that it is isolated")
    return replace(incident, phase=phase, version=incident.version + 1)


def allowed(incident: Incident) -> tuple[str, ...]:
    """What people may do now. Closing is listed also when it will ask for `isolated`."""
    return tuple(action for action in ACTIONS_OF_PEOPLE if (incident.phase, action) in TRANSITIONS)


def _must_be_clear(incident: Incident) -> bool:
    return incident.group in CLOSED_ONLY_WHEN_CLEAR and bool(incident.uncleared)
