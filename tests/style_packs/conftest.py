"""An installation on one machine and on a fleet's servers, and processes of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from likeness.packs import load_catalogue
from likeness.records.style_packs import Installed
from likeness.safe import Safe, open_safe
from likeness.settings import Settings
from likeness.style_packs import Shelf, install_folder
from tests.retention.conftest import migrated_file, settings
from tests.style_packs.packs import ABOUT

__all__ = ["migrated_file", "settings"]
BASE = load_catalogue()


class House:
    """An installation, and a folder for packs."""

    def __init__(self, safe: Safe, settings: Settings, folder: Path) -> None:
        self.safe = safe
        self.settings = settings
        self.folder = folder

    def install(self, folder: Path) -> Installed:
        return install_folder(self.safe, self.settings, folder, base=BASE, model=ABOUT)

    def shelf(self, cache: Path | None = None, **changes: Any) -> Shelf:
        """A process that has just looked, with a cache of its own unless told otherwise."""
        cache = cache or self.folder / f"cache-{secrets.token_hex(4)}"
        made = Shelf(self.safe, msgspec.structs.replace(self.settings, style_cache=str(cache), **changes), BASE, ABOUT)
        made.look()
        return made


@pytest.fixture
def house(settings: Settings, tmp_path: Path) -> Iterator[House]:
    safe = open_safe(settings)
    yield House(safe, settings, tmp_path)
    safe.close()
