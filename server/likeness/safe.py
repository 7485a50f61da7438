"""Users' pictures at rest: every object encrypted under its own context, every key wrapped outside the database.

| purpose | key of | destroyed |
|---|---|---|
| photo | a generation | at the photos' deadline |
| avatar | a generation | at the unsaved avatars' deadline |
| gallery | an owner | with the account |

Uploaded originals have a key too, one that never leaves the memory of the process that receives them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from likeness.database import Database, clock
from likeness.records import keys
from likeness.records.generations import NewKey
from likeness.settings import Settings
from likeness.vault import (
    KeyGoneError,
    Keyring,
    Objects,
    ReceiptSigner,
    Wrapped,
    context,
    decrypt,
    encrypt,
    new_key,
    open_key_store,
    open_objects,
)
from likeness_plugins import KeyStore

Purpose = Literal["photo", "avatar", "gallery"]
FOLDERS: Final[dict[Purpose, str]] = {"photo": "photos", "avatar": "avatars", "gallery": "gallery"}


class Place(msgspec.Struct, frozen=True):
    """Where an object belongs: moved to another subject, index, purpose or variant (such as `64.webp`), it does not
    open.
    """

    subject: str
    index: int
    purpose: Purpose
    variant: str = ""

    @property
    def name(self) -> str:
        """The object's name in the store."""
        name = f"{FOLDERS[self.purpose]}/{self.subject}/{self.index}"
        return f"{name}-{self.variant}" if self.variant else name

    @property
    def context(self) -> bytes:
        """What its ciphertext is bound to."""
        return context(self.subject, self.index, f"{self.purpose} {self.variant}".rstrip())


class Safe:
    """The database, the object store and the keyring, and what takes all three."""

    def __init__(self, database: Database, objects: Objects, keyring: Keyring, signer: ReceiptSigner) -> None:
        self.database = database
        self.objects = objects
        self.keyring = keyring
        self.signer = signer

    @property
    def key_store(self) -> KeyStore:
        """Where the keys lie, for what is kept among them beside the keyring's own."""
        return self.keyring.store

    def new_key(self, subject: str, purpose: Purpose, until: float | None) -> tuple[bytes, NewKey]:
        """A fresh key and its wrapped form for the database; it cannot be unwrapped after the hour of `until`."""
        key = new_key()
        wrapped = self.keyring.wrap(key, _key_context(subject, purpose), until)
        return key, NewKey(purpose, wrapped.epoch, wrapped.data)

    def key(self, subject: str, purpose: Purpose) -> bytes:
        """A subject's key; raises KeyGoneError once it is destroyed."""
        kept = self.database.read(keys.get, subject, purpose)
        if kept is None:
            raise KeyGoneError
        return self.open_key(subject, kept)

    def open_key(self, subject: str, kept: NewKey) -> bytes:
        """Unwrap a key that was read in another transaction."""
        return self.keyring.unwrap(Wrapped(kept.epoch, kept.wrapped), _key_context(subject, kept.purpose))

    def gallery_key(self, owner: str) -> bytes:
        """The owner's key for saved avatars, made when the first one is saved."""
        kept = self.database.read(keys.get, owner, "gallery")
        if kept is None:
            kept = self.database.write(keys.add, owner, self.new_key(owner, "gallery", None)[1])
        return self.open_key(owner, kept)

    def put(self, place: Place, key: bytes, data: bytes, name: str | None = None) -> tuple[str, str]:
        """Store encrypted; durable when this returns. Answers the object's name and its ciphertext's sha256, hex."""
        name = name or place.name
        sealed = encrypt(key, place.context, data)
        self.objects.put(name, sealed)
        return name, hashlib.sha256(sealed).hexdigest()

    def get(self, place: Place, key: bytes, name: str | None = None) -> bytes:
        """Fetch and open; raises TamperedError when the object is not what was stored there."""
        return decrypt(key, place.context, self.objects.get(name or place.name))

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        return self.database.read(clock)

    def close(self) -> None:
        """Give the connections to the database and to the keys back."""
        self.database.close()
        self.key_store.close()


def open_safe(settings: Settings) -> Safe:
    """Open database, object store and keys; the tables must have been migrated."""
    keys = open_key_store(settings.keys_location)
    objects = open_objects(settings.objects_location)
    return Safe(Database(settings.database_url), objects, Keyring(keys), ReceiptSigner(keys))


def data_folder(settings: Settings) -> Path:
    """The data folder, made if it is not there."""
    folder = settings.data.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _key_context(subject: str, purpose: str) -> bytes:
    return context(subject, 0, f"key of {purpose}")
