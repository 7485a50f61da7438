"""Keys as private files in a folder, for one machine or on a file system that all machines share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from likeness.vault.durable import create, destroy, fsync_folder, key_errors
from likeness.vault.errors import KeyGoneError, VaultError
from likeness.vault.key_stores.base import NAME, checked
from likeness_plugins import KeyStore

_DRAFT: Final = re.compile(r"\.\w+\.draft", re.ASCII)


class FolderKeyStore(KeyStore):
    """One file a key, mode 0600, in a folder of mode 0700 that is made with the first key.

    What is destroyed is overwritten with zeros first, so that a reader may get zeros, which are no key. The draft of a
    key that a crash left counts as the key: it is named, and destroyed with it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """Raises VaultError when the file is there and cannot be read."""
        path = self._folder / checked(name)
        try:
            with key_errors(path):
                return path.read_bytes()
        except FileNotFoundError:
            return None

    def add(self, name: str, data: bytes) -> bytes:
        """Raises VaultError, KeyGoneError when someone destroys the file at this moment."""
        path = self._folder / checked(name)
        try:
            with key_errors(path):
                create(path, data)
                return path.read_bytes()
        except FileNotFoundError as exc:
            raise KeyGoneError from exc

    def names(self) -> list[str]:
        """Raises VaultError; none where there is no folder."""
        try:
            with key_errors(self._folder):
                found = {_DRAFT.sub("", path.name) for path in self._folder.iterdir()}
        except FileNotFoundError:
            return []
        return sorted(name for name in found if NAME.fullmatch(name))

    def destroy(self, name: str) -> None:
        """Raises VaultError naming the file."""
        path = self._folder / checked(name)
        try:
            # The key first: should a draft resist, it is still named.
            for file in (path, *self._folder.glob(f"{name}.*.draft")):
                destroy(file)
            fsync_folder(self._folder)
        except FileNotFoundError:
            return  # there is no folder
        except OSError as exc:
            reason = exc.strerror or exc
            raise VaultError(f"The key file {path} could not be destroyed ({reason}). Destroy it by hand.") from exc


def open_store(location: str) -> FolderKeyStore:
    """A folder's path, or its file:// URL."""
    return FolderKeyStore(Path(url2pathname(urlsplit(location).path) if "://" in location else location))
