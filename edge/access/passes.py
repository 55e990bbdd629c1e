"""The document "passes": who may pass where, who is looked for, whom staff has cleared. Pure.

Rules
- What a reader reads never stands here, its digest does: keyed BLAKE2b of kind and text, under the salt of the
  document. A copied document names nobody and no card.
- A subject is a reference that only the hub can resolve.
- Nothing grants after `good_until`, connected or not: a gate that has lost its hub gets stricter, never looser.
- A pass that was withdrawn stays in the document as `revoked` for as long as it would have been valid, so that a gate
  says why it refuses.
"""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from geofences.calendar import Schedule, is_time_zone

PASSES_MAX = 100_000
LISTED_MAX = 20_000
CREDENTIALS_MAX = 16
ZONES_MAX = 256
EVERYWHERE = "*"
CREDENTIAL_CHARS_MAX = 512  # a QR code may hold 4 kB; nothing we issue does
DIGEST_BYTES = 16

CredentialKind = Literal["card", "qr", "plate", "appointment"]
Instant = Annotated[datetime, Meta(tz=True)]
Reference = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
Salt = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]
ZoneWanted = Annotated[str, Meta(pattern=r"^(\*|[a-z0-9][a-z0-9_-]{0,63})$")]


class Credential(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody presents: `digest` by digest_of."""

    kind: CredentialKind
    digest: Digest


class Code(Struct, frozen=True, forbid_unknown_fields=True):
    """A personal code, the second channel where there is no face. `duress`: typed under threat, it works like the
    other one and raises a silent alarm."""

    digest: Digest
    duress: bool = False


class Pass(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`zones`: where it is good, "*" everywhere. `hours`: when, besides `valid_from` to `valid_until` (not included).
    `postures`: in which, all when none is named. `face`: whether the holder's face is compared (1:1) at gates that can.
    `two_person`: only together with a second holder."""

    id: Reference
    subject: Reference
    credentials: Annotated[tuple[Credential, ...], Meta(min_length=1, max_length=CREDENTIALS_MAX)]
    codes: Annotated[tuple[Code, ...], Meta(max_length=4)] = ()
    zones: Annotated[tuple[ZoneWanted, ...], Meta(min_length=1, max_length=ZONES_MAX)]
    valid_from: Instant
    valid_until: Instant
    hours: Schedule | None = None
    postures: tuple[str, ...] = ()
    face: bool = True
    two_person: bool = False
    revoked: bool = False


class Watched(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody or something looked for, by subject or by credential. `act`: what a gate does besides the alarm."""

    subject: Reference | None = None
    credential: Credential | None = None
    until: Instant
    act: Literal["deny", "refer", "allow"] = "refer"


class Trusted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cleared by staff until then: what `covers` names is neither alarmed nor held against that person again."""

    subject: Reference
    until: Instant
    covers: tuple[Literal["watchlist_match", "fever", "face_mismatch"], ...] = ("watchlist_match",)


class PassesBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    salt: Salt
    good_until: Instant
    passes: Annotated[tuple[Pass, ...], Meta(max_length=PASSES_MAX)] = ()
    watchlist: Annotated[tuple[Watched, ...], Meta(max_length=LISTED_MAX)] = ()
    trusted: Annotated[tuple[Trusted, ...], Meta(max_length=LISTED_MAX)] = ()


class Passes:
    """The document, so that a look costs the same however many there are. `issued_at`: by the hub's clock."""

    def __init__(self, body: PassesBody, issued_at: datetime, version: int = 0) -> None:
        self.issued_at, self.good_until, self.version = issued_at, body.good_until, version
        self._salt = bytes.fromhex(body.salt)
        self._by_credential = {one: each for each in body.passes for one in each.credentials}
        self._watched = {each.subject or each.credential: each for each in body.watchlist}
        self._trusted = {each.subject: each for each in body.trusted}

    def __len__(self) -> int:
        return len(set(self._by_credential.values()))

    def credential(self, kind: CredentialKind, text: str) -> Credential | None:
        """What was read, as the document names it; None when nothing we issue reads so."""
        plain = canonical(kind, text)
        return Credential(kind, digest_of(self._salt, kind, plain)) if plain else None

    def code(self, held: Pass, text: str) -> Code | None:
        plain = canonical("code", text)
        digest = digest_of(self._salt, f"code {held.subject}", plain) if plain else ""
        return next((code for code in held.codes if code.digest == digest), None)

    def by_credential(self, presented: Credential) -> Pass | None:
        return self._by_credential.get(presented)

    def watched(self, subject: str, presented: Credential | None, at: datetime) -> Watched | None:
        for key in (subject, presented):
            found = self._watched.get(key) if key else None
            if found is not None and at < found.until:
                return found
        return None

    def trusts(self, subject: str, kind: str, at: datetime) -> bool:
        found = self._trusted.get(subject)
        return found is not None and at < found.until and kind in found.covers


def read_passes(body: Any, issued_at: datetime, version: int) -> Passes:
    """Raises ValidationError (unreadable) and ValueError (it contradicts itself)."""
    read = msgspec.convert(body, PassesBody)
    for wrong in _contradictions(read):
        raise ValueError(wrong)
    return Passes(read, issued_at, version)


def canonical(kind: str, text: str) -> str:
    """One spelling of what people and readers write in several; "" for what no credential of ours is.

    Plates: width and case folded, separators left out ("浙f·12345" is 浙F12345).
    """
    folded = unicodedata.normalize("NFKC", text).strip()
    if kind == "plate":
        folded = "".join(char for char in folded.upper() if char.isalnum())
    fits = 0 < len(folded) <= CREDENTIAL_CHARS_MAX and folded.isprintable()
    return folded if fits else ""


def digest_of(salt: bytes, kind: str, plain: str) -> str:
    """32 hex digits. `plain`: as canonical gives it."""
    return blake2b(f"{kind}\0{plain}".encode(), key=salt, digest_size=DIGEST_BYTES).hexdigest()


def _contradictions(body: PassesBody) -> Iterable[str]:
    seen: dict[Credential, str] = {}
    for each in body.passes:
        if each.valid_until <= each.valid_from:
            yield f"pass {each.id}: ends before it begins"
        if each.hours is not None and not is_time_zone(each.hours.time_zone):
            yield f"pass {each.id}: hours.time_zone: no time zone {each.hours.time_zone!r}"
        for one in each.credentials:
            if seen.setdefault(one, each.id) != each.id:
                yield f"passes {seen[one]} and {each.id}: have one credential ({one.kind})"
    for watched in body.watchlist:
        if (watched.subject is None) == (watched.credential is None):
            yield "watchlist: expected either a subject or a credential"
