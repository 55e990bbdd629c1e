"""Which alarms are one incident. Pure, decided on observed time alone, so that the order of arrival does not matter.

Rules
- Only raised alarms count, and only kinds that may open an incident: priority 0 and 1, and priority 2 of the groups
  fault, supervision and vehicle. Anything else neither opens nor joins.
- Alarms belong together when they have one Key: site, alarm group, and the place (fire, security: the zone) or the
  subject (person, vehicle, fault, supervision: the device). A fire or security alarm without a zone has its device.
- Alarms of one Key that are at most WINDOW apart are neighbours; an incident is a chain of neighbours. That is a
  property of the set of alarms, not of their order: any permutation, with any duplicates, gives the same chains.
- An alarm that comes late may therefore join two incidents into one: the older takes in the younger ("absorb"), which
  is closed by the hub ("merge"). What people have touched stays: an incident with a step of a person is never merged
  away, and a closed one is never joined, so from there on the order in which people and alarms came does count.
- What one device says at one instant is one alarm for each zone that its gateways place it in.
- A condition is (device, kind, component). It is still raised in an incident when its newest raise there is not older
  than its newest clear anywhere; at the same instant the raise wins. (What a clock that is ahead says counts as of its
  reception: `EventRow.at`.)
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from devices.dictionary import ALARMS, P1, P2, alarm_priority

WINDOWS = {"fire": timedelta(minutes=15)}
WINDOW = timedelta(minutes=10)
BY_PLACE = frozenset({"fire", "security"})
OPENS_AT_P2 = frozenset({"fault", "supervision", "vehicle"})
UNKNOWN_GROUP = "security"  # of a kind that this version does not know: too loud, never too quiet


class Key(Struct, frozen=True):
    """What alarms of one incident share. Exactly one of `zone` and `subject` is set."""

    site: str
    group: str
    zone: str
    subject: str


class Raised(Struct, frozen=True):
    """One raised alarm that counts for an incident."""

    key: Key
    device: str
    kind: str
    component: str
    observed_at: datetime
    zone: str = ""  # where it was, also when it is about a subject
    late: bool = False


class Case(Struct, frozen=True):
    """An incident that is not closed, as far as joining goes. `number` is negative before it is stored."""

    number: int
    key: Key
    kind: str
    zone: str
    opened_at: datetime
    last_alarm_at: datetime
    priority: int
    late: bool
    alarm_count: int
    touched: bool = False


class Outcome(Struct, frozen=True):
    """`cases` by number, changed and new ones; `joined` one number per alarm given; `merged` stored loser -> winner."""

    cases: dict[int, Case]
    joined: tuple[int, ...]
    merged: dict[int, int]


def group_of(kind: str) -> str:
    known = ALARMS.get(kind)
    return known.group if known else UNKNOWN_GROUP


def counts(kind: str) -> bool:
    """Whether a raised alarm of this kind opens or joins an incident."""
    priority = alarm_priority(kind)
    return priority <= P1 or (priority == P2 and group_of(kind) in OPENS_AT_P2)


def key_of(kind: str, device: str, zone: str, site: str) -> Key:
    group = group_of(kind)
    return Key(site, group, zone, "") if group in BY_PLACE and zone else Key(site, group, "", device)


def window(group: str) -> timedelta:
    return WINDOWS.get(group, WINDOW)


def correlate(alarms: Iterable[Raised], held: Iterable[Case]) -> Outcome:
    """Place alarms that were not placed before among the cases `held` of their keys."""
    live = {case.number: case for case in held}
    changed: set[int] = set()
    goes_to: dict[int, int] = {}
    placed: list[int] = []
    for alarm in alarms:
        near = sorted((case for case in live.values() if _neighbours(case, alarm)), key=_seniority)
        grown = _grown(near[0], alarm) if near else _opened(alarm, -1 - len(placed))
        for other in near[1:]:
            if not other.touched:
                grown = _absorbed(grown, live.pop(other.number))
                goes_to[other.number] = grown.number
        live[grown.number] = grown
        changed.add(grown.number)
        placed.append(grown.number)
    return Outcome(
        cases={number: live[number] for number in sorted(changed) if number in live},
        joined=tuple(_last(goes_to, number) for number in placed),
        merged={number: _last(goes_to, number) for number in goes_to if number > 0},
    )


def still_raised(raised_at: datetime, cleared_at: datetime | None) -> bool:
    return cleared_at is None or raised_at >= cleared_at


def _neighbours(case: Case, alarm: Raised) -> bool:
    reach = window(case.key.group)
    return case.key == alarm.key and case.opened_at - reach <= alarm.observed_at <= case.last_alarm_at + reach


def _seniority(case: Case) -> tuple[bool, bool, datetime, int]:
    """What people touched stays, then what is stored, then what is older."""
    return (not case.touched, case.number < 0, case.opened_at, abs(case.number))


def _opened(alarm: Raised, number: int) -> Case:
    return Case(
        number=number,
        key=alarm.key,
        kind=alarm.kind,
        zone=alarm.zone,
        opened_at=alarm.observed_at,
        last_alarm_at=alarm.observed_at,
        priority=alarm_priority(alarm.kind),
        late=alarm.late,
        alarm_count=1,
    )


def _grown(case: Case, alarm: Raised) -> Case:
    return _absorbed(case, _opened(alarm, case.number))


def _absorbed(case: Case, other: Case) -> Case:
    first = min(case, other, key=_opening)
    return replace(
        case,
        kind=first.kind,
        zone=first.zone,
        opened_at=first.opened_at,
        last_alarm_at=max(case.last_alarm_at, other.last_alarm_at),
        priority=min(case.priority, other.priority),
        late=case.late and other.late,
        alarm_count=case.alarm_count + other.alarm_count,
    )


def _opening(case: Case) -> tuple[datetime, int, str, str]:
    """The alarm that opens a case is its earliest; of several at one instant the gravest, then by name."""
    return (case.opened_at, alarm_priority(case.kind), case.kind, case.zone)


def _last(goes_to: dict[int, int], number: int) -> int:
    while number in goes_to:
        number = goes_to[number]
    return number
