"""Keys that open the stored keys, kept outside the database, so that destroying one of them closes every copy.

A stored key is wrapped under the epoch of the hour its deadline falls in. Once that hour is over the epoch's key is
destroyed, and what write-ahead logs and backups of the database still hold opens nothing. The epoch `kept` is for keys
without a deadline, which are destroyed one by one.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from likeness.vault.errors import KeyGoneError, TamperedError, VaultError
from likeness.vault.key_stores.base import read_or_add
from likeness.vault.stream import KEY_BYTES, new_key
from likeness_plugins import KeyStore

HOUR_S: Final = 3600
KEPT: Final = "kept"
_NONCE: Final = 12
_EPOCH: Final = re.compile(r"hour-(-?\d+)|kept", re.ASCII)
_SECRET: Final = re.compile(r"[a-z0-9-]+")


class Wrapped(msgspec.Struct, frozen=True):
    """A key as the database stores it: the epoch that opens it, and nonce and ciphertext."""

    epoch: str
    data: bytes


class Keyring:
    """Epoch keys and secrets in a store that the processes of a fleet share.

    No key stays in memory: the store is asked each time, so that what is destroyed is gone for every process at once.
    """

    def __init__(self, store: KeyStore) -> None:
        self.store = store

    def wrap(self, key: bytes, context: bytes, until: float | None) -> Wrapped:
        """Wrap a key that must be gone in the hour of `until` (epoch seconds), or a kept one; makes its epoch."""
        epoch = KEPT if until is None else f"hour-{int(until // HOUR_S)}"
        aead = AESGCM(_checked(read_or_add(self.store, epoch, new_key), epoch))
        nonce = secrets.token_bytes(_NONCE)
        return Wrapped(epoch, nonce + aead.encrypt(nonce, key, _associated(epoch, context)))

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The key; raises KeyGoneError when its epoch was destroyed, TamperedError when it does not open."""
        # The name comes from the database, and may become a path.
        if not _EPOCH.fullmatch(wrapped.epoch) or len(wrapped.data) < _NONCE:
            raise TamperedError
        epoch_key = self.store.read(wrapped.epoch)
        if epoch_key is None:
            raise KeyGoneError
        aead = AESGCM(_checked(epoch_key, wrapped.epoch))
        nonce, data = wrapped.data[:_NONCE], wrapped.data[_NONCE:]
        try:
            return aead.decrypt(nonce, data, _associated(wrapped.epoch, context))
        except InvalidTag as exc:
            raise TamperedError from exc

    def destroy_epochs_before(self, now: float) -> list[str]:
        """Destroy the epochs whose hour is over at `now` (epoch seconds); answers their names.

        Raises the first VaultError after it has tried all.
        """
        over = sorted(name for name in self.store.names() if _is_over(name, now))
        failed: list[VaultError] = []
        for name in over:
            # One key that resists must not keep the others.
            try:
                self.store.destroy(name)
            except VaultError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return over

    def secret(self, name: str) -> bytes:
        """32 bytes that stay the same for as long as the store does, made on first use."""
        if not _SECRET.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a secret: use a-z, 0-9 and hyphens")
        kept = f"{name}.secret"
        return _checked(read_or_add(self.store, kept, new_key), kept)

    def epochs(self) -> list[str]:
        """The names of all epochs that are there, those of past hours too."""
        return sorted(name for name in self.store.names() if _EPOCH.fullmatch(name))


def _is_over(name: str, now: float) -> bool:
    match = _EPOCH.fullmatch(name)
    return match is not None and name != KEPT and int(match[1]) < now // HOUR_S


def _associated(epoch: str, context: bytes) -> bytes:
    # An epoch's name has no zero byte, so that it cannot run on into the context.
    return epoch.encode() + b"\0" + context


def _checked(key: bytes, name: str) -> bytes:
    # Another process may be overwriting its file at this moment: zeros are no key.
    if key == bytes(KEY_BYTES):
        raise KeyGoneError
    if len(key) != KEY_BYTES:
        raise VaultError(f"The key {name} is damaged. Restore it from a backup of the keys.")
    return key
