"""What keeps photos and avatars secret and makes deleting them certain: ciphertext in objects, keys apart from them,
a signed receipt of what is gone.
"""

from likeness.vault.errors import KeyGoneError, ReceiptError, StorageError, TamperedError, VaultError
from likeness.vault.key_stores import open_key_store
from likeness.vault.keyring import Keyring, Wrapped
from likeness.vault.objects import ObjectEntry, Objects, open_objects
from likeness.vault.receipts import Deletion, Receipt, ReceiptSigner, verify_receipt
from likeness.vault.stream import Decryptor, Encryptor, context, decrypt, encrypt, new_key

__all__ = [
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
