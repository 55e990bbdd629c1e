"""Templates of faces, held on the gate's own gateway: only with consent, sealed, and destroyed for good.

    faces/templates/SUBJECT   consent, model, and the templates sealed under the subject's own key (AES-256-GCM)
    faces/keys/SUBJECT        that key, sealed under the gateway's master key
    faces/erasures.jsonl      one line for each subject erased, each with the hash of the line before

Rules
- No consent, no template; consent that is over, was withdrawn, or was given for another purpose is none. An embedding
  counts as a picture of the face.
- The master key comes from outside the state folder (a credential of the system's, a token): whoever copies the folder
  has nothing. What is sealed names its subject, its model and its purpose, so that files cannot be exchanged.
- A subject is enrolled once its key is written, which is last, and erased once its key is gone, which is first: a copy
  of the template without its key is noise. The erasure's line names the hash of the key that was destroyed, which only
  whoever had the key could have written, and stays when the rest is gone.
- Whatever cannot be read is "no template", said in the log by subject reference alone, and never a match.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct

from edge import small_file
from edge.access.passes import Instant, Reference

KEY_BYTES, NONCE_BYTES = 32, 12
VECTORS_MAX = 8  # of a subject
VECTOR_BYTES_MAX = 8_192
SUBJECTS_MAX = 100_000
LINE_BYTES_MAX = 2_000
FIRST = "0" * 64

log = structlog.get_logger()


class NoConsent(Exception):
    """Nothing may be kept of this face; the text says why."""


class FaceError(Exception):
    """The store cannot do it; the text is the one line to show."""


class Consent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`given_by`: the subject, or the guardian who may (`is_guardian`). `until`: it ends by itself."""

    subject: Reference
    purpose: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]
    given_by: Reference
    given_at: Instant
    is_guardian: bool = False
    until: Instant | None = None
    withdrawn_at: Instant | None = None

    def holds(self, purpose: str, now: datetime) -> bool:
        """At `now`, for this purpose."""
        return self.given_at <= now and self.purpose == purpose and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        return any(end is not None and end <= now for end in (self.until, self.withdrawn_at))


class Erasure(Struct, frozen=True, kw_only=True):
    """`before`: hash of the line before. `key`: hash of the key that was destroyed, "" when there was none."""

    subject: str
    at: datetime
    by: str
    key: str
    template: str
    before: str


class _Kept(Struct, frozen=True):
    """A template's file."""

    consent: Consent
    model: str
    sealed: bytes


