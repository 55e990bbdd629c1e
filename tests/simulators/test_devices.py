"""Simulated devices and the families' sessions were written apart; here they talk, with lines good and bad."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devices.families import FAMILIES
from devices.observation import Alarm, Event, Observation, Position, Telemetry
from simulators.device import Accepted, ActionError, SimulatedDevice
from simulators.families import BUILDERS
from simulators.faults import disturbed
from simulators.spec import Faults

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ID = {"gbt26875": "889", "watch": "8800000001", "jt808": "13957300001"}
ACTIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "gbt26875": [
        ("smoke", {"component": 18}),
        ("fault", {"component": 18}),
        ("clear", {"component": 18}),
        ("manual_call_point", {"component": 5}),
        ("repaired", {"component": 18}),
        ("reset", {}),
    ],
    "watch": [
        (name, {}) for name in ("sos", "sos", "off_wrist", "low_battery", "fall", "on_wrist", "heart", "charged")
    ],
    "jt808": [(name, {}) for name in ("emergency", "overspeed", "overspeed_over", "park", "emergency_over", "drive")],
}
GOOD_LINE = Faults()
BAD_LINE = Faults(drop=0.03, duplicate=0.2, garbage=0.3)


class Centre:
    """The edge's part in small: a session a connection, a store that takes each report once, answers after that."""

    def __init__(self, family: str, faults: Faults) -> None:
        self._family = FAMILIES[family]
        self._faults = faults
        self._random = random.Random(5)
        self._seen: set[str] = set()
        self._session = self._open()
        self.stored: list[Observation] = []

    def _open(self) -> Any:
        return self._family.open_session(self._family.settings(), frozenset(ID.values()))

    def exchange(self, device: SimulatedDevice, now: datetime) -> None:
        device.tick(now)
        for piece in disturbed(device.to_send(), self._faults, self._random):
            if piece.data is None:
                self._session = self._open()
                device.connected(now)
                return
            self._store(self._session.receive(piece.data, now))
        self._store(self._session.idle(now))
        device.receive(self._session.to_send(), now)

    def _store(self, found: list[Any]) -> None:
        known = set(self._seen)
        for result in found:
            if not isinstance(result, Observation):
                continue
            report = result.frame_id.partition(".")[0]
            if not report or report not in known:
                self.stored.append(result)
            if report:
                self._seen.add(report)


def play(family: str, faults: Faults) -> tuple[list[Accepted], list[Observation]]:
    device = BUILDERS[family](ID[family], {"report_every_s": 4}, 1)
    centre = Centre(family, faults)
    now = START
    device.connected(now)
    for second in range(90):
        now += timedelta(seconds=1)
        if second % 10 == 5 and second // 10 < len(ACTIONS[family]):
            action, args = ACTIONS[family][second // 10]
            device.act(action, args, now)
        centre.exchange(device, now)
    for _ in range(60):
        now += timedelta(seconds=6)
        device.tick(now)
        centre.exchange(device, now)
        if not device.unanswered:
            break
    return device.accepted(), centre.stored


def _values(values: dict[str, Any]) -> str:
    return str(sorted((name, float(value)) for name, value in values.items()))


def facts(rows: list[Accepted]) -> list[tuple[Any, ...]]:
    return sorted(
        (row.kind, row.component, row.observed_at, _values(row.values)) for row in rows if row.kind != "position"
    )


def observed(found: list[Observation]) -> list[tuple[Any, ...]]:
    """The same, as the session understood it; signs of life and first clears are nobody's report."""
    rows: list[tuple[Any, ...]] = []
    for observation in found:
        body = observation.body
        if isinstance(body, Alarm):
            rows.append((body.kind, body.component, observation.observed_at, _values({"raised": body.raised})))
        elif isinstance(body, Event) and body.kind == "reset":
            rows.append((body.kind, body.component, observation.observed_at, _values({})))
        elif isinstance(body, Telemetry) and body.values and observation.frame_id:
            rows.append(("telemetry", body.component, observation.observed_at, _values(body.values)))
    return sorted(rows)


@pytest.mark.parametrize("family", sorted(ID))
@pytest.mark.parametrize("faults", [GOOD_LINE, BAD_LINE], ids=["good line", "bad line"])
def test_what_was_accepted_was_understood_once(family: str, faults: Faults) -> None:
    accepted, stored = play(family, faults)
    owed, held = facts(accepted), observed(stored)
    assert len(owed) > len(ACTIONS[family])
    assert [fact for fact in owed if held.count(fact) != owed.count(fact)] == []


@pytest.mark.parametrize("family", sorted(ID))
def test_each_report_names_a_second_of_its_own(family: str) -> None:
    """Also when the world moves faster than a second."""
    device = BUILDERS[family](ID[family], {"report_every_s": 0.1}, 1)
    device.connected(START)
    named: list[datetime] = []
    for number in range(40):
        now = START + timedelta(seconds=number / 4)
        device.tick(now)
        if number % 3 == 0 and number // 3 < len(ACTIONS[family]):
            action, args = ACTIONS[family][number // 3]
            device.act(action, args, now)
        named += {row.observed_at for row in device.owed() if row.kind not in ("telemetry", "reset")}
    assert len(named) > 4 and len(named) == len(set(named))


@pytest.mark.parametrize("noise", [b"[3G*1*zz*2*LK]", b"[ZJ*1*-1*2*LK]", b"[]]*****]", b"@@" * 40, b"\x7e" * 9 + b"a"])
@pytest.mark.parametrize("family", sorted(ID))
def test_noise_from_the_other_side_confirms_nothing(family: str, noise: bytes) -> None:
    device = BUILDERS[family](ID[family], {}, 1)
    device.connected(START)
    device.receive(noise, START)
    assert device.accepted() == []


@pytest.mark.parametrize("family", ["watch", "jt808"])
def test_positions_are_where_the_device_was(family: str) -> None:
    accepted, stored = play(family, GOOD_LINE)
    owed = {(row.values["longitude"], row.values["latitude"]) for row in accepted if row.kind == "position"}
    held = {(o.body.longitude, o.body.latitude) for o in stored if isinstance(o.body, Position)}
    assert owed
    assert owed <= held


@pytest.mark.parametrize("family", sorted(ID))
def test_an_action_that_does_not_exist_is_refused(family: str) -> None:
    with pytest.raises(ActionError, match="cannot dance"):
        BUILDERS[family](ID[family], {}, 1).act("dance", {}, START)


@pytest.mark.parametrize("family", sorted(ID))
def test_the_same_seed_says_the_same(family: str) -> None:
    one, two = (BUILDERS[family](ID[family], {}, 3) for _ in range(2))
    for device in (one, two):
        device.connected(START)
        device.tick(START)
    assert one.to_send() == two.to_send()


def test_a_panel_gives_its_parts_no_names_in_one_language_of_two() -> None:
    """The console then says "Part 18", or the same in Chinese."""
    _, stored = play("gbt26875", GOOD_LINE)
    alarms = [found.body for found in stored if isinstance(found.body, Alarm) and found.body.component]
    assert alarms and {alarm.description for alarm in alarms} == {""}
