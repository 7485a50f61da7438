"""The installation that a command is about: its database, its model pack, and the styles in it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from likeness.cli.serve import prepare
from likeness.packs import describe_model_pack
from likeness.safe import Safe, open_safe
from likeness.settings import Settings
from likeness.style_packs import Shelf
from likeness_engines import PackFile
from likeness_plugins import Catalogue


def open_installation(settings: Settings) -> Safe:
    """Its database and store; an embedded one is made if there is none."""
    prepare(settings)
    return open_safe(settings)


def installed_styles(settings: Settings, base: Catalogue) -> Catalogue:
    """What is installed as code, `base`, and without; makes no data folder. Raises UnavailableError."""
    if settings.database_url.startswith("sqlite") and not (settings.data / "likeness.db").exists():
        return base
    with closing(open_installation(settings)) as safe:
        shelf = Shelf(safe, settings, base, model_in_use(settings))
        shelf.look()
        return shelf.catalogue


def model_in_use(settings: Settings) -> PackFile:
    """What the model pack of the installation says of itself."""
    return describe_model_pack(Path(settings.pack) if settings.pack else None)
