"""Keys that open the stored keys, in files outside the database, so that destroying one file closes every copy.

A stored key is wrapped under the epoch of the hour its deadline falls in. Once that hour is over the epoch's file is
destroyed, and what write-ahead logs and backups of the database still hold opens nothing. The epoch `kept` is for keys
without a deadline, which are destroyed one by one.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from likeness.vault.durable import destroy, fsync_folder, key_errors, read_or_create
from likeness.vault.errors import KeyGoneError, TamperedError, VaultError
from likeness.vault.stream import KEY_BYTES, new_key

HOUR_S: Final = 3600
KEPT: Final = "kept"
_NONCE: Final = 12
_EPOCH: Final = re.compile(r"hour-(-?\d+)|kept", re.ASCII)
_FILE_OF_HOUR: Final = re.compile(r"hour-(-?\d+)(?:\.\w+\.draft)?", re.ASCII)
_SECRET: Final = re.compile(r"[a-z0-9-]+")


class Wrapped(msgspec.Struct, frozen=True):
    """A key as the database stores it: the epoch that opens it, and nonce and ciphertext."""

    epoch: str
    data: bytes


class Keyring:
    """The folder of epoch keys and secrets; API and workers may share it.

    No key stays in memory: files are read each time, so that what is destroyed is gone for every process at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def wrap(self, key: bytes, context: bytes, until: float | None) -> Wrapped:
        """Wrap a key that must be gone in the hour of `until` (epoch seconds), or a kept one; makes its epoch."""
        epoch = KEPT if until is None else f"hour-{int(until // HOUR_S)}"
        try:
            aead = AESGCM(_checked(read_or_create(self._folder / epoch, new_key), epoch))
        except FileNotFoundError as exc:
            raise KeyGoneError from exc  # destroyed as soon as made: the hour is over
        nonce = secrets.token_bytes(_NONCE)
        return Wrapped(epoch, nonce + aead.encrypt(nonce, key, _associated(epoch, context)))

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """The key; raises KeyGoneError when its epoch was destroyed, TamperedError when it does not open."""
        # The name comes from the database and becomes a path.
        if not _EPOCH.fullmatch(wrapped.epoch) or len(wrapped.data) < _NONCE:
            raise TamperedError
        path = self._folder / wrapped.epoch
        try:
            with key_errors(path):
                epoch_key = path.read_bytes()
        except FileNotFoundError as exc:
            raise KeyGoneError from exc
        aead = AESGCM(_checked(epoch_key, wrapped.epoch))
        nonce, data = wrapped.data[:_NONCE], wrapped.data[_NONCE:]
        try:
            return aead.decrypt(nonce, data, _associated(wrapped.epoch, context))
        except InvalidTag as exc:
            raise TamperedError from exc

    def destroy_epochs_before(self, now: float) -> list[str]:
        """Destroy the epochs whose hour is over at `now` (epoch seconds), and drafts of theirs that a crash left.

        Returns the names of the epochs; raises VaultError after it has tried all.
        """
        if not self._folder.exists():
            return []
        over = sorted(path for path in self._folder.iterdir() if _is_over(path.name, now))
        failed: list[OSError] = []
        for path in over:
            # One file that resists must not keep the others.
            try:
                destroy(path)
            except OSError as exc:
                failed.append(exc)
        if over:
            fsync_folder(self._folder)
        if failed:
            raise VaultError("Key files whose time is over could not be destroyed. Destroy them by hand.") from failed[
                0
            ]
        return [path.name for path in over if _EPOCH.fullmatch(path.name)]

    def secret(self, name: str) -> bytes:
        """32 bytes that stay the same for as long as the folder does, made on first use."""
        if not _SECRET.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a secret: use a-z, 0-9 and hyphens")
        file = f"{name}.secret"
        return _checked(read_or_create(self._folder / file, new_key), file)


def _is_over(name: str, now: float) -> bool:
    match = _FILE_OF_HOUR.fullmatch(name)
    return match is not None and int(match[1]) < now // HOUR_S


def _associated(epoch: str, context: bytes) -> bytes:
    # An epoch's name has no zero byte, so that it cannot run on into the context.
    return epoch.encode() + b"\0" + context


def _checked(key: bytes, name: str) -> bytes:
    # Another process may be destroying the file at this moment: zeros are no key.
    if key == bytes(KEY_BYTES):
        raise KeyGoneError
    if len(key) != KEY_BYTES:
        raise VaultError(f"The key file {name} is damaged. Restore it from a backup of the keys.")
    return key
