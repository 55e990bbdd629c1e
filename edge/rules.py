"""Local rules: which raised alarms drive which actuator. Pure; acted on before anything is stored or sent.

Rules
- Only a raised Alarm acts. A cleared one never does: people silence a siren, by a command from the hub.
- A kind this version does not know belongs to no group, so no rule takes it.
- The zone is the one that the pipeline gave; a rule that names zones never acts on an alarm without a zone.
"""

from collections.abc import Sequence

from msgspec import Struct

from devices.dictionary import ALARMS
from devices.observation import Alarm, Observation
from edge.config import Rule


class Act(Struct, frozen=True):
    """Drive `actuator` to on or off; `cause` says which rule and what report, for the record. `actor`: the person who
    commanded it, for the record and never for the log."""

    actuator: str
    on: bool
    cause: str
    actor: str = ""


def acts(rules: Sequence[Rule], found: Sequence[Observation]) -> list[Act]:
    """In the order of the observations, then of the rules; the same act is named once."""
    named: dict[tuple[str, bool], Act] = {}
    for observation in found:
        body = observation.body
        if not isinstance(body, Alarm) or not body.raised:
            continue
        for rule in rules:
            if _takes(rule, observation, body):
                on = rule.actuate.state == "on"
                cause = f"rule {rule.name}: {body.kind} of {observation.device}"
                named.setdefault((rule.actuate.actuator, on), Act(rule.actuate.actuator, on, cause))
    return list(named.values())


def _takes(rule: Rule, observation: Observation, alarm: Alarm) -> bool:
    kind, when = ALARMS.get(alarm.kind), rule.when
    if kind is None or kind.group != when.group or kind.priority > when.priority_max:
        return False
    return not when.zones or observation.zone in when.zones
