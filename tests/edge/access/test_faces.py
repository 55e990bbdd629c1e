"""Templates of faces: nothing without consent, nothing for whoever copies the files, nothing after it was erased."""

import os
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edge.access.faces import Consent, FaceError, FaceStore, NoConsent

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MASTER = bytes(range(32))
MODEL = "sface-2021dec"
GATE = "gate"
ANNA = Consent(subject="anna", purpose=GATE, given_by="anna", given_at=NOW - timedelta(days=1))
VECTORS = [random.Random(7).randbytes(512), random.Random(8).randbytes(512)]


@pytest.fixture
def store(tmp_path: Path) -> FaceStore:
    return FaceStore(tmp_path / "faces", MASTER)


def files(folder: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_what_was_enrolled_is_there_after_a_restart(store: FaceStore, tmp_path: Path) -> None:
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    again = FaceStore(tmp_path / "faces", MASTER)
    assert again.vectors("anna", MODEL, GATE, NOW) == VECTORS
    assert again.consent("anna") == ANNA and again.subjects() == ["anna"]


@pytest.mark.parametrize(
    "changed",
    [
        {"given_at": NOW + timedelta(seconds=1)},
        {"until": NOW},
        {"withdrawn_at": NOW},
    ],
)
def test_without_consent_nothing_is_kept(store: FaceStore, tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(NoConsent):
        store.enrol(replace(ANNA, **changed), MODEL, VECTORS, NOW)
    assert not list(files(tmp_path))


@pytest.mark.parametrize(
    ("model", "purpose", "at"),
    [
        ("another-model", GATE, NOW),
        (MODEL, "attendance", NOW),
        (MODEL, GATE, NOW + timedelta(days=30)),
    ],
)
def test_template_is_given_for_its_model_its_purpose_and_while_the_consent_holds(
    store: FaceStore, model: str, purpose: str, at: datetime
) -> None:
    store.enrol(replace(ANNA, until=NOW + timedelta(days=30)), MODEL, VECTORS, NOW)
    assert store.vectors("anna", model, purpose, at) == []
    assert store.vectors("nobody", MODEL, GATE, NOW) == []


def test_files_alone_yield_no_template(store: FaceStore, tmp_path: Path) -> None:
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    for content in files(tmp_path):
        for vector in VECTORS:
            assert not any(vector[at : at + 8] in content for at in range(0, len(vector) - 8, 4))
    thief = FaceStore(tmp_path / "faces", os.urandom(32))
    assert thief.vectors("anna", MODEL, GATE, NOW) == []
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "faces").rglob("*")} == {0}


def test_files_of_two_subjects_cannot_be_exchanged(store: FaceStore, tmp_path: Path) -> None:
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    store.enrol(replace(ANNA, subject="bo"), MODEL, VECTORS[:1], NOW)
    folder = tmp_path / "faces"
    for kind in ("templates", "keys"):
        shutil.copy(folder / kind / "bo", folder / kind / "anna")
    assert store.vectors("anna", MODEL, GATE, NOW) == []
    assert store.vectors("bo", MODEL, GATE, NOW) == VECTORS[:1]


def test_consent_that_was_changed_by_hand_does_not_open_the_template_for_another_purpose(
    store: FaceStore, tmp_path: Path
) -> None:
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    path = tmp_path / "faces" / "templates" / "anna"
    path.write_bytes(path.read_bytes().replace(b'"gate"', b'"work"'))
    assert store.vectors("anna", MODEL, "work", NOW) == []


def test_erased_is_erased_also_for_whoever_kept_the_old_template(store: FaceStore, tmp_path: Path) -> None:
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    template = tmp_path / "faces" / "templates" / "anna"
    backup = template.read_bytes()
    record = store.erase("anna", "operator", NOW)
    assert store.subjects() == [] and store.vectors("anna", MODEL, GATE, NOW) == []
    assert len(record.key) == 64 and len(record.template) == 64
    template.write_bytes(backup)
    assert store.vectors("anna", MODEL, GATE, NOW) == [], "its key is gone"
    assert [one.subject for one in FaceStore(tmp_path / "faces", MASTER).erasures()] == ["anna"]


def test_erasing_once_more_does_no_harm_and_is_written_down(store: FaceStore) -> None:
    assert store.erase("anna", "operator", NOW).key == ""
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    assert store.erase("anna", "operator", NOW).key != ""
    assert len(store.erasures()) == 2


def test_consent_that_ends_by_itself_takes_the_template_along(store: FaceStore) -> None:
    store.enrol(replace(ANNA, until=NOW + timedelta(days=1)), MODEL, VECTORS, NOW)
    store.enrol(replace(ANNA, subject="bo"), MODEL, VECTORS, NOW)
    assert store.expire(NOW) == []
    assert [one.subject for one in store.expire(NOW + timedelta(days=1))] == ["anna"]
    assert store.subjects() == ["bo"]


@pytest.mark.parametrize("edit", ["change", "leave out", "swap", "put in"])
def test_log_of_erasures_cannot_be_rewritten_unnoticed(store: FaceStore, tmp_path: Path, edit: str) -> None:
    for subject in ("anna", "bo", "cy"):
        store.erase(subject, "operator", NOW)
    path = tmp_path / "faces" / "erasures.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "change": [lines[0].replace(b"anna", b"anne"), *lines[1:]],
        "leave out": [lines[0], lines[2]],
        "swap": [lines[1], lines[0], lines[2]],
        "put in": [lines[0], lines[0], *lines[1:]],
    }[edit]
    path.write_bytes(b"".join(changed))
    with pytest.raises(FaceError, match="does not follow"):
        store.erasures()


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 100, b'{"consent":{},"model":"x","sealed":""}'])
@pytest.mark.parametrize("kind", ["templates", "keys"])
def test_torn_files_are_no_template(store: FaceStore, tmp_path: Path, kind: str, content: bytes) -> None:
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    (tmp_path / "faces" / kind / "anna").write_bytes(content)
    assert store.vectors("anna", MODEL, GATE, NOW) == []
    store.enrol(ANNA, MODEL, VECTORS, NOW)
    assert store.vectors("anna", MODEL, GATE, NOW) == VECTORS


@pytest.mark.parametrize("subject", ["../keys/anna", "", "a/b", "a.new", "x" * 65, "\0"])
def test_subject_is_no_path(store: FaceStore, subject: str) -> None:
    with pytest.raises(FaceError):
        store.enrol(replace(ANNA, subject=subject), MODEL, VECTORS, NOW)
    with pytest.raises(FaceError):
        store.erase(subject, "operator", NOW)


@pytest.mark.parametrize("vectors", [[], [b""], [b"x"] * 9, [b"x" * 9_000]])
def test_embeddings_have_a_size(store: FaceStore, vectors: list[bytes]) -> None:
    with pytest.raises(FaceError):
        store.enrol(ANNA, MODEL, vectors, NOW)


def test_master_key_has_its_length(tmp_path: Path) -> None:
    with pytest.raises(FaceError, match="face_key_file"):
        FaceStore(tmp_path, b"short")
