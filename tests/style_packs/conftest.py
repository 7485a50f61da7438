"""An installation on one machine and on a fleet's servers, and a process of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from likeness.packs import load_catalogue
from likeness.safe import Safe, open_safe
from likeness.settings import Settings
from likeness.style_packs import Shelf, install_folder
from likeness.style_packs.installing import Installed
from tests.retention.conftest import migrated_file, settings
from tests.style_packs.packs import ABOUT

__all__ = ["migrated_file", "settings"]
BASE = load_catalogue()


@pytest.fixture
def safe(settings: Settings) -> Iterator[Safe]:
    safe = open_safe(settings)
    yield safe
    safe.close()


@pytest.fixture
def shelf(safe: Safe, settings: Settings) -> Callable[..., Shelf]:
    """A process of the installation that has just looked; each has a cache of its own unless told otherwise."""
    count = 0

    def make(cache: Path | None = None, **changes: object) -> Shelf:
        nonlocal count
        count += 1
        import msgspec

        cache = cache or settings.data / f"cache-{count}"
        changed = msgspec.structs.replace(settings, style_cache=str(cache), **changes)  # type: ignore[arg-type]
        made = Shelf(safe, changed, BASE, ABOUT)
        made.look()
        return made

    return make


@pytest.fixture
def install(safe: Safe, settings: Settings) -> Callable[[Path], Installed]:
    return lambda folder: install_folder(safe, settings, folder, base=BASE, model=ABOUT)
