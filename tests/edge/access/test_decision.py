"""Who may pass: one attempt against the passes held, rule by rule, and what must never grant."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge.access.decision import (
    Attempt,
    Decision,
    Face,
    FaceStatus,
    band,
    decide,
    settle,
)
from edge.access.gates import Gate, Need, mistakes_of
from edge.access.ledger import Ledger
from edge.access.liveness import Liveness
from edge.access.passes import (
    Code,
    Credential,
    CredentialKind,
    Pass,
    Passes,
    PassesBody,
    Trusted,
    Watched,
    canonical,
    digest_of,
    read_passes,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SALT = "00112233445566778899aabbccddeeff"
GATE = Gate(name="west-gate", zone="core", reads=("card", "qr", "appointment"), no_pass_alarm=True)
SAME = Face("compared", 0.71, "live")


def credential(kind: CredentialKind, text: str) -> Credential:
    return Credential(kind, digest_of(bytes.fromhex(SALT), kind, canonical(kind, text)))


def code(subject: str, text: str, *, duress: bool = False) -> Code:
    return Code(digest_of(bytes.fromhex(SALT), f"code {subject}", canonical("code", text)), duress)


ANNA = Pass(
    id="p1",
    subject="anna",
    credentials=(credential("card", "0042"), credential("plate", "浙F·12345")),
    codes=(code("anna", "1111"), code("anna", "9111", duress=True)),
    zones=("core",),
    valid_from=NOW - DAY,
    valid_until=NOW + DAY,
)
BO = replace(ANNA, id="p2", subject="bo", credentials=(credential("card", "0043"),), codes=())


def passes(*held: Pass, **body: Any) -> Passes:
    given: dict[str, Any] = {"salt": SALT, "good_until": NOW + timedelta(hours=8)} | body
    return Passes(PassesBody(passes=held or (ANNA,), **given), NOW - timedelta(minutes=1), 1)


def attempt(text: str = "0042", **changed: Any) -> Attempt:
    return replace(Attempt(at=NOW, presented=credential("card", text), face=SAME), **changed)


def decided(one: Attempt, held: Passes | None = None, gate: Gate = GATE, ledger: Ledger | None = None) -> Decision:
    return decide(gate, held or passes(), ledger or Ledger(), one)


def test_holder_of_a_pass_with_the_right_face_goes_in() -> None:
    found = decided(attempt())
    assert (found.outcome, found.reason, found.subject, found.alarms) == ("allow", "granted", "anna", ())


@pytest.mark.parametrize(
    ("held", "outcome", "reason", "alarms"),
    [
        pytest.param(replace(ANNA, revoked=True), "deny", "revoked", (), id="revoked"),
        pytest.param(replace(ANNA, valid_from=NOW + DAY), "deny", "not_valid_yet", (), id="early"),
        pytest.param(replace(ANNA, valid_until=NOW), "deny", "expired", (), id="expired at the very instant"),
        pytest.param(replace(ANNA, zones=("hall",)), "deny", "zone_not_allowed", ("no_pass",), id="zone"),
        pytest.param(replace(ANNA, zones=("*",)), "allow", "granted", (), id="everywhere"),
        pytest.param(replace(ANNA, postures=("emergency",)), "deny", "posture", (), id="posture"),
        pytest.param(replace(ANNA, two_person=True), "refer", "second_person_needed", (), id="two"),
    ],
)
def test_pass_decides_where_and_when(held: Pass, outcome: str, reason: str, alarms: tuple[str, ...]) -> None:
    found = decided(attempt(), passes(held))
    assert (found.outcome, found.reason, found.alarms) == (outcome, reason, alarms)


@pytest.mark.parametrize(
    ("changed", "outcome", "reason", "alarms"),
    [
        ({"presented": None}, "refer", "no_credential", ("no_pass",)),
        ({"presented": None, "unreadable": True}, "deny", "credential_unreadable", ("no_pass",)),
        ({"presented": credential("card", "7")}, "deny", "unknown_credential", ("no_pass",)),
        ({"presented": credential("plate", "浙F12345")}, "deny", "credential_kind_not_taken_here", ()),
        ({"face": Face("compared", 0.31, "live")}, "deny", "face_mismatch", ("face_mismatch",)),
        ({"face": Face("compared", float("nan"), "live")}, "deny", "face_mismatch", ("face_mismatch",)),
        ({"face": Face("compared", None, "live")}, "deny", "face_mismatch", ("face_mismatch",)),
        ({"face": Face("compared", 0.9, "spoof")}, "deny", "spoof", ("face_spoof",)),
        ({"face": Face("compared", 0.9, "not_checked")}, "refer", "liveness_not_checked", ()),
        ({"face": Face("no_face")}, "refer", "no_face", ()),
        ({"face": Face("low_quality")}, "refer", "face_low_quality", ()),
        ({"face": Face("several_faces")}, "refer", "several_faces", ()),
        ({"face": Face("another_person")}, "refer", "another_person", ()),
        ({"face": Face()}, "refer", "face_not_checked", ()),
        ({"face": Face("no_template")}, "refer", "no_template", ()),
        ({"face": Face("lookalike", 0.9, "live")}, "refer", "lookalike", ()),
        ({"temperature_c": 38.2}, "refer", "fever", ("fever",)),
        ({"temperature_c": 22.0}, "allow", "granted", ()),
        ({"temperature_c": float("nan")}, "allow", "granted", ()),
    ],
)
def test_attempt_is_judged(changed: dict[str, Any], outcome: str, reason: str, alarms: tuple[str, ...]) -> None:
    found = decided(attempt(**changed))
    assert (found.outcome, found.reason, found.alarms) == (outcome, reason, alarms)


def test_temperature_that_is_required_and_unusable_is_referred() -> None:
    gate = replace(GATE, temperature="required")
    assert decided(attempt(temperature_c=float("nan")), gate=gate).reason == "temperature_not_measured"
    assert decided(attempt(), gate=gate).reason == "temperature_not_measured"
    assert decided(attempt(temperature_c=36.6), gate=gate).outcome == "allow"


def test_denial_beats_referral_and_every_alarm_is_raised() -> None:
    found = decided(attempt(temperature_c=39, face=Face("compared", 0.1, "live")), passes(replace(ANNA, revoked=True)))
    assert (found.outcome, found.reason) == ("deny", "revoked")
    assert found.alarms == ("face_mismatch", "fever")
    assert found.against == ("revoked", "face_mismatch", "fever")


@pytest.mark.parametrize(
    ("held", "reason"),
    [(None, "no_passes_held"), (passes(good_until=NOW), "passes_out_of_date")],
)
def test_without_a_list_that_is_good_nothing_is_granted(held: Passes | None, reason: str) -> None:
    found = decide(GATE, held, Ledger(), attempt())
    assert (found.outcome, found.reason) == ("refer", reason)


def test_clock_that_stepped_back_grants_nothing() -> None:
    late = Passes(PassesBody(salt=SALT, good_until=NOW + DAY, passes=(ANNA,)), NOW + timedelta(minutes=6), 1)
    assert decided(attempt(), late).reason == "clock_wrong"


@pytest.mark.parametrize("act", ["deny", "refer", "allow"])
def test_watchlist_alarms_until_staff_has_cleared_the_person(act: Any) -> None:
    watched = Watched(subject="anna", until=NOW + DAY, act=act)
    found = decided(attempt(), passes(watchlist=(watched,)))
    assert (found.outcome, found.alarms) == (act, ("watchlist_match",))
    trusted = Trusted(subject="anna", until=NOW + DAY)
    assert decided(attempt(), passes(watchlist=(watched,), trusted=(trusted,))).alarms == ()
    over = replace(trusted, until=NOW)
    assert decided(attempt(), passes(watchlist=(watched,), trusted=(over,))).alarms == ("watchlist_match",)


def test_credential_that_is_looked_for_alarms_though_nobody_holds_it() -> None:
    stolen = credential("card", "666")
    found = decided(attempt("666"), passes(watchlist=(Watched(credential=stolen, until=NOW + DAY),)))
    assert (found.outcome, found.alarms) == ("deny", ("no_pass", "watchlist_match"))


def test_trust_for_fever_lets_one_person_through_without_alarm() -> None:
    held = passes(trusted=(Trusted(subject="anna", until=NOW + DAY, covers=("fever",)),))
    assert decided(attempt(temperature_c=38.5), held).outcome == "allow"


def test_duress_code_opens_and_raises_a_silent_alarm() -> None:
    gate = replace(GATE, without_face="code")
    found = decided(attempt(typed="9111", face=Face("no_template")), gate=gate)
    assert (found.outcome, found.reason, found.alarms) == ("allow", "granted", ("duress",))
    right = decided(attempt(typed="1111", face=Face("no_template")), gate=gate)
    assert (right.outcome, right.alarms) == ("allow", ())
    assert decided(attempt(typed="0000", face=Face("no_template")), gate=gate).reason == "code_needed"


def test_code_of_another_person_does_not_fit() -> None:
    gate = replace(GATE, without_face="code")
    found = decided(attempt("0043", typed="1111", face=Face("no_template")), passes(ANNA, BO), gate)
    assert found.reason == "code_needed"


@pytest.mark.parametrize("status", ["no_face", "low_quality", "several_faces", "another_person"])
def test_code_is_no_way_round_a_face_that_could_be_looked_at(status: FaceStatus) -> None:
    gate = replace(GATE, without_face="code")
    assert decided(attempt(typed="1111", face=Face(status)), gate=gate).outcome == "refer"


def test_pass_handed_back_over_the_gate_is_denied_until_its_holder_went_out() -> None:
    ledger = Ledger()
    settle(GATE, ledger, decided(attempt(), ledger=ledger), NOW)
    again = decided(attempt(at=NOW + timedelta(minutes=1)), ledger=ledger)
    assert (again.outcome, again.reason, again.alarms) == ("deny", "already_inside", ("passback",))
    out = replace(GATE, name="east-gate", direction="out")
    settle(out, ledger, decided(attempt(), gate=out, ledger=ledger), NOW)
    assert decided(attempt(), ledger=ledger).outcome == "allow"


def test_soft_anti_passback_lets_in_and_tells() -> None:
    gate, ledger = replace(GATE, anti_passback="soft"), Ledger()
    settle(gate, ledger, decided(attempt(), gate=gate, ledger=ledger), NOW)
    again = decided(attempt(), gate=gate, ledger=ledger)
    assert (again.outcome, again.reason, again.alarms) == ("allow", "granted", ("passback",))


def test_somebody_who_left_unseen_comes_in_again_after_a_while() -> None:
    gate, ledger = replace(GATE, anti_passback_s=600), Ledger()
    settle(gate, ledger, decided(attempt(), gate=gate, ledger=ledger), NOW)
    assert decided(attempt(at=NOW + timedelta(seconds=599)), gate=gate, ledger=ledger).outcome == "deny"
    assert decided(attempt(at=NOW + timedelta(seconds=600)), gate=gate, ledger=ledger).outcome == "allow"


def test_two_who_must_pass_together() -> None:
    held = passes(*(replace(one, two_person=True) for one in (ANNA, BO)))
    ledger = Ledger()
    first = decided(attempt(), held, ledger=ledger)
    settle(GATE, ledger, first, NOW)
    alone = decided(attempt(at=NOW + timedelta(seconds=5)), held, ledger=ledger)
    assert alone.reason == "second_person_needed", "the same person twice is one person"
    late = decided(attempt("0043", at=NOW + timedelta(seconds=20)), held, ledger=ledger)
    assert late.reason == "second_person_needed"
    second = decided(attempt("0043", at=NOW + timedelta(seconds=19)), held, ledger=ledger)
    assert (second.outcome, second.with_subject) == ("allow", "anna")
    settle(GATE, ledger, second, NOW)
    assert set(ledger.inside["core"]) == {"anna", "bo"}


def test_nobody_waits_for_a_second_person_with_something_else_against_them() -> None:
    held = passes(*(replace(one, two_person=True) for one in (ANNA, BO)))
    ledger = Ledger()
    settle(GATE, ledger, decided(attempt(temperature_c=39), held, ledger=ledger), NOW)
    assert decided(attempt("0043"), held, ledger=ledger).reason == "second_person_needed"


def test_full_zone_refers_until_somebody_leaves() -> None:
    gate, ledger = replace(GATE, capacity=1), Ledger()
    held = passes(ANNA, BO)
    settle(gate, ledger, decided(attempt(), held, gate, ledger), NOW)
    assert decided(attempt("0043"), held, gate, ledger).reason == "full"
    ledger.went_out("core", "anna")
    assert decided(attempt("0043"), held, gate, ledger).outcome == "allow"


def test_fire_opens_for_everybody_and_what_was_seen_is_noted() -> None:
    found = decide(GATE, None, Ledger(), Attempt(at=NOW, open=True, face=Face("compared", 0.1, "spoof")))
    assert (found.outcome, found.reason) == ("allow", "egress")
    assert "spoof" in found.against


STATUSES, LIVES = get_args(FaceStatus), get_args(Liveness)
NEEDS: tuple[Need, ...] = ("required", "when_there")
WITHOUT: tuple[Literal["refer", "code"], ...] = ("refer", "code")
GATES = [
    Gate(name="g", zone="core", reads=("card",), face=face, without_face=without, liveness=live)
    for face, without, live in product(NEEDS, WITHOUT, NEEDS)
]


@given(
    gate=st.sampled_from(GATES),
    face=st.builds(Face, st.sampled_from(STATUSES), st.none() | st.floats(-1, 1), st.sampled_from(LIVES)),
    typed=st.sampled_from(["", "1111", "0000"]),
    temperature=st.none() | st.floats(30, 42),
)
def test_whatever_the_face_nothing_but_a_held_credential_grants(
    gate: Gate, face: Face, typed: str, temperature: float | None
) -> None:
    rest: dict[str, Any] = {"face": face, "typed": typed, "temperature_c": temperature}
    assert decided(attempt(presented=None, **rest), gate=gate).outcome != "allow"
    assert decided(attempt("7", **rest), gate=gate).outcome != "allow"
    found = decided(attempt(**rest), gate=gate)
    if found.outcome == "allow":
        similar = face.similarity is not None and face.similarity >= gate.cosine_min
        by_code = gate.without_face == "code" and typed == "1111"
        unseen = gate.face == "when_there" and face.status in {"no_template", "not_checked"}
        assert face.liveness != "spoof"
        assert (face.status == "compared" and similar) or by_code or unseen


def test_only_the_tenth_of_a_similarity_is_told() -> None:
    told = {None: "", -0.3: "0.0-0.1", 0.0: "0.0-0.1", 0.499: "0.4-0.5", 0.5: "0.5-0.6", 1.0: "0.9-1.0"}
    assert {one: band(one) for one in told} == told


@pytest.mark.parametrize("text", ["", "x" * 513, "Q" * 4096, "a\nb", "\ud800", "\0", "a\x1bb", "\u202e"])
def test_what_no_reader_of_ours_says_is_no_credential(text: str) -> None:
    assert passes().credential("qr", text) is None


@pytest.mark.parametrize("text", ["'; DROP TABLE passes;--", "$(reboot)", "../../etc/passwd", "{{7*7}}"])
def test_clever_text_on_a_qr_code_is_just_one_that_nobody_holds(text: str) -> None:
    read = passes().credential("qr", text)
    assert decided(attempt(presented=read)).reason == "unknown_credential"


@pytest.mark.parametrize("text", ["浙F12345", "浙f·12345", "浙F-12345", "浙Ｆ１２３４５", " 浙F 12345 "])
def test_plate_is_one_however_it_is_written(text: str) -> None:
    held = passes()
    read = held.credential("plate", text)
    assert read is not None
    assert held.by_credential(read) == ANNA


BODY: dict[str, Any] = {"salt": SALT, "good_until": "2026-11-26T00:00:00Z"}
PASS: dict[str, Any] = {
    "id": "p1",
    "subject": "anna",
    "credentials": [{"kind": "card", "digest": "0" * 32}],
    "zones": ["core"],
    "valid_from": "2026-11-25T00:00:00Z",
    "valid_until": "2026-11-26T00:00:00Z",
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"passes": [PASS | {"valid_until": PASS["valid_from"]}]}, "ends before it begins"),
        ({"passes": [PASS, PASS | {"id": "p2"}]}, "passes p1 and p2: have one credential"),
        ({"passes": [PASS | {"credentials": []}]}, "length >= 1"),
        ({"passes": [PASS | {"subject": "Anna Müller"}]}, "matching regex"),
        ({"passes": [PASS | {"hours": {"time_zone": "Mars/Olympus"}}]}, "no time zone"),
        ({"passes": [PASS | {"faces": True}]}, "unknown field"),
        ({"watchlist": [{"until": "2026-11-26T00:00:00Z"}]}, "either a subject or a credential"),
        ({"good_until": "2026-11-26T00:00:00"}, "timezone"),
    ],
)
def test_document_that_contradicts_itself_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_passes(BODY | changed, NOW, 1)


def test_document_that_is_right_is_read() -> None:
    assert len(read_passes(BODY | {"passes": [PASS]}, NOW, 3)) == 1


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"reads": ()}, "reads"),
        ({"reads": ("plate",)}, "face"),
        ({"face": "off"}, "liveness"),
        ({"threshold": 0.6, "measured_threshold": 0.4}, "threshold"),
        ({"capacity": 5, "direction": "out"}, "capacity"),
    ],
)
def test_gate_that_contradicts_itself_does_not_load(changed: dict[str, Any], key: str) -> None:
    assert [line.partition(":")[0] for line in mistakes_of(replace(GATE, **changed))] == [key]
    assert not list(mistakes_of(GATE))
