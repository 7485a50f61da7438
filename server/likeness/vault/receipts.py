"""Deletion receipts: what was deleted and when, as a JSON Web Signature that anyone can verify with the public keys."""

from __future__ import annotations

import json
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.utils import base64url_encode

from likeness.vault.errors import ReceiptError, VaultError
from likeness.vault.key_stores.base import read_or_add
from likeness_plugins import KeyStore

ALGORITHM: Final = "EdDSA"
TYPE: Final = "likeness-receipt+jwt"
NAME: Final = "receipts.pem"


class Deletion(msgspec.Struct, frozen=True):
    """One thing that is gone: `objects` are hex SHA-256 of the ciphertexts, `key` names the key that was destroyed.

    `deleted_at` is RFC 3339 in UTC.
    """

    what: str
    deleted_at: str
    objects: list[str]
    key: str


class Receipt(msgspec.Struct, frozen=True):
    """All deletions of one generation; `issuer` is the claim `iss` of RFC 7519."""

    generation: str
    deletions: list[Deletion]
    issuer: str = msgspec.field(default="likeness", name="iss")


class ReceiptSigner:
    """Signs with the Ed25519 key in `receipts.pem`, which is made on first use."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    @cached_property
    def key_id(self) -> str:
        """The key's thumbprint by RFC 7638."""
        required = json.dumps(self._public, sort_keys=True, separators=(",", ":"))
        return base64url_encode(sha256(required.encode()).digest()).decode()

    def sign(self, receipt: Receipt) -> str:
        """A compact JWS."""
        headers = {"kid": self.key_id, "typ": TYPE}
        return jwt.PyJWS().encode(msgspec.json.encode(receipt), self._key, ALGORITHM, headers)

    def keys(self) -> dict[str, Any]:
        """The public key as a JWK set, for `verify_receipt` and anyone else's library."""
        return {"keys": [{**self._public, "kid": self.key_id, "use": "sig", "alg": ALGORITHM}]}

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(read_or_add(self._store, NAME, _new_pem), password=None)
        except (ValueError, TypeError) as exc:
            raise VaultError(f"{NAME} is damaged. Restore it from a backup of the keys.") from exc
        if not isinstance(key, Ed25519PrivateKey):
            raise VaultError(f"{NAME} holds no Ed25519 key. Restore it from a backup of the keys.")
        return key

    @cached_property
    def _public(self) -> dict[str, str]:
        """The members that RFC 7638 takes into the thumbprint of such a key."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": base64url_encode(raw).decode()}


def verify_receipt(jws: str, keys: dict[str, Any]) -> Receipt:
    """The receipt, if a key of this JWK set signed it; raises ReceiptError."""
    try:
        header = jwt.get_unverified_header(jws)
    except jwt.PyJWTError as exc:
        raise ReceiptError("This is not a receipt. Give the signed text whole, as it was handed out.") from exc
    if header.get("alg") != ALGORITHM:
        raise ReceiptError(f"The receipt is not signed with {ALGORITHM}, so it proves nothing. Ask for a new one.")
    if header.get("typ") != TYPE:
        raise ReceiptError(f"This is signed, but not a receipt: its type is not {TYPE}. Give a receipt.")
    key = _find_key(header.get("kid"), keys)
    try:
        return msgspec.json.decode(jwt.PyJWS().decode(jws, key, [ALGORITHM]), type=Receipt)
    except jwt.PyJWTError as exc:
        raise ReceiptError("The signature is wrong: the receipt was changed. Ask for a new one.") from exc
    except msgspec.MsgspecError as exc:
        raise ReceiptError("This is signed, but what it says is not a receipt. Ask for a new one.") from exc


def _find_key(key_id: str | None, keys: dict[str, Any]) -> jwt.PyJWK:
    entries = [entry for entry in keys.get("keys", []) if key_id and entry.get("kid") == key_id]
    if not entries:
        raise ReceiptError("The receipt is signed with an unknown key. Check that the keys are those of its server.")
    try:
        # PyJWT takes EdDSA to mean Ed448 too, and the entry's own "alg" to mean anything.
        if entries[0].get("crv") != "Ed25519":
            raise ReceiptError("The key of this receipt is not an Ed25519 key. Check the keys.")
        return jwt.PyJWK(entries[0], ALGORITHM)
    except jwt.PyJWTError as exc:
        raise ReceiptError("The key of this receipt cannot be read. Check the keys.") from exc


def _new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
