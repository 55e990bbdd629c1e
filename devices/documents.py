"""Documents and commands: what the hub pushes to edges, signed with Ed25519. The trust rules, in one place, pure.

A Document is accepted when
- its signature fits the hub's public key,
- it is meant for this gateway (or for every gateway of the site, audience "*"),
- its version is greater than the one held (no rollback; the very same one is AlreadyHeld),
- it has not expired (no freeze).
A Command is accepted when
- its signature fits, it names exactly this gateway,
- it was issued at most COMMAND_S_MAX before `now` and not from the future by more than CLOCK_SKEW_S_MAX,
- it was issued after the newest one that acted before, and it has not expired.
Anything else raises TrustError with the rule that was broken; nothing acts on it.
"""

from collections.abc import Container
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

COMMAND_S_MAX = 30
CLOCK_SKEW_S_MAX = 5
DOCUMENT_BYTES_MAX = 8_000_000
COMMAND_BYTES_MAX = 4_096  # one is about 500; it is looked at where the siren is driven from

Instant = Annotated[datetime, Meta(tz=True)]


class TrustError(Exception):
    """Bytes from the hub that this gateway must not act on; the text names the broken rule."""


class SignatureWrong(TrustError):
    """Not signed by the hub whose key is held: forged, or the hub has another key now."""


class AlreadyHeld(TrustError):
    """The very version that is held: nothing wrong, a retained document comes again with every connection."""


class NotNewer(TrustError):
    """Older than the one that is held, which stays."""


class Untimely(TrustError):
    """A command that is good but for its time: the hub is told, so that somebody looks at the clocks."""

    def __init__(self, text: str, nonce: str) -> None:
        super().__init__(text)
        self.nonce = nonce


class Signed(Struct, frozen=True):
    """The outer wrapper: `content` is the exact JSON text that was signed."""

    content: str
    signature: bytes


class Document(Struct, frozen=True, kw_only=True):
    """`name` is the last part of its topic ("zones"); `body` is checked again by whoever reads that document."""

    name: str
    version: int
    audience: str
    issued_at: Instant
    expires_at: Instant
    body: Any


class Command(Struct, frozen=True, kw_only=True):
    """An act asked of one gateway: `action` "actuator.set", `target` the actuator's name, `value` "on" or "off". Or of
    a device behind it: `action` "device." and the name of a CommandKind, `target` the device's id, `value` its
    arguments, a JSON object."""

    gateway: str
    nonce: str
    action: str
    target: str
    value: str
    actor: str
    issued_at: Instant
    expires_at: Instant


_Content = TypeVar("_Content", Document, Command)


def sign(content: Document | Command, key: Ed25519PrivateKey) -> bytes:
    """The bytes to publish."""
    text = msgspec.json.encode(content)
    return msgspec.json.encode(Signed(text.decode(), key.sign(text)))


def verify_document(offered: bytes, key: Ed25519PublicKey, gateway: str, held_version: int, now: datetime) -> Document:
    document = _opened(offered, key, Document, DOCUMENT_BYTES_MAX)
    if document.audience not in (gateway, "*"):
        raise TrustError("meant for another gateway")
    if document.version == held_version:
        raise AlreadyHeld(f"version {document.version} is held already, it is not newer")
    if document.version < held_version:
        raise NotNewer(f"version {document.version} is not newer than {held_version}")
    if document.expires_at <= now:
        raise TrustError("expired")
    return document


def verify_command(  # noqa: PLR0917
    offered: bytes, key: Ed25519PublicKey, gateway: str, used: Container[str], newest: datetime, now: datetime
) -> Command:
    """`newest`: when the newest command that acted was issued. `used`: nonces of late, so that a second delivery is not
    taken for one out of order."""
    command = _opened(offered, key, Command, COMMAND_BYTES_MAX)
    if command.gateway != gateway:
        raise TrustError("meant for another gateway")
    if command.nonce in used:
        raise TrustError("replayed")
    if command.expires_at <= now or now - command.issued_at > timedelta(seconds=COMMAND_S_MAX):
        raise Untimely("expired", command.nonce)
    if command.issued_at <= newest:
        raise Untimely("issued before a command that acted already", command.nonce)
    if command.issued_at - now > timedelta(seconds=CLOCK_SKEW_S_MAX):
        raise Untimely("issued in the future", command.nonce)
    return command


def _opened(offered: bytes, key: Ed25519PublicKey, kind: type[_Content], bytes_max: int) -> _Content:
    if len(offered) > bytes_max:
        raise TrustError("too large")
    try:
        signed = msgspec.json.decode(offered, type=Signed)
        key.verify(signed.signature, signed.content.encode())
        return msgspec.json.decode(signed.content, type=kind)
    except InvalidSignature:
        raise SignatureWrong("signature does not fit") from None
    except msgspec.DecodeError as error:
        raise TrustError(f"unreadable: {error}") from None
