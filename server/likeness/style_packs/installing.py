"""Installing and removing data-only packs: checked, stored, entered; running processes look for it themselves."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from likeness.records import deadlines, style_packs
from likeness.records.style_packs import Installed
from likeness.safe import Safe
from likeness.settings import Settings
from likeness.style_packs.archive import digest_of, pack_up
from likeness.style_packs.errors import StylePackError
from likeness.style_packs.limits import OURS, style_problems_here
from likeness_engines import PackFile
from likeness_plugins import Catalogue, Style, StyleError, style_from_folder

# What storing may take: a process that dies before the row is there leaves the object to the sweeper.
STORING_S: Final = 600.0


def install_folder(safe: Safe, settings: Settings, folder: Path, *, base: Catalogue, model: PackFile) -> Installed:
    """Offer the pack in a folder in all processes, in place of an earlier version of it. `base` is what is installed as
    code, `model` the model pack in use. Raises StylePackError with everything that is wrong.
    """
    style = _checked(folder, settings, base, model)
    archive = pack_up(folder, style)
    name, pack = style.name, secrets.token_hex(12)
    # An id of its own, not its digest: what is stored under a name that comes once is never another's orphan.
    new = Installed(pack, name, style.version, f"styles/{pack}/0", digest_of(archive))
    _check_version(safe.database.read(style_packs.offered), new)
    safe.database.write(deadlines.expect, new.object, STORING_S)
    safe.objects.put(new.object, archive)
    safe.database.write(_enter, new)
    return new


def remove(safe: Safe, name: str, *, base: Catalogue) -> Installed:
    """Offer a pack no more; what is being drawn with it goes on. Raises StylePackError."""
    if (found := safe.database.write(style_packs.withdraw, name)) is not None:
        return found
    for pack in base.packs:
        if name in (pack.name, *pack.styles):
            raise StylePackError(
                f"{name} is a pack with code, of the distribution {pack.distribution}. Run `pip uninstall"
                f" {pack.distribution}`, then restart servers and workers."
                if pack.distribution != OURS
                else f"{name} comes with Likeness and cannot be removed. Name one that was installed."
            )
    known = ", ".join(each.name for each in safe.database.read(style_packs.offered)) or "none"
    raise StylePackError(f"No pack {name} is installed. Installed without code: {known}.")


def _checked(folder: Path, settings: Settings, base: Catalogue, model: PackFile) -> Style:
    try:
        style = style_from_folder(folder)
    except StyleError as error:
        raise StylePackError(str(error)) from error
    if style.name in base.styles:
        raise StylePackError(f"Another pack already has a style {style.name}: rename one of them, or remove a pack.")
    if problems := style_problems_here(style, settings, model):
        raise StylePackError("\n".join(problems))
    return style


def _check_version(offered: list[Installed], new: Installed) -> None:
    for old in offered:
        if old.name == new.name and old.version == new.version and old.digest != new.digest:
            raise StylePackError(
                f"The style {new.name} {new.version} is installed with other files: give this one another `version`,"
                " or remove that one first."
            )


def _enter(connection: sa.Connection, new: Installed) -> None:
    if not style_packs.install(connection, new):
        raise StylePackError(f"Another install of {new.name} was faster, or this one took too long. Try again.")
