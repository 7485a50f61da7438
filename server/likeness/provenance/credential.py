"""What avatars are signed with: the operator's certificate and key, or a self-made development certificate."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from likeness.errors import SettingsError
from likeness.provenance.development import make_development
from likeness_plugins import KeyStore

NAME: Final = "provenance.pem"
# The curves that C2PA knows, under its names.
_CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_Key = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey


class Credential(msgspec.Struct, frozen=True):
    """A certificate chain (PEM, the signer's first), its key (PEM, PKCS#8) and C2PA's name of the key's algorithm;
    `source` is where they came from, in words, `until` when the certificate ends (seconds since 1970).
    """

    chain: bytes
    key: bytes
    algorithm: str
    source: str
    until: float
    development: bool = False

    def __repr__(self) -> str:
        return f"Credential({self.source!r})"  # the key gets into no log


def read_credential(certificate: Path, key: Path) -> Credential:
    """The operator's own; raises SettingsError saying what is wrong with which file."""
    source = f"c2pa_certificate {certificate}"
    return _credential(_read("c2pa_certificate", certificate), _read("c2pa_key", key), source, f"c2pa_key {key}")


def development_credential(keys: KeyStore | None) -> Credential:
    """A self-made one: kept among the keys, made there on first use, or without them for this process alone."""
    if keys is None:
        pem, source = make_development(), "the certificate made for this run"
    else:
        from likeness.vault.key_stores.base import read_or_add  # noqa: PLC0415 - the command line opens no vault

        pem, source = read_or_add(keys, NAME, make_development), f"{NAME} among the keys"
    made = _credential(pem, pem, source, source)
    # The authority is for whoever wants to trust it; in the pictures it would only take room.
    signer = x509.load_pem_x509_certificates(made.chain)[0].public_bytes(Encoding.PEM)
    return msgspec.structs.replace(made, chain=signer, development=True)


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{setting} {path} cannot be read: {error.strerror}. Check its name and permissions."
        ) from error


def _credential(certificates: bytes, secret: bytes, source: str, key_source: str) -> Credential:
    chain, key = _chain(certificates, source), _key(secret, key_source)
    if chain[0].public_key() != key.public_key():
        raise SettingsError(
            f"The key in {key_source} is not that of the first certificate in {source}. Give the two that belong"
            " together, the signer's certificate before those that vouch for it."
        )
    begins, ends = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    if not begins <= datetime.datetime.now(datetime.UTC) <= ends:
        raise SettingsError(f"The certificate in {source} is valid from {begins} to {ends} only. Give one that is now.")
    return Credential(
        chain=b"".join(each.public_bytes(Encoding.PEM) for each in chain),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        algorithm=_algorithm(key, key_source),
        source=source,
        until=ends.timestamp(),
    )


def _chain(pem: bytes, source: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise SettingsError(f"There is no certificate in {source}. Give the chain as PEM.") from error


def _key(pem: bytes, source: str) -> _Key:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise SettingsError(
            f"The key in {source} has a password. Give it without one, readable by us alone."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"There is no private key in {source}. Give it as PEM.") from error
    if not isinstance(key, _Key):
        raise SettingsError(f"C2PA takes no key as in {source}. Give one of P-256, P-384, P-521, Ed25519 or RSA.")
    return key


def _algorithm(key: _Key, source: str) -> str:
    if isinstance(key, EllipticCurvePrivateKey):
        if key.curve.name not in _CURVES:
            raise SettingsError(
                f"C2PA takes no {key.curve.name} key as in {source}. Give one of P-256, P-384 or P-521."
            )
        return _CURVES[key.curve.name]
    return "ed25519" if isinstance(key, Ed25519PrivateKey) else "ps256"
