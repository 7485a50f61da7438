"""TLS for a host on loopback: an authority, and a certificate of it."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Root")])


def tls_for(host: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context, and the file of the authority to trust."""
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _builder(ISSUER, authority).add_extension(x509.BasicConstraints(True, None), critical=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    leaf = _builder(subject, own).add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    trusted, certificate = folder / "authority.pem", folder / "server.pem"
    trusted.write_bytes(root.sign(authority, SHA256()).public_bytes(Encoding.PEM))
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate.write_bytes(leaf.sign(authority, SHA256()).public_bytes(Encoding.PEM) + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context, trusted


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ISSUER)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
