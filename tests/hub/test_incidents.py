"""The incident machine: every pair of phase and action, the rules on fire, and the phase as the fold of the steps."""

from datetime import UTC, datetime
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.incidents import (
    ACTIONS_OF_PEOPLE,
    ACTIONS_OF_THE_HUB,
    IllegalStep,
    Incident,
    Phase,
    ReasonMissing,
    Step,
    advance,
    allowed,
)

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACTIONS = (*ACTIONS_OF_PEOPLE, *ACTIONS_OF_THE_HUB)
CONDITION = "gbt26875:889 smoke 1-3-0x00000012"

# By hand from the rules, not from the module: phase -> action -> phase after. Nothing else is legal.
LEGAL = {
    "open": {
        "acknowledge": "acknowledged", "note": "open", "raise": "open", "clear": "open", "absorb": "open",
        "merge": "closed",
    },
    "acknowledged": {
        "dispatch": "dispatched", "resolve": "resolved", "note": "acknowledged", "raise": "acknowledged",
        "clear": "acknowledged", "absorb": "acknowledged",
    },
    "dispatched": {
        "arrive": "on_scene", "resolve": "resolved", "note": "dispatched", "raise": "dispatched", "clear": "dispatched",
        "absorb": "dispatched",
    },
    "on_scene": {
        "resolve": "resolved", "note": "on_scene", "raise": "on_scene", "clear": "on_scene", "absorb": "on_scene",
    },
    "resolved": {"close": "closed", "note": "resolved", "raise": "open", "clear": "resolved", "absorb": "resolved"},
    "closed": {},
}  # fmt: skip


def step(action: str, cause: str = "seen on site", isolated: bool = False) -> Step:
    return Step(action=action, actor="operator", at=AT, cause=cause, isolated=isolated)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("action", [*ACTIONS, "unheard_of"])
def test_every_pair_of_phase_and_action(phase: Phase, action: str) -> None:
    incident = Incident("fault", phase, version=3)
    after = LEGAL[phase].get(action)
    if after is None:
        with pytest.raises(IllegalStep, match=action):
            advance(incident, step(action))
    else:
        assert advance(incident, step(action)) == Incident("fault", Phase(after), version=4)


@pytest.mark.parametrize("phase", list(Phase))
def test_people_are_offered_exactly_what_is_legal(phase: Phase) -> None:
    assert set(allowed(Incident("fire", phase))) == LEGAL[phase].keys() & set(ACTIONS_OF_PEOPLE)


@pytest.mark.parametrize(
    ("phase", "action"), [(Phase.ON_SCENE, "resolve"), (Phase.RESOLVED, "close"), (Phase.OPEN, "note")]
)
def test_a_reason_must_be_given(phase: Phase, action: str) -> None:
    with pytest.raises(ReasonMissing):
        advance(Incident("fault", phase), step(action, cause="  "))


@pytest.mark.parametrize("group", ["fire", "person"])
def test_what_is_still_raised_is_not_closed_unless_isolated(group: str) -> None:
    burning = Incident(group, Phase.RESOLVED, (CONDITION,))
    with pytest.raises(IllegalStep, match="still raised"):
        advance(burning, step("close"))
    assert advance(burning, step("close", isolated=True)).phase is Phase.CLOSED
    assert advance(Incident(group, Phase.RESOLVED), step("close")).phase is Phase.CLOSED


def test_other_groups_close_with_a_condition_raised() -> None:
    assert advance(Incident("fault", Phase.RESOLVED, (CONDITION,)), step("close")).phase is Phase.CLOSED


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CLOSED])
def test_clearing_never_changes_the_phase(phase: Phase) -> None:
    assert advance(Incident("fire", phase, (CONDITION,)), step("clear", cause=CONDITION)).phase is phase


@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=40))
def test_the_phase_is_the_fold_of_the_legal_steps(actions: list[str]) -> None:
    taken, incident = [], Incident("fault")
    for action in actions:
        try:
            incident = advance(incident, step(action))
        except IllegalStep:
            continue
        taken.append(step(action))
    assert reduce(advance, taken, Incident("fault")) == incident
    assert incident.version == len(taken)
    closings = [index for index, one in enumerate(taken) if one.action in ("close", "merge")]
    assert closings in ([], [len(taken) - 1])  # nothing follows the end
