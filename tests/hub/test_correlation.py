"""Which alarms are one incident: any order and any duplicates of the same alarms give the same incidents."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hub.correlation import Case, Raised, correlate, counts, key_of, still_raised, window

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FIRE = timedelta(minutes=15)


def raised(
    minutes: float, kind: str = "smoke", device: str = "gbt26875:889", zone: str = "hall", component: str = "1"
) -> Raised:
    at = AT + timedelta(minutes=minutes)
    return Raised(key_of(kind, device, zone, "wuzhen"), device, kind, component, at, zone)


def numbered(case: Case, number: int) -> Case:
    return replace(case, number=number)


def placed_one_by_one(alarms: list[Raised]) -> dict[int, Case]:
    """As the hub does: each alarm in a transaction of its own, negative numbers become stored ones."""
    held: dict[int, Case] = {}
    for alarm in alarms:
        outcome = correlate([alarm], held.values())
        for number in outcome.merged:
            del held[number]
        for number, case in outcome.cases.items():
            stored = number if number > 0 else len(alarms) * 10 + len(held) + 1 + max(held, default=0)
            held[stored] = numbered(case, stored)
    return held


def shape(cases: dict[int, Case]) -> list[tuple[object, ...]]:
    """What people would see, without the numbers."""
    return sorted(
        (
            case.key.group,
            case.key.zone,
            case.key.subject,
            case.opened_at,
            case.last_alarm_at,
            case.kind,
            case.priority,
            case.alarm_count,
        )
        for case in cases.values()
    )


ALARMS = st.lists(
    st.builds(
        raised,
        st.integers(0, 120),
        st.sampled_from(["smoke", "heat", "manual_call_point", "sos", "fall", "fault", "tamper"]),
        st.sampled_from(["gbt26875:889", "watch:1", "watch:2"]),
        st.sampled_from(["hall", "stage", ""]),
        st.sampled_from(["1", "2"]),
    ),
    max_size=25,
    unique_by=lambda alarm: (alarm.device, alarm.kind, alarm.component, alarm.observed_at, alarm.zone),
)


@given(alarms=ALARMS, data=st.data())
def test_the_order_of_arrival_does_not_matter(alarms: list[Raised], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(alarms))
    assert shape(placed_one_by_one(shuffled)) == shape(placed_one_by_one(alarms))


@given(alarms=ALARMS, cut=st.integers(0, 25))
def test_batching_does_not_matter(alarms: list[Raised], cut: int) -> None:
    first = correlate(alarms[:cut], [])
    stored = {100 - number: case for number, case in first.cases.items()}
    held = [numbered(case, number) for number, case in stored.items()]
    second = correlate(alarms[cut:], held)
    left = {case.number: case for case in held if case.number not in second.merged} | second.cases
    assert shape(left) == shape(placed_one_by_one(alarms))


@given(alarms=ALARMS)
def test_an_incident_is_a_chain_of_neighbours(alarms: list[Raised]) -> None:
    cases = placed_one_by_one(alarms)
    assert sum(case.alarm_count for case in cases.values()) == len(alarms)
    for case in cases.values():
        times = sorted(
            alarm.observed_at
            for alarm in alarms
            if alarm.key == case.key and case.opened_at <= alarm.observed_at <= case.last_alarm_at
        )
        assert len(times) == case.alarm_count
        assert all(after - before <= window(case.key.group) for before, after in pairwise(times))


def test_a_late_alarm_joins_two_incidents_into_the_older_one() -> None:
    early, young = raised(0), raised(28)
    first = correlate([early, young], [])
    assert len(first.cases) == 2
    held = [numbered(case, 7 + index) for index, case in enumerate(first.cases.values())]
    held.sort(key=lambda case: case.opened_at)
    outcome = correlate([raised(14)], held)
    assert outcome.merged == {held[1].number: held[0].number}
    assert outcome.cases[held[0].number].alarm_count == 3


def test_what_people_touched_is_never_merged_away() -> None:
    held = [
        Case(1, raised(0).key, "smoke", "hall", AT, AT, 0, False, 1),
        Case(2, raised(0).key, "smoke", "hall", AT + 2 * FIRE, AT + 2 * FIRE, 0, False, 1, touched=True),
    ]
    outcome = correlate([raised(15)], held)
    assert 2 in outcome.cases and outcome.merged == {1: 2}
    both = correlate([raised(15)], [replace(case, touched=True) for case in held])
    assert both.merged == {} and list(both.cases) == [1]


def test_the_window_ends_where_it_says() -> None:
    assert len(correlate([raised(0), raised(15)], []).cases) == 1
    assert len(correlate([raised(0), raised(15.01)], []).cases) == 2


def test_zones_and_people_keep_apart() -> None:
    assert len(correlate([raised(0), raised(0, zone="stage")], []).cases) == 2
    assert len(correlate([raised(0, "sos", "watch:1"), raised(0, "fall", "watch:1")], []).cases) == 1
    assert len(correlate([raised(0, "sos", "watch:1"), raised(0, "sos", "watch:2")], []).cases) == 2


def test_which_alarms_open_an_incident() -> None:
    assert all(map(counts, ["smoke", "sos", "tamper", "fault", "overspeed", "lost_contact", "never_heard_of"]))
    assert not any(map(counts, ["left_fence", "entered_fence"]))


def test_at_the_same_instant_the_raise_wins() -> None:
    assert still_raised(AT, None) and still_raised(AT, AT)
    assert not still_raised(AT, AT + timedelta(seconds=1))
