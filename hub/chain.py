"""The log of an incident cannot be rewritten unnoticed. Pure.

Rules
- Each step carries a hash: SHA-256 of the hash of the step before it (START for the first) and of the step's own entry,
  which is JSON with sorted keys. An entry names its incident and number: nothing can be moved, changed, added between
  or taken out without the hashes after it being wrong.
- What is taken off the end, or a whole incident, leaves no wrong hash. Therefore the hub seals: from time to time it
  signs the newest hash of every incident that has moved on. A Seal holds the hash of the Seal before it.
- Who holds the hub's key and the database can write another history; who holds an old Seal or an evidence pack, made
  before, sees it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

START = bytes(32)


class Entry(Struct, frozen=True, kw_only=True):
    """One step as it is hashed. `at` is aware UTC; `detail` has texts, whole numbers, yes and no, null."""

    incident: int
    number: int
    action: str
    actor: str
    at: datetime
    cause: str
    phase: str
    detail: Mapping[str, Any]


class Sealed(Struct, frozen=True):
    """The newest step of an incident when it was sealed. `hash`: hexadecimal."""

    incident: int
    number: int
    hash: str


class Seal(Struct, frozen=True, kw_only=True):
    """`previous`: SHA-256 of the signed text of the seal before, hexadecimal."""

    number: int
    at: datetime
    previous: str
    heads: tuple[Sealed, ...]


class SignedSeal(Struct, frozen=True):
    """`content` is the exact JSON text of a Seal; signature and the key it was made with are raw Ed25519."""

    content: str
    signature: bytes
    signed_by: bytes


class Fault(Struct, frozen=True):
    """The first thing that is wrong. `number`: of the step, or of the seal; 0 when it is about no single one."""

    number: int
    why: str


def hash_of(previous: bytes, entry: Entry) -> bytes:
    return sha256(previous + msgspec.json.encode(entry, order="sorted")).digest()


def seal(key: Ed25519PrivateKey, number: int, at: datetime, previous: str, heads: Iterable[Sealed]) -> SignedSeal:
    content = msgspec.json.encode(Seal(number=number, at=at, previous=previous, heads=tuple(heads)))
    return SignedSeal(content.decode(), key.sign(content), key.public_key().public_bytes_raw())


def hash_of_seal(signed: SignedSeal) -> str:
    """What the next one calls `previous`."""
    return sha256(signed.content.encode()).hexdigest()


def fault_in_steps(incident: int, steps: Sequence[tuple[Entry, bytes]]) -> Fault | None:
    """Steps of one incident in the order of their numbers, each with the hash it carries."""
    previous = START
    for expected, (entry, carried) in enumerate(steps, 1):
        if entry.incident != incident:
            return Fault(expected, f"it belongs to incident {entry.incident}")
        if entry.number != expected:
            return Fault(expected, f"step {entry.number} stands in its place")
        previous = hash_of(previous, entry)
        if carried != previous:
            return Fault(expected, "it does not fit its hash, or the step before it was changed")
    return None


def fault_against(sealed: Sealed, steps: Sequence[tuple[Entry, bytes]]) -> Fault | None:
    """Whether steps that are right in themselves still hold what was sealed."""
    if sealed.number > len(steps):
        return Fault(len(steps) + 1, f"it is missing: {sealed.number} steps were sealed")
    if sealed.number and steps[sealed.number - 1][1].hex() != sealed.hash:
        return Fault(sealed.number, "it is another than the one that was sealed")
    return None


def opened(signed: SignedSeal) -> Seal | None:
    """What it says when its signature fits the key that it names; whose key that is, is another question."""
    try:
        Ed25519PublicKey.from_public_bytes(signed.signed_by).verify(signed.signature, signed.content.encode())
        return msgspec.json.decode(signed.content, type=Seal)
    except (InvalidSignature, ValueError, msgspec.DecodeError):
        return None


def heads_of(signed: SignedSeal) -> tuple[Sealed, ...]:
    """Of a seal whose signature has been checked."""
    return msgspec.json.decode(signed.content, type=Seal).heads


def fault_in_seals(seals: Sequence[SignedSeal], trusted: Iterable[bytes]) -> Fault | None:
    """All seals from the first, in order, signed by one of the `trusted` keys (raw)."""
    keys, previous = frozenset(trusted), ""
    for expected, signed in enumerate(seals, 1):
        held = opened(signed)
        if held is None or held.number != expected or held.previous != previous:
            return Fault(expected, "the seal was changed, or one before it is missing")
        if signed.signed_by not in keys:
            return Fault(expected, "the seal is signed with another key")
        previous = hash_of_seal(signed)
    return None
