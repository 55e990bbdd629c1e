"""Local rules: which raised alarms drive which actuator. Pure; acted on before anything is stored or sent.

Rules
- Only a raised Alarm acts. A cleared one never does: people silence a siren, by a command from the hub.
- A kind this version does not know belongs to no group, so no rule takes it.
- The zone is the one that the pipeline gave; a rule that names zones never acts on an alarm without a zone.
- An alarm acts however old its own time says it is: clocks of panels are often wrong by hours, and a siren too much is
  better than a fire without one. The one exception: a report that the protocol itself marks as kept and sent later
  (BACKLOG), with a time that can be, and observed more than the rule's `age_s_max` ago.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from devices.dictionary import ALARMS
from devices.observation import BACKLOG, TIME_INVALID, Alarm, Observation
from edge.config import Rule


class Act(Struct, frozen=True):
    """Drive `actuator` to on or off; `cause` says which rule and what report, for the record. `actor`: the person who
    commanded it, for the record and never for the log."""

    actuator: str
    on: bool
    cause: str
    actor: str = ""


def acts(rules: Sequence[Rule], found: Sequence[Observation], now: datetime) -> list[Act]:
    """In the order of the observations, then of the rules; the same act is named once."""
    named: dict[tuple[str, bool], Act] = {}
    for observation in found:
        body = observation.body
        if not isinstance(body, Alarm) or not body.raised:
            continue
        for rule in rules:
            if _takes(rule, observation, body) and not _past(rule, observation, now):
                on = rule.actuate.state == "on"
                cause = f"rule {rule.name}: {body.kind} of {observation.device}"
                named.setdefault((rule.actuate.actuator, on), Act(rule.actuate.actuator, on, cause))
    return list(named.values())


def _takes(rule: Rule, observation: Observation, alarm: Alarm) -> bool:
    kind, when = ALARMS.get(alarm.kind), rule.when
    if kind is None or kind.group != when.group or kind.priority > when.priority_max:
        return False
    return not when.zones or observation.zone in when.zones


def _past(rule: Rule, observation: Observation, now: datetime) -> bool:
    """Whether this was certainly over before it came."""
    if BACKLOG not in observation.flags or TIME_INVALID in observation.flags:
        return False
    return (now - observation.observed_at).total_seconds() > rule.age_s_max
