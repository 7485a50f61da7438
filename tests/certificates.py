"""Certificates for tests: an authority, and whatever it signs, good or bad, as PEM files."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION


def name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


class Authority:
    """Issues certificates to a social network; `root` is its own, as PEM."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name("Example Authority", "Example Root")
        self.root = self._sign(self._name, self._key.public_key(), authority=True).public_bytes(Encoding.PEM)

    def issue(
        self, folder: Path, key: Any = None, form: PrivateFormat = PrivateFormat.PKCS8, **changes: Any
    ) -> tuple[Path, Path]:
        """A certificate's and a key's file; `changes` are those of `_sign`."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name("Social Network Ltd", "Avatars"), key.public_key(), **changes)
        paths = folder / "certificate.pem", folder / "key.pem"
        paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
        return paths

    def _sign(
        self,
        subject: x509.Name,
        key: Any,
        authority: bool = False,
        usage: x509.ObjectIdentifier | None = EMAIL,
        days: tuple[float, float] = (-1, 365),
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        signs, vouches = not authority, authority
        key_usage = x509.KeyUsage(signs, False, False, False, False, vouches, vouches, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(key_usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if usage is not None and not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self._key, SHA256())
