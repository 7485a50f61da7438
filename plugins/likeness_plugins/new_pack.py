"""Writing a new pack: `template/data` is a whole one, New Style; `template/code` is what differs where it has code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from likeness_plugins.checks import SLUG
from likeness_plugins.errors import PackSourceError

TEMPLATE: Final = Path(__file__).with_name("template")
LONGEST_NAME: Final = 50
NOBODY: Final = "Your Name"  # the author, until there is one
NOT_TEXT: Final = (".webp",)


def new_pack(name: str, folder: Path, *, code: bool = False) -> None:
    """Write the pack of a style `name`, a slug, into a folder that is not there yet. Raises PackSourceError."""
    if not SLUG.fullmatch(name) or len(name) > LONGEST_NAME:
        raise PackSourceError(
            f"The name {name!r:.60} is no slug: use lower-case letters, digits and single hyphens,"
            f" {LONGEST_NAME} at most."
        )
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise PackSourceError(f"{folder} is there already: choose another name, or another --out.") from error
    except OSError as error:
        raise PackSourceError(f"{folder} cannot be made ({error.strerror}): choose another --out.") from error
    try:
        _write(_files(code), name, folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # nobody's but ours: it was not there
        raise PackSourceError(f"The pack cannot be written to {folder} ({error.strerror}): free some room.") from error


def _files(code: bool) -> dict[Path, Path]:
    """Where each file goes within the pack -> where it lies; an installer's bytecode is none of them."""
    return {
        path.relative_to(layer): path
        for layer in (TEMPLATE / "data", *([TEMPLATE / "code"] if code else []))
        for path in sorted(layer.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _write(files: dict[Path, Path], name: str, folder: Path) -> None:
    for place, source in files.items():
        target = folder / _named(str(place), name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix in NOT_TEXT:
            target.write_bytes(source.read_bytes())
        else:
            target.write_text(_named(source.read_text(encoding="utf-8"), name), encoding="utf-8")


def _named(text: str, name: str) -> str:
    """The template's own name, in its three spellings, gives way to the pack's."""
    spellings = {
        "new_style": name.replace("-", "_"),
        "new-style": name,
        "New Style": name.replace("-", " ").title(),
    }
    for spelling, own in spellings.items():
        text = text.replace(spelling, own)
    return text
