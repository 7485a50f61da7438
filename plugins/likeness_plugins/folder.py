"""Styles without code: a folder with `style.toml`, a preview and perhaps a LoRA."""

from __future__ import annotations

from pathlib import Path

import msgspec

from likeness_plugins.checks import as_path, style_problems
from likeness_plugins.errors import StyleError
from likeness_plugins.style import Style


def style_from_folder(folder: Path) -> Style:
    """Read `style.toml`, whose keys are Style's fields; paths are relative to the folder. Raises StyleError."""
    description = Path(folder) / "style.toml"
    try:
        style = msgspec.toml.decode(description.read_bytes(), type=Style, dec_hook=as_path)
    except OSError as error:
        raise StyleError(str(folder), [f"style.toml cannot be read ({error.strerror}): put one there."]) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StyleError(str(description), [f"{error}. Correct the file."]) from error
    placed = _place(style, Path(folder).resolve())
    if problems := style_problems(placed):
        raise StyleError(str(description), problems)
    return placed


def _place(style: Style, folder: Path) -> Style:
    """Make the style's paths absolute; none may lead out of the folder."""

    def inside(path: Path | None) -> Path | None:
        if path is None:
            return None
        whole = (folder / path).resolve()
        if not whole.is_relative_to(folder):
            raise StyleError(str(folder), [f"The path {path} leads out of the folder: keep all files inside."])
        return whole

    recipes = {
        family: msgspec.structs.replace(recipe, lora=inside(recipe.lora)) for family, recipe in style.recipes.items()
    }
    return msgspec.structs.replace(style, preview=inside(style.preview), recipes=recipes)
