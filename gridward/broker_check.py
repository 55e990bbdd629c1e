"""Checks of `gridward doctor` on the broker that a config file names: reachable, its certificate, and a log-in.

The certificate is looked at as edge and hub do, with the machine's own list of trusted authorities; what is wrong is
said from the certificate itself, fetched a second time without trusting it. Nothing is published or subscribed.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
from cryptography import x509
from msgspec import Struct

from gridward import clock
from gridward.finding import Finding

CONNECT_S_MAX = 5.0
EXPIRES_SOON_DAYS = 21
CA_ADVICE = "put the authority's certificate in /usr/local/share/ca-certificates, then run: update-ca-certificates"


class BrokerConfig(Struct, frozen=True):
    """[broker] of an edge or hub file."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password_file: str = ""
    tls: bool = False


def examine_broker(config: BrokerConfig) -> Iterator[Finding]:
    where = f"{config.host}:{config.port}"
    try:
        socket.create_connection((config.host, config.port), CONNECT_S_MAX).close()
    except (OSError, ValueError) as error:  # ValueError: a host name that cannot be one
        found = f"{where} does not answer: {getattr(error, 'strerror', None) or error}"
        yield Finding("broker connection", "failure", found, "start the broker, check [broker] host and port")
        return
    yield Finding("broker connection", "ok", f"{where} answers")
    if config.tls:
        shown = certificate(config.host, config.port)
        yield shown
        if shown.verdict == "failure":
            return
    elif config.username:
        advice = "turn on tls on the broker, then set [broker] tls = true"
        yield Finding("broker password", "warning", "is sent in clear text (tls = false)", advice)
    yield login(config)


def certificate(host: str, port: int) -> Finding:
    """The certificate that the broker shows."""
    name = "broker certificate"
    try:
        ends_at = _shown(host, port, ssl.create_default_context()).not_valid_after_utc
    except ssl.SSLCertVerificationError as error:
        return Finding(name, "failure", *_untrusted(host, port, error))
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return Finding(name, "failure", f"no TLS on {host}:{port}: {reason}", "take the broker's TLS port (8883)")
    except (OSError, ValueError) as error:
        return Finding(name, "failure", f"no TLS on {host}:{port}: {error}", "take the broker's TLS port (8883)")
    days = (ends_at - clock.now()).days
    if days < EXPIRES_SOON_DAYS:
        return Finding(name, "warning", f"ends in {days} days, on {ends_at:%Y-%m-%d}", "renew it on the broker")
    return Finding(name, "ok", f"trusted, good until {ends_at:%Y-%m-%d}")


def _untrusted(host: str, port: int, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """(what is wrong, what to do), from the certificate itself."""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        shown = _shown(host, port, blind)
    except (OSError, ValueError):
        return error.verify_message, CA_ADVICE
    now = clock.now()
    if shown.not_valid_after_utc < now:
        return f"ended on {shown.not_valid_after_utc:%Y-%m-%d}", "renew it on the broker"
    if shown.not_valid_before_utc > now:
        return f"begins on {shown.not_valid_before_utc:%Y-%m-%d}", "check this machine's clock"
    if "mismatch" in error.verify_message.lower():
        return f"is for {_names(shown)}, not for {host}", "put that name in [broker] host, or renew the certificate"
    return f"not trusted: issued by {shown.issuer.rfc4514_string() or 'nobody'}", CA_ADVICE


def _shown(host: str, port: int, context: ssl.SSLContext) -> x509.Certificate:
    """Raises OSError (ssl.SSLError is one), or ValueError for a certificate that cannot be read."""
    with (
        socket.create_connection((host, port), CONNECT_S_MAX) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        der = wrapped.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der or b"")


def _names(shown: x509.Certificate) -> str:
    try:
        listed = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return shown.subject.rfc4514_string() or "no name"
    return ", ".join(str(name.value) for name in listed)


def login(config: BrokerConfig) -> Finding:
    """An MQTT 5 log-in with the configured account."""
    name = "broker log-in"
    account = f"as {config.username}" if config.username else "without an account"
    try:
        password = Path(config.password_file).read_text().strip() if config.password_file else None
    except OSError as error:
        return Finding(name, "failure", f"{config.password_file}: {error.strerror}", "check [broker] password_file")
    except ValueError:
        return Finding(name, "failure", f"{config.password_file}: is not text", "check [broker] password_file")
    try:
        asyncio.run(_connect_once(config, password))
    except aiomqtt.MqttError as error:
        advice = "check [broker] username and password_file, and the account on the broker"
        return Finding(name, "failure", f"refused {account}: {error}", advice)
    return Finding(name, "ok", account)


async def _connect_once(config: BrokerConfig, password: str | None) -> None:
    client = aiomqtt.Client(
        config.host,
        config.port,
        username=config.username or None,
        password=password,
        identifier=f"gridward-doctor-{secrets.token_hex(4)}",
        protocol=aiomqtt.ProtocolVersion.V5,
        timeout=CONNECT_S_MAX,
        tls_context=ssl.create_default_context() if config.tls else None,
    )
    async with client:
        pass
