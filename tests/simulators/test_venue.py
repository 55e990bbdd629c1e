"""Simulated devices of every family on their real wire, before the edge's real links and a real spool: what was
accepted is stored once, whatever the lines do."""

from pathlib import Path

import pytest

from simulators.families import SIMULATORS
from tests.conftest import BrokerAddress
from tests.simulators.venue import CASES, differences, played

BAD = "drop = 0.1\nduplicate = 0.3\ngarbage = 0.2\ndelay_s = 0.02\nreconnect_every_s = 1"


@pytest.mark.parametrize("name", sorted(CASES))
async def test_what_was_said_is_stored_once(tmp_path: Path, broker: BrokerAddress, name: str) -> None:
    case = CASES[name]
    outcome = await played(case, tmp_path, broker.port)
    told = [*outcome.accepted, *outcome.said]
    assert outcome.unanswered == 0
    assert len([row for row in told if row.kind not in ("telemetry", "position")]) >= len(case.acts)
    assert differences(outcome, case.timed) == {}


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.confirmed))
async def test_on_bad_lines_what_was_accepted_is_stored_once(tmp_path: Path, broker: BrokerAddress, name: str) -> None:
    case = CASES[name]
    outcome = await played(case, tmp_path, broker.port, BAD)
    assert outcome.unanswered == 0 and outcome.said == []
    assert differences(outcome, case.timed) == {}


def test_every_family_has_a_case() -> None:
    assert {name.partition("-")[0] for name in CASES} == set(SIMULATORS)
