"""What a style may take in this installation, and whether its LoRA fits the model pack in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from likeness.settings import Settings
from likeness_engines import LoraError, PackFile, lora_rank, read_lora
from likeness_plugins import Catalogue, Pack, Style

OURS: Final = "likeness"  # the distribution of the built-in packs


def style_problems_here(style: Style, settings: Settings, model: PackFile) -> list[str]:
    """Everything for which a valid style is not offered here, one sentence each; empty when it is."""
    return [*_numbers(style, settings), *_preview(style, settings), *_loras(style, settings, model)]


def within_limits(catalogue: Catalogue, settings: Settings, model: PackFile) -> Catalogue:
    """The catalogue without the styles that are not offered here, which are problems of their packs. Our own have no
    limits.
    """
    ours = {name for pack in catalogue.packs if pack.distribution == OURS for name in pack.styles}
    found = {
        name: [] if name in ours else style_problems_here(style, settings, model)
        for name, style in catalogue.styles.items()
    }
    packs = [_without(pack, found) for pack in catalogue.packs]
    return catalogue.with_styles(packs, {name: style for name, style in catalogue.styles.items() if not found[name]})


def _without(pack: Pack, found: dict[str, list[str]]) -> Pack:
    problems = *pack.problems, *(problem for name in pack.styles for problem in found[name])
    offered = tuple(name for name in pack.styles if not found[name])
    return msgspec.structs.replace(pack, styles=offered, problems=problems)


def _numbers(style: Style, settings: Settings) -> Iterator[str]:
    for family, recipe in style.recipes.items():
        which = f"The {family} recipe of the style {style.name}"
        if recipe.steps is not None and recipe.steps > settings.style_steps:
            yield f"{which} has {recipe.steps} steps; style_steps allows {settings.style_steps}. Lower it."
        if recipe.guidance is not None and recipe.guidance > settings.style_guidance:
            most = f"{settings.style_guidance:g}"
            yield f"{which} has guidance {recipe.guidance:g}; style_guidance allows {most}. Lower it."


def _preview(style: Style, settings: Settings) -> Iterator[str]:
    if style.preview is not None and (size := _size(style.preview)) > settings.style_preview_bytes:
        most = settings.style_preview_bytes
        yield f"The preview of the style {style.name} has {size} bytes; style_preview_bytes allows {most}. Shrink it."


def _loras(style: Style, settings: Settings, model: PackFile) -> Iterator[str]:
    for family, recipe in style.recipes.items():
        if recipe.lora is not None:
            problem = _lora(recipe.lora, settings, model if family == model.family else None)
            if problem is not None:
                yield f"The LoRA of the {family} recipe of the style {style.name} is refused: {problem}"


def _lora(path: Path, settings: Settings, model: PackFile | None) -> str | None:
    """The first thing that is wrong; what would be large is not read."""
    if (size := _size(path)) > settings.style_lora_bytes:
        return f"It has {size} bytes; style_lora_bytes allows {settings.style_lora_bytes}. Use one of lower rank."
    try:
        if (rank := lora_rank(path)) > settings.style_lora_rank:
            return f"It has rank {rank}; style_lora_rank allows {settings.style_lora_rank}. Use one of lower rank."
        if model is not None:
            read_lora(path, model.lora)
    except LoraError as error:
        return str(error)
    return None


def _size(path: Path) -> int:
    return path.stat().st_size
