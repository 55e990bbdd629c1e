"""May they pass? One attempt at one gate against the passes held: allow, deny or refer, and why. Pure.

Rules
- Nothing grants but a pass, presented by a credential that is not a face, in time, place and posture. A face can only
  take away from that, or confirm it.
- "Not checked" is not "passed": what a gate requires and could not be measured refers to staff. A live face alone
  grants nothing, and a spoof denies whatever else was right.
- A denial beats a referral, which beats a grant; all rules are looked at, so that every alarm is raised and the record
  says everything that was wrong. `reason` is the first of the gravest in the order of RULES.
- Somebody whom staff has cleared (trust list) is not alarmed again for what that covers.
- A duress code acts like the real one; the alarm is silent.
- While the fire rule holds the gate open (P0 egress) everybody passes, whatever is wrong, and what was seen is noted.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from edge.access.gates import Gate
from edge.access.ledger import Ledger, Waiting
from edge.access.liveness import Liveness
from edge.access.passes import EVERYWHERE, Code, Credential, Pass, Passes

Outcome = Literal["allow", "deny", "refer"]
FaceStatus = Literal[
    "compared",
    "no_face",
    "low_quality",
    "several_faces",
    "another_person",
    "no_template",
    "lookalike",
    "not_checked",
]

CLOCK_BEHIND_S_MAX = 300.0  # the document was issued later than our clock says it is: our clock is wrong
BAND_WIDTH = 0.1  # of similarity, as told: a score to two digits would help whoever climbs it


class Face(Struct, frozen=True):
    """What the frames of the walk came to. `similarity`: cosine to the template of the credential's holder."""

    status: FaceStatus = "not_checked"
    similarity: float | None = None
    liveness: Liveness = "not_checked"


NOT_CHECKED = Face()


class Attempt(Struct, frozen=True, kw_only=True):
    """Somebody at a gate. `presented`: the credential that was read, `unreadable` when one was that nothing of ours
    reads like. `typed`: a code. `open`: the fire rule holds the gate open."""

    at: datetime
    presented: Credential | None = None
    unreadable: bool = False
    typed: str = ""
    face: Face = NOT_CHECKED
    temperature_c: float | None = None
    posture: str = ""
    open: bool = False


class Against(Struct, frozen=True):
    """One thing that speaks against a passage. `alarm`: its kind, when it must be raised at once."""

    outcome: Outcome
    reason: str
    alarm: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """`reason`: "granted", or the first of the gravest. `against`: all of it. `alarms`: kinds, without those that the
    trust list covers. `with_subject`: the other one of two who pass together."""

    outcome: Outcome
    reason: str
    subject: str = ""
    pass_id: str = ""
    alarms: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    with_subject: str = ""


class _Case(Struct, frozen=True):
    """What the rules look at."""

    gate: Gate
    passes: Passes | None
    ledger: Ledger
    attempt: Attempt
    held: Pass | None


Rule = Callable[[_Case], Against | None]


def decide(gate: Gate, passes: Passes | None, ledger: Ledger, attempt: Attempt) -> Decision:
    """Changes nothing; `settle` does, when they have passed or been let through."""
    held = passes.by_credential(attempt.presented) if passes is not None and attempt.presented else None
    case = _Case(gate, passes, ledger, attempt, held)
    against = [found for rule in RULES if (found := rule(case)) is not None]
    subject = held.subject if held is not None else ""
    alarms = tuple(dict.fromkeys(one.alarm for one in against if one.alarm)) + _duress(case)
    gravest = _gravest(against)
    if attempt.open:
        gravest = Against("allow", "egress")
    partner = ledger.partner(gate.name, subject, attempt.at) if held is not None and held.two_person else ""
    return Decision(
        outcome=gravest.outcome,
        reason=gravest.reason,
        subject=subject,
        pass_id=held.id if held is not None else "",
        alarms=alarms,
        against=tuple(one.reason for one in against),
        with_subject=partner if gravest.outcome == "allow" else "",
    )


def settle(gate: Gate, ledger: Ledger, decision: Decision, at: datetime) -> None:
    """Remember what was decided: who went in or out, and who waits for a second person."""
    if decision.reason == SECOND_PERSON:
        ledger.waiting[gate.name] = Waiting(decision.subject, at + timedelta(seconds=gate.two_person_s))
        return
    if decision.outcome != "allow" or not decision.subject:
        return
    if decision.with_subject:
        ledger.waiting.pop(gate.name, None)
    for subject in filter(None, (decision.subject, decision.with_subject)):
        if gate.direction == "in":
            ledger.went_in(gate.zone, subject, at)
        else:
            ledger.went_out(gate.zone, subject)


def band(similarity: float | None) -> str:
    """What of a similarity may be told: the tenth that it lies in, "0.5-0.6"; "" when there is none."""
    if similarity is None:
        return ""
    low = min(max(int(similarity / BAND_WIDTH), 0), 9)
    return f"{low / 10:.1f}-{(low + 1) / 10:.1f}"


def _gravest(against: list[Against]) -> Against:
    for outcome in ("deny", "refer"):
        for one in against:
            if one.outcome == outcome:
                return one
    return Against("allow", "granted")


def _duress(case: _Case) -> tuple[str, ...]:
    code = _code(case)
    return ("duress",) if code is not None and code.duress else ()


def _code(case: _Case) -> Code | None:
    """The one that was typed; None when none of the pass fits."""
    if case.held is None or case.passes is None or not case.attempt.typed:
        return None
    return case.passes.code(case.held, case.attempt.typed)


# --- the rules: a case -> what it has against the passage, in the order in which a reason is told -------------------


