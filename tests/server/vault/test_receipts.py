"""Receipts: a stranger's JWS library could verify them; nothing else passes for one."""

from __future__ import annotations

import json
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from likeness.vault import (
    Deletion,
    Receipt,
    ReceiptError,
    ReceiptSigner,
    VaultError,
    open_key_store,
    verify_receipt,
)

RECEIPT = Receipt(
    generation="018f-5b",
    deletions=[
        Deletion("photo 0", "2026-11-24T12:00:00Z", [sha256(b"photo").hexdigest()], "photo-key-0"),
        Deletion("avatar 7", "2026-11-24T12:00:01Z", [], "avatar-key-7"),
    ],
)
TYPE = "likeness-receipt+jwt"


def signer_of(folder: Path) -> ReceiptSigner:
    return ReceiptSigner(open_key_store(str(folder)))


@pytest.fixture
def signer(tmp_path: Path) -> ReceiptSigner:
    return signer_of(tmp_path / "keys")


def part(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpart(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign_as(signer: ReceiptSigner, payload: bytes, **header: Any) -> str:
    """Signed by the true key, whatever the header and the payload say."""
    headers = {"alg": "EdDSA", "kid": signer.key_id, "typ": TYPE} | header
    signed = f"{part(headers)}.{part(payload)}"
    return f"{signed}.{part(signer._key.sign(signed.encode()))}"


def test_round_trip(signer: ReceiptSigner) -> None:
    assert verify_receipt(signer.sign(RECEIPT), signer.keys()) == RECEIPT


def test_is_a_compact_jws(signer: ReceiptSigner) -> None:
    header, payload, signature = signer.sign(RECEIPT).split(".")
    assert json.loads(unpart(header)) == {"alg": "EdDSA", "kid": signer.key_id, "typ": TYPE}
    claims = json.loads(unpart(payload))
    assert claims == {
        "generation": "018f-5b",
        "iss": "likeness",
        "deletions": [msgspec.to_builtins(deletion) for deletion in RECEIPT.deletions],
    }
    [key] = signer.keys()["keys"]
    Ed25519PublicKey.from_public_bytes(unpart(key["x"])).verify(unpart(signature), f"{header}.{payload}".encode())


def test_verifies_with_an_ordinary_library(signer: ReceiptSigner) -> None:
    keys = jwt.PyJWKSet.from_dict(signer.keys())
    claims = jwt.decode(signer.sign(RECEIPT), keys[signer.key_id], algorithms=["EdDSA"], issuer="likeness")
    assert claims["generation"] == RECEIPT.generation


def test_keys_are_public(signer: ReceiptSigner) -> None:
    [key] = signer.keys()["keys"]
    assert {name: key[name] for name in key if name not in {"x", "kid"}} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
    }
    json.dumps(signer.keys())


def test_key_id_is_the_thumbprint_of_rfc_8037(tmp_path: Path) -> None:
    """Appendix A.1 and A.3."""
    key = Ed25519PrivateKey.from_private_bytes(unpart("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "receipts.pem").write_bytes(pem)
    signer = signer_of(tmp_path)
    assert signer.keys()["keys"][0]["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert signer.key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_key_lasts_and_is_private(signer: ReceiptSigner, tmp_path: Path) -> None:
    assert signer_of(tmp_path / "keys").key_id == signer.key_id
    [file] = (tmp_path / "keys").iterdir()
    assert file.name == "receipts.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("position", range(3))
def test_refuses_a_changed_part(signer: ReceiptSigner, position: int) -> None:
    parts = signer.sign(RECEIPT).split(".")
    raw = bytearray(unpart(parts[position]))
    raw[len(raw) // 2] ^= 1
    parts[position] = part(bytes(raw))
    with pytest.raises(ReceiptError):
        verify_receipt(".".join(parts), signer.keys())


def test_refuses_other_claims_under_the_same_signature(signer: ReceiptSigner) -> None:
    header, _, signature = signer.sign(RECEIPT).split(".")
    payload = part(msgspec.json.encode(Receipt("another", [])))
    with pytest.raises(ReceiptError, match="signature is wrong"):
        verify_receipt(f"{header}.{payload}.{signature}", signer.keys())


def test_refuses_a_foreign_key(signer: ReceiptSigner, tmp_path: Path) -> None:
    foreign = signer_of(tmp_path / "foreign")
    with pytest.raises(ReceiptError, match="unknown key"):
        verify_receipt(foreign.sign(RECEIPT), signer.keys())
    with pytest.raises(ReceiptError, match="signature is wrong"):
        verify_receipt(sign_as(foreign, msgspec.json.encode(RECEIPT), kid=signer.key_id), signer.keys())


@pytest.mark.parametrize("key_id", ["", None, "another"])
def test_refuses_a_key_that_is_not_named(signer: ReceiptSigner, key_id: str | None) -> None:
    keys = {"keys": [*signer.keys()["keys"], {"kid": ""}, {"kid": None}]}
    with pytest.raises(ReceiptError):
        verify_receipt(sign_as(signer, msgspec.json.encode(RECEIPT), kid=key_id), keys)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "ES256", "Ed25519", None, 7])
def test_refuses_other_algorithms(signer: ReceiptSigner, algorithm: Any) -> None:
    with pytest.raises(ReceiptError):
        verify_receipt(sign_as(signer, msgspec.json.encode(RECEIPT), alg=algorithm), signer.keys())


def test_refuses_no_algorithm_and_no_signature(signer: ReceiptSigner) -> None:
    header = {"alg": "none", "kid": signer.key_id, "typ": TYPE}
    with pytest.raises(ReceiptError, match="not signed with EdDSA"):
        verify_receipt(f"{part(header)}.{part(msgspec.json.encode(RECEIPT))}.", signer.keys())


def test_refuses_the_public_key_taken_as_a_shared_secret(signer: ReceiptSigner) -> None:
    public = unpart(signer.keys()["keys"][0]["x"])
    forged = jwt.encode(msgspec.to_builtins(RECEIPT), public, "HS256", {"kid": signer.key_id, "typ": TYPE})
    with pytest.raises(ReceiptError, match="not signed with EdDSA"):
        verify_receipt(forged, signer.keys())


@pytest.mark.parametrize("text", ["", "receipt", "a.b", "a.b.c", "....", "ä.ö.ü", '{"generation": "x"}'])
def test_refuses_what_is_no_jws(signer: ReceiptSigner, text: str) -> None:
    with pytest.raises(ReceiptError, match="not a receipt"):
        verify_receipt(text, signer.keys())


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b"[]", b'{"generation": "x"}'])
def test_refuses_a_signature_of_something_else(signer: ReceiptSigner, payload: bytes) -> None:
    with pytest.raises(ReceiptError, match="not a receipt"):
        verify_receipt(sign_as(signer, payload), signer.keys())


@pytest.mark.parametrize("kind", ["JWT", "", None])
def test_refuses_a_token_for_another_purpose(signer: ReceiptSigner, kind: str | None) -> None:
    with pytest.raises(ReceiptError):
        verify_receipt(sign_as(signer, msgspec.json.encode(RECEIPT), typ=kind), signer.keys())


def test_refuses_an_extension_that_it_must_understand(signer: ReceiptSigner) -> None:
    with pytest.raises(ReceiptError):
        verify_receipt(sign_as(signer, msgspec.json.encode(RECEIPT), crit=["exp"], exp=1), signer.keys())


@pytest.mark.parametrize("keys", [{}, {"keys": []}])
def test_refuses_where_there_are_no_keys(signer: ReceiptSigner, keys: dict[str, Any]) -> None:
    with pytest.raises(ReceiptError, match="unknown key"):
        verify_receipt(signer.sign(RECEIPT), keys)


@pytest.mark.parametrize(
    "change", [{"crv": "P-256"}, {"x": "AAAA"}, {"x": "!"}, {"x": None}, {"kty": "oct", "k": "AAAA"}]
)
def test_refuses_a_damaged_key(signer: ReceiptSigner, change: dict[str, Any]) -> None:
    [key] = signer.keys()["keys"]
    with pytest.raises(ReceiptError):
        verify_receipt(signer.sign(RECEIPT), {"keys": [key | change]})


def test_refuses_ed448_which_shares_the_algorithm_name(signer: ReceiptSigner) -> None:
    key = Ed448PrivateKey.generate()
    entry = {"kty": "OKP", "crv": "Ed448", "kid": "x", "x": part(key.public_key().public_bytes_raw())}
    jws = jwt.PyJWS().encode(msgspec.json.encode(RECEIPT), key, "EdDSA", {"kid": "x", "typ": TYPE})
    with pytest.raises(ReceiptError, match="not an Ed25519 key"):
        verify_receipt(jws, {"keys": [entry]})


@pytest.mark.parametrize(
    "pem",
    [
        b"damaged",
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
    ids=["damaged", "another kind"],
)
def test_names_a_key_file_that_is_none(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "receipts.pem").write_bytes(pem)
    with pytest.raises(VaultError, match=r"receipts\.pem"):
        signer_of(tmp_path).sign(RECEIPT)
