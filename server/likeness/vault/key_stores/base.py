"""What the stores of keys and those who use them share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from likeness_plugins import KeyStore

# Names become paths, and text of statements.
NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]*", re.ASCII)


def checked(name: str) -> str:
    """The name, if it can be a key's."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a key: use a-z, 0-9, '.' and '-'")
    return name


def read_or_add(store: KeyStore, name: str, make: Callable[[], bytes]) -> bytes:
    """A key, made on first use; of several processes that make it at once, one wins and all get the winner's."""
    kept = store.read(name)
    return store.add(name, make()) if kept is None else kept
