"""A certificate authority of our own, for servers with TLS in tests."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gridward.broker import HOST

DAY = timedelta(days=1)


class Authority:
    """Signs certificates of brokers; `file` is what a machine has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        now = datetime.now(UTC)
        made = self._builder(self._name, self._key, now - DAY, now + 365 * DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file = folder / "authority.pem"
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def sign(self, begins: datetime, ends: datetime, address: str = HOST) -> Path:
        """A file with certificate and key for a server at `address`."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(x509.Name([]), key, begins, ends)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        signed = made.add_extension(names, critical=True).sign(self._key, hashes.SHA256())
        file = self._folder / "server.pem"
        pem = serialization.Encoding.PEM
        plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(signed.public_bytes(pem) + plain)
        return file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
    ) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
