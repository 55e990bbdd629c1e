"""The log of an incident: whatever is changed, added, moved or taken away is found, and the first bad step is named."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from hub.chain import (
    START,
    Entry,
    Fault,
    Sealed,
    SignedSeal,
    fault_against,
    fault_in_seals,
    fault_in_steps,
    hash_of,
    hash_of_seal,
    opened,
    seal,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
EDITS = 10_000

Log = list[tuple[Entry, bytes]]


def log(incident: int = 7, steps: int = 12) -> Log:
    found: Log = []
    for number in range(1, steps + 1):
        entry = Entry(
            incident=incident,
            number=number,
            action="note",
            actor=f"guard-{number % 3}",
            at=NOON + timedelta(seconds=number),
            cause=f"looked into room {number}",
            phase="open",
            detail={"floor": number, "late": False},
        )
        found.append((entry, hash_of(found[-1][1] if found else START, entry)))
    return found


def head(steps: Log) -> Sealed:
    return Sealed(steps[-1][0].incident, len(steps), steps[-1][1].hex())


def edited(steps: Log, chance: random.Random) -> tuple[Log, int]:
    """(the log after one edit by somebody who cannot make hashes fit, the first step that is wrong)."""
    place = chance.randrange(len(steps))
    entry, carried = steps[place]
    match chance.randrange(9):
        case 0:
            entry = replace(entry, cause=entry.cause + chance.choice(("s", " ", "。")))
        case 1:
            entry = replace(entry, actor="somebody")
        case 2:
            entry = replace(entry, at=entry.at + timedelta(microseconds=chance.choice((-1, 1, 60_000_000))))
        case 3:
            entry = replace(entry, action="close")
        case 4:
            entry = replace(entry, detail={**entry.detail, "late": True})
        case 5:
            spoilt = bytearray(carried)
            spoilt[chance.randrange(32)] ^= 1 << chance.randrange(8)
            return [*steps[:place], (entry, bytes(spoilt)), *steps[place + 1 :]], place + 1
        case 6:
            return [*steps[:place], *steps[place + 1 :]], place + 1
        case 7:
            return [*steps[:place], (entry, carried), *steps[place:]], place + 2
        case 8:
            other = chance.randrange(len(steps) - 1)
            moved = [*steps[:place], *steps[place + 1 :]]
            moved.insert(other, steps[place])
            if moved == steps:
                return edited(steps, chance)
            return moved, min(place, other) + 1
    return [*steps[:place], (entry, carried), *steps[place + 1 :]], place + 1


def first_fault(steps: Log, sealed: Sealed) -> Fault | None:
    return fault_in_steps(sealed.incident, steps) or fault_against(sealed, steps)


def test_a_log_that_nobody_touched_is_right() -> None:
    assert first_fault(log(), head(log())) is None
    assert fault_in_steps(7, []) is None


def test_ten_thousand_edits_are_found_and_the_first_bad_step_is_named() -> None:
    chance, steps = random.Random(20261125), log()
    for _ in range(EDITS):
        changed, first = edited(steps, chance)
        fault = first_fault(changed, head(steps))
        assert fault is not None and fault.number == first, (fault, first)


def test_a_history_that_fits_its_own_hashes_does_not_fit_the_seal() -> None:
    steps, other = log(), log()[:4]
    for entry, _ in log()[4:]:
        told = replace(entry, cause="nothing happened")
        other.append((told, hash_of(other[-1][1], told)))
    assert fault_in_steps(7, other) is None
    assert fault_against(head(steps), other) == Fault(12, "it is another than the one that was sealed")


def test_steps_of_another_incident_are_not_taken() -> None:
    fault = fault_in_steps(7, log(incident=8))
    assert fault is not None and "incident 8" in fault.why


# --- seals ---------------------------------------------------------------------------------------


def seals(count: int = 5) -> list[SignedSeal]:
    found: list[SignedSeal] = []
    for number in range(1, count + 1):
        previous = hash_of_seal(found[-1]) if found else ""
        found.append(seal(KEY, number, NOON, previous, [head(log(steps=number))]))
    return found


def test_seals_that_nobody_touched_are_right() -> None:
    assert fault_in_seals(seals(), [PUBLIC]) is None


@pytest.mark.parametrize("place", range(5))
def test_a_seal_that_is_taken_out_or_changed_is_missed(place: int) -> None:
    given = seals()
    changed = replace(given[place], content=given[place].content.replace("2026", "2025"))
    assert fault_in_seals([*given[:place], changed, *given[place + 1 :]], [PUBLIC]) == Fault(
        place + 1, "the seal was changed, or one before it is missing"
    )
    if place < 4:
        fault = fault_in_seals([*given[:place], *given[place + 1 :]], [PUBLIC])
        assert fault is not None and fault.number == place + 1


def test_a_seal_of_another_key_is_not_the_hubs() -> None:
    forged = seal(OTHER, 1, NOON, "", [head(log())])
    assert opened(forged) is not None
    assert fault_in_seals([forged], [PUBLIC]) == Fault(1, "the seal is signed with another key")
