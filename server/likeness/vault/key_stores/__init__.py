"""Where keys lie. What a store must keep is in `likeness_plugins.KeyStore`; each is one module here, named in the table
below, and any other scheme is a plugin's.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final
from urllib.parse import urlsplit

from likeness_plugins import KeyStore

KEY_STORES: Final = {
    "file": "likeness.vault.key_stores.folder",
    "postgresql": "likeness.vault.key_stores.postgresql",
}
PLUGINS: Final = "likeness.vault.key_stores.plugin"


def open_key_store(location: str) -> KeyStore:
    """Open the place that the setting `keys` names: a folder or a URL; raises SettingsError. Nothing is asked yet."""
    scheme = urlsplit(location).scheme if "://" in location else "file"
    module = import_module(KEY_STORES.get(scheme.partition("+")[0], PLUGINS))  # as in postgresql+psycopg://
    store: KeyStore = module.open_store(location)
    return store