class FaceStore:
    """Of one gateway. Used by one thread at a time."""

    def __init__(self, folder: Path, master: bytes) -> None:
        """Raises FaceError."""
        if len(master) != KEY_BYTES:
            raise FaceError(f"face_key_file: expected {KEY_BYTES} bytes, base64")
        self._master = AESGCM(master)
        self._templates, self._keys, self._erasures = folder / "templates", folder / "keys", folder / "erasures.jsonl"
        try:
            for each in (folder, self._templates, self._keys):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise FaceError(f"{folder}: {error.strerror}") from error

    def enrol(self, consent: Consent, model: str, vectors: Sequence[bytes], now: datetime) -> None:
        """Keep these embeddings of one face, in place of what was kept. Raises NoConsent, FaceError."""
        _check(consent.subject)
        if not consent.holds(consent.purpose, now):
            raise NoConsent(f"{consent.subject}: the consent does not hold")
        if not 0 < len(vectors) <= VECTORS_MAX or not all(0 < len(one) <= VECTOR_BYTES_MAX for one in vectors):
            raise FaceError(f"expected 1 to {VECTORS_MAX} embeddings of at most {VECTOR_BYTES_MAX} bytes")
        if consent.subject not in (held := self.subjects()) and len(held) >= SUBJECTS_MAX:
            raise FaceError(f"{SUBJECTS_MAX} subjects are held, which is all there may be")
        key = AESGCM.generate_key(KEY_BYTES * 8)
        bound = _bound(consent.subject, model, consent.purpose)
        kept = _Kept(consent, model, _seal(AESGCM(key), msgspec.json.encode(list(vectors)), bound))
        self._forget_key(consent.subject)
        self._write(self._templates / consent.subject, msgspec.json.encode(kept))
        self._write(self._keys / consent.subject, _seal(self._master, key, consent.subject.encode()))

    def vectors(self, subject: str, model: str, purpose: str, now: datetime) -> list[bytes]:
        """The embeddings to compare with; none without consent, for another model, or when they cannot be read."""
        kept = self._kept(subject)
        if kept is None or kept.model != model or not kept.consent.holds(purpose, now):
            return []
        try:
            key = _opened(self._master, (self._keys / subject).read_bytes(), subject.encode())
            plain = _opened(AESGCM(key), kept.sealed, _bound(subject, model, purpose))
            return msgspec.json.decode(plain, type=list[bytes])
        except FileNotFoundError:
            return []
        except (OSError, InvalidTag, ValueError, msgspec.MsgspecError) as error:
            log.error("template_unreadable", subject=subject, error=type(error).__name__)
            return []

    def consent(self, subject: str) -> Consent | None:
        kept = self._kept(subject)
        return kept.consent if kept is not None else None

    def subjects(self) -> list[str]:
        """Those of whom there is a template."""
        return sorted(path.name for path in self._templates.iterdir() if "." not in path.name)

    def expire(self, now: datetime) -> list[Erasure]:
        """Erase those whose consent has ended by itself. Raises FaceError."""
        found = []
        for subject in self.subjects():
            consent = self.consent(subject)
            if consent is not None and consent.is_over(now):
                found.append(self.erase(subject, "expired", now))
        return found

    def erase(self, subject: str, by: str, now: datetime) -> Erasure:
        """Destroy the key, then the template, and write down that it was done. Raises FaceError."""
        _check(subject)
        sealed = self._read(self._keys / subject)
        destroyed = ""
        if sealed:
            try:
                destroyed = sha256(_opened(self._master, sealed, subject.encode())).hexdigest()
            except InvalidTag:
                log.error("key_unreadable", subject=subject)
        template = self._read(self._templates / subject)
        self._forget_key(subject)
        (self._templates / subject).unlink(missing_ok=True)
        made = Erasure(
            subject=subject,
            at=now,
            by=by,
            key=destroyed,
            template=sha256(template).hexdigest() if template else "",
            before=self._newest_hash(),
        )
        try:
            with self._erasures.open("ab") as file:
                file.write(msgspec.json.encode(made) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FaceError(f"{self._erasures}: {error.strerror}") from error
        return made

    def erasures(self) -> list[Erasure]:
        """All, oldest first. Raises FaceError when a line was changed, left out or put in."""
        before, found = FIRST, []
        for number, line in enumerate(self._read(self._erasures).splitlines(), 1):
            try:
                one = msgspec.json.decode(line, type=Erasure)
            except msgspec.MsgspecError:
                raise FaceError(f"{self._erasures}: line {number} cannot be read") from None
            if one.before != before:
                raise FaceError(f"{self._erasures}: line {number} does not follow the one before")
            before = sha256(line).hexdigest()
            found.append(one)
        return found

    def _newest_hash(self) -> str:
        lines = self._read(self._erasures).splitlines()
        return sha256(lines[-1]).hexdigest() if lines else FIRST

    def _kept(self, subject: str) -> _Kept | None:
        _check(subject)
        written = self._read(self._templates / subject)
        if not written:
            return None
        try:
            kept = msgspec.json.decode(written, type=_Kept)
        except msgspec.MsgspecError as error:
            log.error("template_unreadable", subject=subject, error=type(error).__name__)
            return None
        return kept if kept.consent.subject == subject else None

    def _forget_key(self, subject: str) -> None:
        """Written over first: an old journal of the file system has what is not sealed by the master key anyway."""
        path = self._keys / subject
        try:
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.write(os.urandom(size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise FaceError(f"{path}: {error.strerror}") from error

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise FaceError(f"{path}: {error.strerror}") from error

    def _write(self, path: Path, content: bytes) -> None:
        try:
            small_file.write(path, content)
            path.chmod(0o600)
        except OSError as error:
            raise FaceError(f"{path}: {error.strerror}") from error


def _check(subject: str) -> None:
    """A subject is a file's name here."""
    try:
        msgspec.convert(subject, Reference)
    except msgspec.ValidationError as error:
        raise FaceError(f"{subject[:80]!r} is no subject reference: {error}") from None


def _bound(subject: str, model: str, purpose: str) -> bytes:
    return "\0".join((subject, model, purpose)).encode()


def _seal(cipher: AESGCM, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, bound)


def _opened(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    """Raises InvalidTag."""
    if len(sealed) <= NONCE_BYTES:
        raise InvalidTag
    return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
