"""Keys in a service that an installed plugin speaks to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from likeness.code_packs.admission import admit
from likeness.errors import SettingsError
from likeness.vault.errors import StorageError
from likeness_plugins import KeyStore, PluginError, discover


class PluginKeyStore(KeyStore):
    """A plugin's store, whose errors become StorageError, so that what asked for the key is tried again."""

    def __init__(self, pack: str, store: KeyStore) -> None:
        self._pack = pack
        self._store = store

    def read(self, name: str) -> bytes | None:
        """As the plugin has it."""
        with self._translated():
            return self._store.read(name)

    def add(self, name: str, data: bytes) -> bytes:
        """As the plugin does it."""
        with self._translated():
            return self._store.add(name, data)

    def names(self) -> list[str]:
        """As the plugin has them."""
        with self._translated():
            return self._store.names()

    def destroy(self, name: str) -> None:
        """As the plugin does it."""
        with self._translated():
            self._store.destroy(name)

    def prepare(self) -> None:
        """As the plugin does it."""
        with self._translated():
            self._store.prepare()

    def close(self) -> None:
        """As the plugin does it."""
        with self._translated():
            self._store.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a stranger's code may raise anything
            raise StorageError(
                f"The keys cannot be reached: the pack {self._pack} failed ({type(error).__name__}). Try again in a few"
                " seconds; if it lasts, check what the setting keys names."
            ) from error


def open_store(location: str) -> PluginKeyStore:
    """The first plugin's that knows the URL; raises SettingsError naming its scheme: the rest may hold a secret."""
    scheme = urlsplit(location).scheme
    catalogue = discover(admit=admit)
    try:
        found = catalogue.key_store(location)
    except PluginError as error:
        raise SettingsError(f"The setting keys ({scheme}://) cannot be used. {error}") from error
    if found is None:
        broken = "".join(f" {problem.sentence}" for problem in catalogue.problems)
        raise SettingsError(
            f"No installed plugin serves keys at {scheme}://. Install one that does, or set keys to a folder or a"
            f" postgresql:// URL.{broken}"
        )
    return PluginKeyStore(*found)
