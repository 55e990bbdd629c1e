"""Evidence packs: everything about one incident in a ZIP that proves itself, with no database and no network.

What is in it
    README.txt        what this is, and how to check it by hand
    incident.json     what it was, as the API shows it
    steps.jsonl       who did what, when and why: the hash-chained log (hub.chain)
    seals.jsonl       what the hub signed of that log, and when
    alarms.jsonl      every alarm with its four times: observed, received, committed, seen
    tracks.geojson    where the devices of the alarms were meanwhile
    versions.json     documents and software that were in force
    manifest.json     SHA-256 and size of each of these, signed in manifest.sig

Rules
- The same content gives the same bytes: entries are stored as they are, in this order, without times. So a check that
  writes the ZIP anew from what it has read finds every byte that was changed, wherever it stands.
- `verify` names the first thing that is wrong, the log before everything else.
"""

import io
import struct
import zipfile
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from hub.chain import Entry, SignedSeal, fault_against, fault_in_steps, opened

FORMAT = "gridward-evidence/1"
STEPS, SEALS, MANIFEST, SIGNATURE = "steps.jsonl", "seals.jsonl", "manifest.json", "manifest.sig"
PACK_BYTES_MAX = 500_000_000
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold
NAMES_MAX = 1_000
# What zipfile raises over bytes that somebody made up: no promise of its documents has all of them in one class.
UNREADABLE = (zipfile.BadZipFile, struct.error, NotImplementedError, RuntimeError, ValueError, OSError, EOFError)


class File(Struct, frozen=True):
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """`signed_by`: the hub's public key, hexadecimal."""

    format: str
    incident: int
    made_at: datetime
    made_by: str
    signed_by: str
    files: dict[str, File]


class Line(Entry, frozen=True, kw_only=True):
    """A step as steps.jsonl has it."""

    hash: str

    def entry(self) -> Entry:
        return Entry(**{name: getattr(self, name) for name in Entry.__struct_fields__})


class EvidenceWrong(Exception):
    """What is wrong with a pack: the first thing that was found; for people."""


class Checked(Struct, frozen=True):
    """What a good pack says. `sealed`: how many of its steps are covered by a seal."""

    manifest: Manifest
    steps: int
    sealed: int


def write_pack(
    files: Mapping[str, bytes], incident: int, key: Ed25519PrivateKey, made_at: datetime, made_by: str
) -> bytes:
    """The ZIP of these files, with its manifest and signature."""
    manifest = Manifest(
        format=FORMAT,
        incident=incident,
        made_at=made_at,
        made_by=made_by,
        signed_by=key.public_key().public_bytes_raw().hex(),
        files={name: File(len(content), sha256(content).hexdigest()) for name, content in files.items()},
    )
    text = msgspec.json.format(msgspec.json.encode(manifest))
    return _zipped({**files, MANIFEST: text, SIGNATURE: key.sign(text).hex().encode()})


def verify_pack(data: bytes, trusted: bytes | None = None) -> Checked:
    """`trusted`: the hub's public key (raw), from elsewhere than the pack; without it the pack is only shown to be
    whole. Raises EvidenceWrong."""
    files = _unzipped(data)
    manifest = _manifest(files, trusted)
    steps, sealed = _log(files, manifest)
    for name, said in manifest.files.items():
        content = files.get(name)
        if content is None:
            raise EvidenceWrong(f"{name} is missing")
        if File(len(content), sha256(content).hexdigest()) != said:
            raise EvidenceWrong(f"{name} was changed")
    if extra := sorted(set(files) - set(manifest.files) - {MANIFEST, SIGNATURE}):
        raise EvidenceWrong(f"{extra[0]} was added")
    if _zipped(files) != data:
        raise EvidenceWrong("the ZIP around the files was changed")
    return Checked(manifest, steps, sealed)


def _manifest(files: Mapping[str, bytes], trusted: bytes | None) -> Manifest:
    try:
        manifest = msgspec.json.decode(files[MANIFEST], type=Manifest)
        signer = bytes.fromhex(manifest.signed_by)
        Ed25519PublicKey.from_public_bytes(signer).verify(bytes.fromhex(files[SIGNATURE].decode()), files[MANIFEST])
    except KeyError as error:
        raise EvidenceWrong(f"{error.args[0]} is missing: this is no evidence pack") from None
    except (msgspec.DecodeError, ValueError, InvalidSignature):
        raise EvidenceWrong(f"{MANIFEST} was changed, or its signature") from None
    if manifest.format != FORMAT:
        raise EvidenceWrong(f"{MANIFEST}: the format is {manifest.format}, this reads {FORMAT}")
    if trusted is not None and signer != trusted:
        raise EvidenceWrong("it is signed by another hub than the one whose key was given")
    return manifest


def _log(files: Mapping[str, bytes], manifest: Manifest) -> tuple[int, int]:
    """(steps, how many of them are sealed)."""
    lines = _lines(files, STEPS, Line)
    steps = [(line.entry(), _bytes(line.hash)) for line in lines]
    if fault := fault_in_steps(manifest.incident, steps):
        raise EvidenceWrong(f"{STEPS}: step {fault.number}: {fault.why}")
    sealed = 0
    for place, signed in enumerate(_lines(files, SEALS, SignedSeal), 1):
        seal = opened(signed)
        if seal is None:
            raise EvidenceWrong(f"{SEALS}: line {place}: the seal was changed")
        for head in (one for one in seal.heads if one.incident == manifest.incident):
            if fault := fault_against(head, steps):
                raise EvidenceWrong(f"{STEPS}: step {fault.number}: {fault.why}, in seal {seal.number}")
            sealed = max(sealed, head.number)
    return len(steps), sealed


def _lines(files: Mapping[str, bytes], name: str, kind: type[Any]) -> list[Any]:
    found = []
    for place, line in enumerate(files.get(name, b"").splitlines(), 1):
        try:
            found.append(msgspec.json.decode(line, type=kind))
        except (msgspec.DecodeError, ValueError):
            raise EvidenceWrong(f"{name}: line {place} cannot be read") from None
    return found


def _bytes(hexadecimal: str) -> bytes:
    try:
        return bytes.fromhex(hexadecimal)
    except ValueError:
        return b""  # fits no hash


def _zipped(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return made.getvalue()


def _unzipped(data: bytes) -> dict[str, bytes]:
    if len(data) > PACK_BYTES_MAX:
        raise EvidenceWrong(f"more than {PACK_BYTES_MAX:,} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > NAMES_MAX or sum(entry.file_size for entry in entries) > PACK_BYTES_MAX:
                raise EvidenceWrong("more in it than a pack can have")
            if packed := [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]:
                raise EvidenceWrong(f"{packed[0]} is compressed, which nothing in a pack is")
            return {entry.filename: archive.read(entry) for entry in entries}
    except UNREADABLE as error:
        raise EvidenceWrong(f"no ZIP that can be read: {error}") from None
