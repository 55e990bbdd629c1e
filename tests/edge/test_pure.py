"""The edge's pure parts: where an observation belongs, what a rule takes, who is silent, how far the hub has come."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from devices.observation import NO_ZONE, DeviceId, Event, Observation, Position, Telemetry
from edge import pipeline
from edge.config import Actuate, Component, Device, Rule, When
from edge.contacts import Contacts
from edge.fences import AT_ONCE_MAX, Drawn, Fences
from edge.health import Skew, telemetry
from edge.pipeline import View, view_of
from edge.rules import acts
from edge.window import AGAIN_CALM_S, BATCHES_MAX, STALL_S_FIRST, STALL_S_MAX, Window
from geofences.cells import Cells
from geofences.plan import Plan
from geofences.rules import Rules
from geofences.together import Proximity
from geofences.zones import Zone, zone
from tests.edge.site import BAND, NOW, PANEL, TERMINAL, alarm, steps


def half(name: str, west: float) -> Zone:
    """One degree wide; further than one degree away is nowhere."""
    ring = [(west, 29), (west + 1, 29), (west + 1, 31), (west, 31), (west, 29)]
    return zone(name, {"type": "Polygon", "coordinates": [ring]})


HALVES = Plan(Cells([half("west", -1), half("east", 0)]), {}, 3)


def position(longitude: float, device: str = BAND, seconds: int = 0) -> Observation:
    at = NOW + timedelta(seconds=seconds)
    body = Position(longitude=longitude, latitude=30)
    return Observation(device=DeviceId(device), observed_at=at, received_at=at, body=body)


def zones(view: View, *found: Observation) -> tuple[View, list[str]]:
    view, located = pipeline.locate(view, list(found))
    return view, [one.zone for one in located]


# --- pipeline ------------------------------------------------------------------------------------


def test_a_component_has_a_zone_of_its_own_and_its_device_the_other() -> None:
    view = view_of((Device(id=PANEL, zone="hall", components=(Component(address="1-3", zone="kitchen"),)),))
    telemetered = replace(steps(PANEL, 1), body=Telemetry({"steps": 1}, "1-3"))
    happened = replace(steps(PANEL, 1), body=Event(kind="reset", component="1-3"))
    found = [alarm(component="1-3"), alarm(component="9-9"), steps(PANEL, 1), telemetered, happened, steps(BAND, 1)]
    assert zones(view, *found)[1] == ["kitchen", "hall", "hall", "kitchen", "kitchen", NO_ZONE]


def test_an_alarm_is_where_its_device_was_at_that_instant() -> None:
    view = View(fences=Fences(HALVES))
    view, found = zones(view, alarm(BAND, "sos"), position(0.5))
    assert found == ["east", "east"]
    view, found = zones(view, alarm(BAND, "sos"), position(-0.5), steps(BAND, 1))
    assert found == ["west", "west", "west"]
    batch = [
        replace(alarm(BAND, "sos"), observed_at=NOW + timedelta(seconds=1)),
        position(0.5, seconds=1),
        position(-0.5),
    ]
    assert zones(view, *batch)[1] == ["east", "east", "west"]


def test_a_device_that_left_every_zone_is_in_none() -> None:
    view, _ = zones(View(fences=Fences(HALVES)), position(0.5))
    assert zones(view, steps(BAND, 1))[1] == ["east"]
    view, found = zones(view, alarm(BAND, "sos"), position(5.0))
    assert found == [NO_ZONE, NO_ZONE]
    assert zones(view, steps(BAND, 1))[1] == [NO_ZONE]


def test_two_positions_of_one_instant_keep_their_own_zones() -> None:
    assert zones(View(fences=Fences(HALVES)), position(0.5), position(-0.5))[1] == ["east", "west"]


def test_an_installed_device_stays_where_it_is_whatever_it_says() -> None:
    view = View(fences=Fences(HALVES), installed={TERMINAL: "gate"})  # type: ignore[dict-item]
    assert zones(view, position(0.5, TERMINAL), alarm(TERMINAL, "sos"))[1] == ["east", "gate"]


def test_what_a_device_kept_and_sends_later_does_not_move_it_back() -> None:
    view, _ = zones(View(fences=Fences(HALVES)), position(0.5, seconds=10), position(-0.5, seconds=20))
    assert zones(view, position(0.5, seconds=15), position(5.0, seconds=5))[1] == ["east", NO_ZONE]
    assert zones(view, alarm(BAND, "sos"), steps(BAND, 1))[1] == ["west", "west"]
    assert zones(view, position(5.0, seconds=30), position(0.5, seconds=25), steps(BAND, 1))[1][-1] == "west"
    assert zones(view, steps(BAND, 1))[1] == [NO_ZONE], "it has left, and that is newer"


def test_a_clock_that_was_ahead_does_not_hold_a_device_where_it_was() -> None:
    ahead = replace(position(0.5, seconds=500), received_at=NOW)
    view, _ = zones(View(fences=Fences(HALVES)), ahead, position(-0.5, seconds=10))
    assert zones(view, steps(BAND, 1))[1] == ["west"]


@given(st.lists(st.sampled_from([-5.0, -0.5, 0.5]), max_size=20), st.integers(1, 7))
def test_how_positions_are_grouped_does_not_matter(track: list[float], size: int) -> None:
    found = [position(longitude, seconds=number) for number, longitude in enumerate(track)]
    whole, at_once = zones(View(fences=Fences(HALVES)), *found)
    view, one_by_one = View(fences=Fences(HALVES)), []
    for start in range(0, len(found), size):
        view, some = zones(view, *found[start : start + size])
        one_by_one += some
    assert (view.last_seen, one_by_one) == (whole.last_seen, at_once)


# --- zones -----------------------------------------------------------------------------------------


def told(found: list[Observation]) -> list[tuple[str, str]]:
    return [(one.body.kind, one.zone) for one in found if isinstance(one.body, Event)]


def test_positions_tell_who_enters_and_leaves_and_when_it_came_late() -> None:
    view = View(fences=Fences(HALVES))
    walk = [(-0.004, 0), (-0.002, 60), (0.002, 180), (0.004, 240)]
    found = [replace(position(x, seconds=at), frame_id=f"f{at}") for x, at in walk]
    _, rows = pipeline.run(view, found)
    assert told(rows) == [("zone_entered", "west"), ("zone_exited", "west"), ("zone_entered", "east")]
    left = next(one for one in rows if told([one]) == [("zone_exited", "west")])
    assert isinstance(left.body, Event) and left.frame_id.startswith("f180.z")
    assert left.body.attributes["zone_version"] == "3" and left.body.attributes["since"].startswith("20")
    _, late = pipeline.run(view, [replace(position(0.001, seconds=120), frame_id="f120")])
    assert told(late) == []


def test_a_position_that_comes_again_under_other_zones_leaves_it_to_the_next_one() -> None:
    """What the second delivery of a frame told would be taken for what was stored before."""
    fences, first, second = Fences(), position(0.5), position(0.5, seconds=1)
    assert isinstance(first.body, Position) and isinstance(second.body, Position)
    assert fences.seen(first, first.body) == []
    fences.obey(Drawn(HALVES), NOW)
    assert fences.seen(first, first.body) == []
    assert told(fences.seen(second, second.body)) == [("zone_entered", "east")]


def test_what_the_disk_refuses_is_told_again() -> None:
    fences = Fences(HALVES)
    first = position(0.5)
    assert isinstance(first.body, Position)
    assert told(fences.seen(first, first.body)) == [("zone_entered", "east")]
    fences.take_back(fences.take_changed())
    assert told(fences.seen(first, first.body)) == [("zone_entered", "east")]


def test_a_restart_knows_who_is_inside() -> None:
    fences, first, second = Fences(HALVES), position(0.5), position(0.501, seconds=60)
    assert isinstance(first.body, Position) and isinstance(second.body, Position)
    fences.seen(first, first.body)
    again = Fences(HALVES)
    again.remember({**fences.keeps(fences.take_changed()), "track:torn": "{"})
    assert told(again.seen(second, second.body)) == []
    gone = Fences(Plan(Cells([half("west", -1)]), {}, 4))
    gone.remember(again.keeps())
    third = position(0.502, seconds=120)
    assert isinstance(third.body, Position)
    assert told(gone.seen(third, third.body)) == [("zone_exited", "east")]


def test_a_device_that_is_withdrawn_loses_its_track() -> None:
    fences, first, again = Fences(HALVES), position(0.5), position(0.501, seconds=60)
    assert isinstance(first.body, Position) and isinstance(again.body, Position)
    fences.seen(first, first.body)
    changed = fences.take_changed()
    fences.forget(first.device)
    fences.take_back(changed)
    assert fences.due(NOW + timedelta(hours=1)) == []
    assert fences.keeps() == {f"track:{first.device}": ""}, "nor does the disk keep it"
    assert told(fences.seen(again, again.body)) == [("zone_entered", "east")]


def test_a_beacon_says_the_floor() -> None:
    fences = Fences(Plan(Cells([half("east", 0)]), {"east": Rules(levels=(2,))}, 1))
    for seconds, level, expected in ((0, None, []), (10, 1, []), (20, 2, ["zone_entered"]), (30, None, [])):
        one = position(0.5, seconds=seconds)
        assert isinstance(one.body, Position)
        assert [kind for kind, _ in told(fences.seen(one, replace(one.body, level=level)))] == expected


def test_time_tells_without_a_position() -> None:
    fences, first = Fences(Plan(Cells([half("east", 0)]), {"east": Rules(overstayed_s=60)}, 1)), position(0.5)
    assert isinstance(first.body, Position)
    fences.seen(first, first.body)
    assert fences.due(NOW + timedelta(seconds=59)) == []
    found = fences.due(NOW + timedelta(seconds=61))
    assert told(found) == [("zone_overstayed", "east")] and found[0].observed_at == NOW + timedelta(seconds=60)
    assert told(fences.due(NOW + timedelta(seconds=62))) == []
    assert told(fences.due(NOW + timedelta(hours=1))) == [("zone_lost", "east")]


def test_time_tells_after_a_restart_and_under_other_zones_too() -> None:
    plan = Plan(Cells([half("east", 0)]), {"east": Rules(lost_s=60)}, 1)
    fences, first = Fences(plan), position(0.5)
    assert isinstance(first.body, Position)
    fences.seen(first, first.body)
    again = Fences()
    again.remember(fences.keeps())
    again.obey(Drawn(plan), NOW)
    assert told(again.due(NOW + timedelta(seconds=59))) == []
    again.obey(Drawn(Plan(Cells([half("east", 0), half("west", -1)]), {"east": Rules(lost_s=90)}, 2)), NOW)
    assert told(again.due(NOW + timedelta(seconds=61))) == []
    assert told(again.due(NOW + timedelta(seconds=91))) == [("zone_lost", "east")]
    again.obey(Drawn(Plan(Cells([half("west", -1)]), {}, 3)), NOW)
    [gone] = again.due(NOW + timedelta(seconds=100))
    assert told([gone]) == [("zone_exited", "east")] and gone.observed_at == NOW + timedelta(seconds=100)


def test_many_tracks_are_brought_under_other_zones_a_part_at_a_time() -> None:
    fences, count = (
        Fences(Plan(Cells([half("east", 0)]), {"east": Rules(lost_s=60, count_max=1)}, 1)),
        AT_ONCE_MAX + 100,
    )
    for number in range(count):
        one = position(0.5, f"watch:{number}")
        assert isinstance(one.body, Position)
        fences.seen(one, one.body)
    fences.obey(Drawn(Plan(Cells([half("east", 0)]), {"east": Rules(lost_s=60)}, 2)), NOW)
    lost = [len(fences.due(NOW + timedelta(seconds=61 + number))) for number in range(3)]
    assert lost == [AT_ONCE_MAX, 100, 0]


def test_an_older_position_after_a_restart_changes_nothing() -> None:
    fences, first, older = Fences(HALVES), position(0.5, seconds=60), position(-0.5)
    assert isinstance(first.body, Position) and isinstance(older.body, Position)
    fences.seen(first, first.body)
    again = Fences(HALVES)
    again.remember(fences.keeps())
    assert told(again.seen(older, older.body)) == []


def test_each_zone_loses_a_device_at_its_own_time() -> None:
    plan = Plan(Cells([half("east", 0), half("again", 0)]), {"again": Rules(lost_s=60), "east": Rules(lost_s=300)})
    fences, first = Fences(plan), position(0.5)
    assert isinstance(first.body, Position)
    fences.seen(first, first.body)
    found = [one for seconds in range(30, 400, 30) for one in fences.due(NOW + timedelta(seconds=seconds))]
    assert told(found) == [("zone_lost", "again"), ("zone_lost", "east")]


# --- what several devices come to ----------------------------------------------------------------

BO = DeviceId("watch:bo")
MEETING = Proximity("meeting", (TERMINAL,), (BO,), 100.0)


def both(fences: Fences, seconds: float, longitudes: tuple[float, float]) -> list[tuple[str, str]]:
    """Both are heard, and then it is looked at what they come to."""
    for device, longitude in zip((TERMINAL, BO), longitudes, strict=True):
        one = replace(position(longitude, seconds=seconds), device=device)
        assert isinstance(one.body, Position)
        fences.seen(one, one.body)
    return told(fences.due(NOW + timedelta(seconds=seconds)))


def test_two_who_meet_are_told_of_and_a_restart_remembers_that_they_did() -> None:
    drawn = Drawn(HALVES, proximity=(MEETING,))
    fences = Fences()
    assert fences.obey(drawn, NOW) == []
    assert both(fences, 0, (0.5, 0.51)) == []
    assert both(fences, 10, (0.5, 0.5001)) == [("zone_met", "meeting")]
    assert both(fences, 20, (0.5, 0.5002)) == []
    again = Fences()
    again.remember(fences.keeps())
    assert again.obey(drawn, NOW) == []
    assert both(again, 30, (0.5, 0.5001)) == [], "nothing twice"
    assert both(again, 40, (0.5, 0.51)) == [("zone_separated", "meeting")]
    assert both(again, 60, (0.5, 0.5)) == [("zone_met", "meeting")]
    over = again.obey(Drawn(HALVES), NOW)
    assert told(over) == [("zone_separated", "meeting")]
    assert isinstance(over[0].body, Event) and over[0].body.attributes["other"] == BO


def test_rules_that_come_later_are_not_told_of_who_was_last_heard_long_ago() -> None:
    fences = Fences(HALVES)
    assert both(fences, 0, (0.5, 0.5)) == []
    fences.obey(Drawn(HALVES, proximity=(MEETING,)), NOW + timedelta(minutes=10))
    assert fences.due(NOW + timedelta(minutes=10)) == []
    fences = Fences(HALVES)
    assert both(fences, 0, (0.5, 0.5)) == []
    fences.obey(Drawn(HALVES, proximity=(MEETING,)), NOW)
    assert told(fences.due(NOW + timedelta(seconds=1))) == [("zone_met", "meeting")]


def test_too_many_inside_and_a_restart_in_between() -> None:
    plan = Plan(Cells([half("east", 0), half("west", -1)]), {"east": Rules(count_max=1)}, 1)
    fences = Fences()
    fences.obey(Drawn(plan), NOW)
    assert both(fences, 0, (0.5, -0.5)) == []
    assert both(fences, 1000, (0.5, 0.5)) == [("zone_too_many", "east")]
    again = Fences()
    again.remember(fences.keeps())
    again.obey(Drawn(plan), NOW)
    assert both(again, 1010, (0.5, 0.5)) == []
    assert both(again, 2000, (-0.5, -0.5)) == [("zone_eased", "east")]


# --- rules ---------------------------------------------------------------------------------------


def rule(
    name: str = "r", zones: tuple[str, ...] = (), group: str = "fire", priority: int = 0, state: str = "on"
) -> Rule:
    when = When(group=group, priority_max=priority, zones=zones)
    return Rule(name=name, when=when, actuate=Actuate(actuator="siren", state=state))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("observation", "taken"),
    [
        (alarm(), True),
        (alarm(kind="manual_call_point"), True),
        (alarm(raised=False), False),
        (alarm(kind="sos"), False),
        (alarm(kind="a_kind_of_tomorrow"), False),
        (steps(PANEL, 1), False),
    ],
)
def test_only_raised_alarms_of_the_group_act(observation: Observation, taken: bool) -> None:
    assert bool(acts([rule()], [observation], NOW)) is taken


def test_priority_and_zone_limit_a_rule() -> None:
    assert acts([rule(group="person", priority=0)], [alarm(kind="sos")], NOW) == []
    assert acts([rule(group="person", priority=1)], [alarm(kind="sos")], NOW)
    inside, outside = replace(alarm(), zone="hall"), replace(alarm(), zone="yard")  # type: ignore[arg-type]
    assert acts([rule(zones=("hall",))], [outside, alarm()], NOW) == []
    [act] = acts([rule(zones=("hall", "attic"))], [outside, inside], NOW)
    assert (act.actuator, act.on, act.cause) == ("siren", True, f"rule r: smoke of {PANEL}")


def test_the_same_act_is_named_once_in_the_order_of_the_observations() -> None:
    found = [alarm(), alarm(component="1"), alarm(component="2")]
    assert [act.on for act in acts([rule("a"), rule("b"), rule("c", state="off")], found, NOW)] == [True, False]


@pytest.mark.parametrize(
    ("flags", "age_s", "acted"),
    [
        ((), 300, True),
        ((), 3 * 86_400, True),  # a panel whose clock is wrong
        (("backlog",), 299, True),
        (("backlog",), 301, False),
        (("backlog", "time_invalid"), 3 * 86_400, True),
        (("backlog",), -600, True),
    ],
)
def test_only_what_the_protocol_says_was_kept_is_too_old_to_act(
    flags: tuple[str, ...], age_s: float, acted: bool
) -> None:
    one = replace(alarm(), observed_at=NOW - timedelta(seconds=age_s), flags=flags)
    assert bool(acts([rule()], [one], NOW)) is acted
    assert acts([replace(rule(), age_s_max=1e6)], [one], NOW), "a rule may say otherwise"


# --- contacts ------------------------------------------------------------------------------------


def kinds(found: list[Observation]) -> list[tuple[str, bool]]:
    return [(one.device, one.body.raised) for one in found]  # type: ignore[union-attr]


def contacts(lost: tuple[str, ...] = ()) -> Contacts:
    return Contacts({DeviceId(PANEL): 90.0, DeviceId(BAND): 300.0}, lost, 0.0, {DeviceId(PANEL): "panels"})


def test_a_silent_device_is_lost_once_and_its_first_word_clears_that() -> None:
    watched = contacts()
    assert watched.overdue(90.0, NOW) == []
    assert kinds(watched.overdue(90.1, NOW)) == [(PANEL, True)]
    assert watched.overdue(200.0, NOW) == [] and watched.lost == [PANEL]
    back = watched.heard(DeviceId(PANEL), "panels", 210.0, NOW)
    assert back is not None and kinds([back]) == [(PANEL, False)]
    assert watched.heard(DeviceId(PANEL), "panels", 211.0, NOW) is None and watched.lost == []
    assert kinds(watched.overdue(301.5, NOW)) == [(PANEL, True), (BAND, True)]


def test_every_word_counts_and_strangers_do_not() -> None:
    watched = contacts()
    watched.heard(DeviceId(PANEL), "panels", 80.0, NOW)
    assert watched.overdue(170.0, NOW) == []
    assert watched.heard(DeviceId("watch:1"), "panels", 1.0, NOW) is None and watched.lost == []


def test_who_was_lost_before_a_restart_is_cleared_by_a_word_and_not_raised_again() -> None:
    watched = contacts(lost=(PANEL, "watch:gone"))
    assert watched.overdue(100.0, NOW) == []
    assert watched.heard(DeviceId(PANEL), "panels", 101.0, NOW) is not None
    assert kinds(watched.gone(NOW)) == [("watch:gone", False)] and watched.gone(NOW) == []


def test_time_in_which_the_gateway_did_not_listen_is_added_and_no_more() -> None:
    watched = contacts()
    watched.heard(DeviceId(PANEL), "panels", 100.0, NOW)
    watched.excuse(50.0, at=160.0)
    assert watched.overdue(240.0, NOW) == []
    assert kinds(watched.overdue(240.1, NOW)) == [(PANEL, True)]
    watched.heard(DeviceId(PANEL), "panels", 299.0, NOW)
    watched.excuse(50.0, at=300.0)
    assert kinds(watched.overdue(390.1, NOW)) == [(PANEL, True)], "nobody is excused into the future"
    assert kinds(watched.overdue(400.1, NOW)) == [(BAND, True)], "all of it was added"


def test_a_link_that_is_held_hides_nobody_on_another_one() -> None:
    watched, raised = contacts(), []
    for second in range(3600):
        watched.excuse(0.9, float(second), "bands")
        raised += watched.overdue(float(second), NOW)
    assert kinds(raised) == [(PANEL, True), (BAND, True)], "the band was never heard on that link"
    watched.heard(DeviceId(BAND), "bands", 3600.0, NOW)
    for second in range(3600, 5000):
        watched.excuse(0.9, float(second), "bands")
    assert watched.overdue(5000.0, NOW) == [], "we did not listen to that one"


# --- window --------------------------------------------------------------------------------------


def test_at_most_so_many_batches_are_under_way() -> None:
    window = Window()
    for last in range(1, BATCHES_MAX + 1):
        assert window.open
        window.push(last, 0.0)
    assert not window.open
    assert window.commit(3, 99, 1.0) and window.open and len(window.in_flight) == BATCHES_MAX - 3


def test_a_receipt_for_rows_never_given_out_is_nothing() -> None:
    window = Window()
    window.push(5, 0.0)
    assert not window.commit(6, appended=5, now=0.0) and window.committed == 0
    assert window.commit(5, appended=5, now=0.0) and not window.commit(5, appended=5, now=0.0)


def test_a_hub_that_stands_behind_is_told_that_the_rows_are_gone() -> None:
    window = Window(committed=50, sent=50)
    assert not window.commit(20, appended=60, now=0.0)
    assert (window.committed, window.gone_through) == (50, 50)


def test_the_wait_for_a_silent_hub_doubles_until_it_speaks() -> None:
    window, now, waits = Window(), 0.0, []
    window.push(1, now)
    while len(waits) < 7:
        wait = window.wait_s(now)
        assert wait is not None and not window.stalled(now + wait - 0.01) and window.stalled(now + wait)
        waits.append(wait)
        now += wait
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, STALL_S_MAX, STALL_S_MAX]
    window.commit(1, 1, now)
    assert window.wait_s(now) is None and window.stall_s == STALL_S_FIRST


def after_a_long_outage() -> tuple[Window, float]:
    """Rows 1 to 4 are committed, 5 is under way, and nobody has answered for long."""
    window, now = Window(committed=4, sent=4), 0.0
    window.push(5, now)
    while window.stall_s < STALL_S_MAX:
        now += window.stall_s
        assert window.stalled(now)
        window.rewind()
        window.push(5, now)
    return window, now


def test_a_hub_that_names_again_what_it_had_is_back_and_gets_the_rest_at_once() -> None:
    window, now = after_a_long_outage()
    assert not window.commit(4, appended=5, now=now + 60, retained=True) and not window.stalled(now + 60)
    assert not window.commit(4, appended=5, now=now + 60)
    assert window.wait_s(now + 60) == 0 and window.stalled(now + 60)
    assert window.stall_s == STALL_S_FIRST, "and the doubling begins anew"


def test_so_is_one_that_was_restored_and_stands_behind() -> None:
    window, now = after_a_long_outage()
    assert not window.commit(2, appended=5, now=now + 60)
    assert window.stalled(now + 60) and window.gone_through == 4


def test_answers_to_what_was_sent_twice_do_not_make_it_go_on_for_ever() -> None:
    window, now = Window(), 0.0
    window.push(1, now)
    waits = []
    while now < 30:
        assert not window.commit(0, appended=1, now=now)
        wait = window.wait_s(now)
        assert wait is not None
        waits.append(wait)
        now += wait
        assert window.stalled(now)
        window.rewind()
        window.push(1, now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    window.commit(0, appended=1, now=now + AGAIN_CALM_S)
    assert window.stall_s == 1.0, "after a calm minute it is taken for what it says"
    window.commit(1, appended=1, now=now)
    assert window.stall_s == STALL_S_FIRST and not window.commit(1, appended=1, now=now)
    assert window.stall_s == STALL_S_FIRST, "nothing is under way"


def test_a_batch_on_a_thin_line_is_waited_for_from_when_the_broker_has_it() -> None:
    window = Window()
    window.push(1, 0.0)
    window.published(25.0)
    assert not window.stalled(25.0)
    window.push(2, 25.0)
    window.published(34.9)
    assert window.stalled(35.0), "the oldest one counts"


def test_rows_are_called_dropped_only_while_nothing_is_under_way() -> None:
    window = Window(committed=10, sent=10)
    assert window.declares(0, 10) is None and window.declares(0, 12) == 12
    assert window.declares(11, 20) == 10 and window.declares(16, 20) == 15 and window.declares(16, 3) == 3
    window.push(15, 0.0)
    assert window.declares(16, 20) == 0, "rows 11 to 15 may never arrive, and are still here"
    assert window.declares(18, 20) is None and window.declares(0, 20) is None
    window.commit(15, 30, 0.0)
    assert window.declares(18, 20) == 17


@given(st.lists(st.one_of(st.integers(1, 9), st.just("lost"), st.tuples(st.integers(0, 60))), max_size=60))
def test_what_is_sent_never_falls_behind_what_is_committed(steps: list[object]) -> None:
    window, appended = Window(), 0
    for step in steps:
        before = window.committed
        if isinstance(step, int):
            appended += step
            window.push(appended, 0.0)
        elif step == "lost":
            window.rewind()
        elif isinstance(step, tuple):
            window.commit(step[0], appended, 0.0)
        assert before <= window.committed <= max(window.sent, before) <= max(appended, window.sent)
        assert all(last > window.committed for last in window.in_flight)


# --- health --------------------------------------------------------------------------------------


def test_the_skew_is_the_smallest_difference_of_a_period() -> None:
    skew = Skew()
    skew.settle()
    assert (skew.seconds, skew.known) == (0.0, False)
    for late_s in (3.5, 3.02, 9.0):
        skew.receipt(NOW, NOW + timedelta(seconds=late_s))
    skew.settle()
    assert (skew.seconds, skew.known) == (3.02, True)
    skew.settle()
    assert skew.seconds == 3.02
    skew.receipt(NOW, NOW - timedelta(seconds=7))
    skew.settle()
    assert skew.seconds == -7.0


def test_what_cannot_be_is_left_out_of_the_telemetry() -> None:
    found = telemetry(DeviceId("gateway:gw"), NOW, {"spool_rows": 3, "clock_skew_s": -2e9, "resident_memory_mb": 50})
    assert found.body == Telemetry({"spool_rows": 3, "resident_memory_mb": 50})
