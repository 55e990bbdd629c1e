"""The hub's own key: what edges trust documents and commands by.

Rules
- Made once, at the first start, in the state folder: hub.key (PKCS 8, this user only) and hub.pub, which goes to every
  edge when it is installed.
- A private key that cannot be read, or that others may read, stops the start: a second key would lock the edges out.
- hub.pub is written anew when it is missing or is not the key's.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

KEY_FILE = "hub.key"
PUBLIC_FILE = "hub.pub"
OPEN_TO_OTHERS = 0o077


class KeyUnusable(Exception):
    """The key cannot be read or made; the text is the one line to show."""


def hub_key(folder: Path) -> Ed25519PrivateKey:
    """The key of this hub, made when there is none. Raises KeyUnusable."""
    private, public = folder / KEY_FILE, folder / PUBLIC_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        key = _read(private) if private.exists() else _make(private)
        wanted = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if not public.exists() or public.read_bytes() != wanted:
            _write(public, wanted, 0o644)
    except OSError as error:
        raise KeyUnusable(f"{error.filename or folder}: {error.strerror}") from error
    return key


def _read(path: Path) -> Ed25519PrivateKey:
    if path.stat().st_mode & OPEN_TO_OTHERS:
        raise KeyUnusable(f"{path}: others may read it; chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyUnusable(f"{path}: not a private key that the hub can read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path}: not an Ed25519 key")
    return key


def _make(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return key


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all; never open to others, not even for a moment."""
    new = path.with_suffix(path.suffix + ".new")
    new.unlink(missing_ok=True)
    new.touch(mode=mode)
    new.write_bytes(content)
    new.replace(path)
