"""The trust rules: one attack per rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devices.documents import (
    COMMAND_BYTES_MAX,
    Command,
    Document,
    Signed,
    TrustError,
    sign,
    verify_command,
    verify_document,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEWEST = NOW - timedelta(seconds=3)
KEY = Ed25519PrivateKey.generate()


def document(**changes: Any) -> Document:
    fields: dict[str, Any] = {"name": "zones", "version": 2, "audience": "gw-1", "issued_at": NOW, "body": {}}
    return Document(**{**fields, "expires_at": NOW + timedelta(days=1), **changes})


def command(**changes: Any) -> Command:
    fields: dict[str, Any] = {
        "gateway": "gw-1",
        "nonce": "n-1",
        "action": "actuator.set",
        "target": "siren",
        "value": "off",
        "actor": "operator",
        "issued_at": NOW,
        "expires_at": NOW + timedelta(seconds=10),
    }
    return Command(**{**fields, **changes})


def take_document(offered: bytes) -> Document:
    return verify_document(offered, KEY.public_key(), "gw-1", 1, NOW)


def take_command(offered: bytes) -> Command:
    return verify_command(offered, KEY.public_key(), "gw-1", {"used"}, NEWEST, NOW)


def test_good_ones_are_taken() -> None:
    assert take_document(sign(document(), KEY)) == document()
    assert take_document(sign(document(audience="*"), KEY)).audience == "*"
    assert take_command(sign(command(), KEY)) == command()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"audience": "gw-2"}, "meant for another gateway"),
        ({"version": 1}, "not newer"),
        ({"expires_at": NOW}, "expired"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(TrustError, match=rule):
        take_document(sign(document(**changes), KEY))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"gateway": "gw-2"}, "meant for another gateway"),
        ({"gateway": "*"}, "meant for another gateway"),
        ({"expires_at": NOW}, "expired"),
        ({"issued_at": NOW - timedelta(seconds=31), "expires_at": NOW + timedelta(days=1)}, "expired"),
        ({"issued_at": NOW + timedelta(seconds=6)}, "issued in the future"),
        ({"nonce": "used"}, "replayed"),
        ({"issued_at": NEWEST}, "issued before a command that acted already"),
        ({"target": "x" * COMMAND_BYTES_MAX}, "too large"),
    ],
)
def test_a_command_that_breaks_a_rule_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(TrustError, match=rule):
        take_command(sign(command(**changes), KEY))


def test_another_key_and_changed_content_are_refused() -> None:
    with pytest.raises(TrustError, match="signature"):
        take_command(sign(command(), Ed25519PrivateKey.generate()))
    signed = msgspec.json.decode(sign(command(), KEY), type=Signed)
    forged = Signed(signed.content.replace('"off"', '"on"'), signed.signature)
    with pytest.raises(TrustError, match="signature"):
        take_command(msgspec.json.encode(forged))


@pytest.mark.parametrize("offered", [b"", b"{}", b"null", b'{"content":1,"signature":""}', b"\xff" * 10])
def test_what_cannot_be_read_is_refused(offered: bytes) -> None:
    with pytest.raises(TrustError):
        take_document(offered)


def test_a_command_is_no_document() -> None:
    with pytest.raises(TrustError, match="unreadable"):
        take_document(sign(command(), KEY))
