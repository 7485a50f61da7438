"""What the vault refuses or fails at.

LikenessError
├── VaultError              what is stored cannot be used; also keys that are damaged
│   ├── TamperedError       ciphertext was cut, reordered, swapped or altered, or key or context are not its own
│   ├── KeyGoneError        the key was destroyed: nothing opens this any more
│   └── StorageError        the store of objects, or that of keys, does not answer, is full or refuses
└── ReceiptError            a deletion receipt that proves nothing
"""

from __future__ import annotations

from likeness.errors import LikenessError


class VaultError(LikenessError):
    """Base of what goes wrong with stored keys and objects."""

    code = "vault_unusable"


class TamperedError(VaultError):
    """Authentication failed; which of key, context or ciphertext is wrong cannot be told, and no plaintext came out."""

    code = "tampered"

    def __init__(self) -> None:
        super().__init__("Stored data was changed or damaged and will not be used. Start again with the photos.")


class KeyGoneError(VaultError):
    """The key was destroyed, on time or on request."""

    code = "expired"
    status = 410

    def __init__(self) -> None:
        super().__init__("This was deleted and cannot be brought back. Start again with the photos.")


class StorageError(VaultError):
    """The store of objects, or that of keys, fails; a later try may work."""

    code = "storage_unavailable"
    status = 503


class ReceiptError(LikenessError):
    """A receipt that is not one, or whose signature does not hold."""

    code = "bad_receipt"
    status = 422