def _list_is_good(case: _Case) -> Against | None:
    passes, at = case.passes, case.attempt.at
    if passes is None:
        return Against("refer", "no_passes_held")
    if at >= passes.good_until:
        return Against("refer", "passes_out_of_date")
    if (passes.issued_at - at).total_seconds() > CLOCK_BEHIND_S_MAX:
        return Against("refer", "clock_wrong")
    return None


def _credential(case: _Case) -> Against | None:
    attempt, alarm = case.attempt, "no_pass" if case.gate.no_pass_alarm else ""
    if attempt.unreadable:
        return Against("deny", "credential_unreadable", alarm)
    if attempt.presented is None:
        return Against("refer", "no_credential", alarm)
    if attempt.presented.kind not in case.gate.reads:
        return Against("deny", "credential_kind_not_taken_here")
    return Against("deny", "unknown_credential", alarm) if case.held is None and case.passes is not None else None


def _watchlist(case: _Case) -> Against | None:
    if case.passes is None:
        return None
    subject, at = case.held.subject if case.held else "", case.attempt.at
    watched = case.passes.watched(subject, case.attempt.presented, at)
    if watched is None or case.passes.trusts(subject, "watchlist_match", at):
        return None
    return Against(watched.act, "watchlist", "watchlist_match")


def _validity(case: _Case) -> Against | None:
    held, at = case.held, case.attempt.at
    if held is None:
        return None
    if held.revoked:
        return Against("deny", "revoked")
    if at < held.valid_from:
        return Against("deny", "not_valid_yet")
    if at >= held.valid_until:
        return Against("deny", "expired")
    return Against("deny", "outside_hours") if held.hours and not held.hours.is_on(at.timestamp()) else None


def _place(case: _Case) -> Against | None:
    held = case.held
    if held is None or EVERYWHERE in held.zones or case.gate.zone in held.zones:
        return None
    return Against("deny", "zone_not_allowed", "no_pass" if case.gate.no_pass_alarm else "")


def _posture(case: _Case) -> Against | None:
    held = case.held
    if held is None or not held.postures or case.attempt.posture in held.postures:
        return None
    return Against("deny", "posture")


def _anti_passback(case: _Case) -> Against | None:
    gate, held, at = case.gate, case.held, case.attempt.at
    if held is None or gate.anti_passback == "off" or gate.direction == "out":
        return None
    if case.ledger.since(gate.zone, held.subject, at, gate.anti_passback_s) is None:
        return None
    return Against("deny" if gate.anti_passback == "hard" else "allow", "already_inside", "passback")


def _temperature(case: _Case) -> Against | None:
    gate, measured = case.gate, case.attempt.temperature_c
    if gate.temperature == "off":
        return None
    if measured is None or not gate.temperature_c_min <= measured <= 45:  # a hand, a cap, a broken sensor
        return Against("refer", "temperature_not_measured") if gate.temperature == "required" else None
    subject = case.held.subject if case.held else ""
    if measured <= gate.temperature_c_max:
        return None
    trusted = case.passes is not None and case.passes.trusts(subject, "fever", case.attempt.at)
    return None if trusted else Against("refer", "fever", "fever")


def _liveness(case: _Case) -> Against | None:
    """A spoof is one whoever's pass it is; looked at also where the pass asks for no face."""
    face, gate = case.attempt.face, case.gate
    if gate.face == "off" or gate.liveness == "off":
        return None
    if face.liveness == "spoof":
        return Against("deny", "spoof", "face_spoof")
    needed = gate.liveness == "required" and face.status == "compared"
    return Against("refer", "liveness_not_checked") if needed and face.liveness != "live" else None


def _face(case: _Case) -> Against | None:
    face, gate, held = case.attempt.face, case.gate, case.held
    if held is None or gate.face == "off" or not held.face:
        return None
    if face.status == "compared":
        return _compared(case, held)
    if gate.face == "when_there" and face.status in {"no_template", "not_checked"}:
        return None
    by_code = gate.without_face == "code" and face.status in {"no_template", "not_checked", "lookalike"}
    if by_code and _code(case) is not None:
        return None
    return Against("refer", "code_needed" if by_code else _FACE_REASONS[face.status])


_FACE_REASONS = {
    "no_face": "no_face",
    "low_quality": "face_low_quality",
    "several_faces": "several_faces",
    "another_person": "another_person",
    "no_template": "no_template",
    "lookalike": "lookalike",
    "not_checked": "face_not_checked",
}


def _compared(case: _Case, held: Pass) -> Against | None:
    similarity = case.attempt.face.similarity
    if similarity is not None and similarity >= case.gate.cosine_min:  # a NaN is not
        return None
    trusted = case.passes is not None and case.passes.trusts(held.subject, "face_mismatch", case.attempt.at)
    return Against("refer", "face_mismatch") if trusted else Against("deny", "face_mismatch", "face_mismatch")


def _capacity(case: _Case) -> Against | None:
    gate = case.gate
    if gate.capacity is None:
        return None
    inside = case.ledger.count(gate.zone, case.attempt.at, gate.anti_passback_s)
    return Against("refer", "full") if inside >= gate.capacity else None


SECOND_PERSON = "second_person_needed"


def _two_person(case: _Case) -> Against | None:
    held, gate = case.held, case.gate
    if held is None or not held.two_person or gate.direction == "out":
        return None
    partner = case.ledger.partner(gate.name, held.subject, case.attempt.at)
    return None if partner else Against("refer", SECOND_PERSON)


RULES: tuple[Rule, ...] = (
    _list_is_good,
    _credential,
    _watchlist,
    _validity,
    _place,
    _posture,
    _anti_passback,
    _liveness,
    _face,
    _temperature,
    _capacity,
    _two_person,
)
