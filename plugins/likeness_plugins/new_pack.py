"""Writing a new pack. `template/folder` is a whole one, New Style; `template/data` makes a project of it, and
`template/code` has what differs where the project has code.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, Literal

from likeness_plugins.checks import SLUG
from likeness_plugins.errors import PackSourceError

TEMPLATE: Final = Path(__file__).with_name("template")
LONGEST_NAME: Final = 50
NOBODY: Final = "Your Name"  # the author, until there is one
NOT_TEXT: Final = (".webp",)
Kind = Literal["folder", "data", "code"]
LAYERS: Final[dict[Kind, tuple[str, ...]]] = {
    "folder": ("folder",),
    "data": ("folder", "data"),
    "code": ("folder", "data", "code"),
}
MODULE: Final = Path("new_style_pack")
IN_MODULE: Final = ("style.toml", "preview.webp")  # in a project, the module's; all else is the project's


def new_pack(name: str, folder: Path, kind: Kind = "data") -> Path:
    """Write the pack of a style `name`, a slug, into a folder that is not there yet; answers the file to edit, its
    `style.toml`. Raises PackSourceError.
    """
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
        _write(_files(kind), name, folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # nobody's but ours: it was not there
        raise PackSourceError(f"The pack cannot be written to {folder} ({error.strerror}): free some room.") from error
    [described] = folder.rglob("style.toml")
    return described


def _files(kind: Kind) -> dict[Path, Path]:
    """Where each file goes within the pack -> where it lies; an installer's bytecode is none of them."""
    return {
        _place(path.relative_to(TEMPLATE / layer), kind): path
        for layer in LAYERS[kind]
        for path in sorted((TEMPLATE / layer).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _place(path: Path, kind: Kind) -> Path:
    return MODULE / path if kind != "folder" and str(path) in IN_MODULE else path


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
