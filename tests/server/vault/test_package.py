"""The public names of the vault."""

from __future__ import annotations

import pytest

from likeness import vault
from likeness.errors import LikenessError
from likeness.vault import KeyGoneError, ReceiptError, StorageError, TamperedError, VaultError


def test_exports_exactly_these() -> None:
    assert sorted(vault.__all__) == [
        "Decryptor",
        "Deletion",
        "Encryptor",
        "KeyGoneError",
        "Keyring",
        "ObjectEntry",
        "Objects",
        "Receipt",
        "ReceiptError",
        "ReceiptSigner",
        "StorageError",
        "TamperedError",
        "VaultError",
        "Wrapped",
        "context",
        "decrypt",
        "encrypt",
        "new_key",
        "open_key_store",
        "open_objects",
        "verify_receipt",
    ]
    assert all(hasattr(vault, name) for name in vault.__all__)


@pytest.mark.parametrize(
    ("error", "base", "code", "status"),
    [
        (VaultError, LikenessError, "vault_unusable", 500),
        (TamperedError, VaultError, "tampered", 500),
        (KeyGoneError, VaultError, "expired", 410),
        (StorageError, VaultError, "storage_unavailable", 503),
        (ReceiptError, LikenessError, "bad_receipt", 422),
    ],
)
def test_each_error_owns_its_code_and_status(
    error: type[LikenessError], base: type[Exception], code: str, status: int
) -> None:
    assert issubclass(error, base)
    assert (error.code, error.status, error.exit_code) == (code, status, 1)
