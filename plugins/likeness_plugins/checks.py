"""What a valid style is: the one place that discovery, the folder reader and the conformance kit all ask."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from likeness_plugins.style import Recipe, Style

FEWEST_LOOKS: Final = 10
PREVIEW_BYTES: Final = 64_000
PROMPT_LETTERS: Final = 400
FAMILIES: Final = ("pix2pix", "sd", "sdxl")
SLUG: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,31}")
_PICTURES: Final = (b"RIFF", b"\x89PNG", b"\xff\xd8\xff")


def style_problems(style: object) -> list[str]:
    """Everything that is wrong with a style, one sentence each, with the remedy; empty when it is fine."""
    if not isinstance(style, Style):
        return [f"{style!r:.60} is not a Style: return a list of likeness_plugins.Style."]
    if (nonsense := _nonsense(style)) is not None:
        return [nonsense]
    return [*_texts(style), *_looks(style), *_recipes(style), *_preview(style)]


def _nonsense(style: Style) -> str | None:
    """Structs that code makes are not checked by msgspec, and may hold anything."""
    try:
        msgspec.convert(msgspec.to_builtins(style, enc_hook=plain), Style, dec_hook=as_path)
    except (msgspec.MsgspecError, TypeError, NotImplementedError) as error:
        return f"The style {style.name!r:.60} holds what no style can: {error}. Correct its fields."
    return None


def plain(value: object) -> object:
    """msgspec's hook that writes what it does not know by itself: paths, and other kinds of mapping and text."""
    if isinstance(value, Path | str):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r:.60} is neither text, number nor path")


def as_path(kind: type, value: Any) -> Path:
    """msgspec's hook that reads a path from a text."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"{kind} cannot be read from {value!r:.60}")


def _texts(style: Style) -> Iterator[str]:
    if not SLUG.fullmatch(style.name):
        yield f"The style name {style.name!r} is no slug: use lower-case letters, digits and single hyphens."
    for field in ("title", "description", "licence", "author"):
        if not getattr(style, field).strip():
            yield f"The style {style.name} has no {field}: fill it in."
    if not _VERSION.fullmatch(style.version):
        yield f"The style {style.name} has the version {style.version!r:.60}: use letters, digits and dots, as in 1.2."


def _looks(style: Style) -> Iterator[str]:
    if len(style.looks) < FEWEST_LOOKS:
        yield f"The style {style.name} has {len(style.looks)} looks: write at least {FEWEST_LOOKS}."
    names, prompts = [look.name for look in style.looks], [look.prompt for look in style.looks]
    for what, values in (("name", names), ("prompt", prompts)):
        for twice in sorted({value for value in values if values.count(value) > 1}):
            yield f"The style {style.name} has two looks with the {what} {twice!r}: make them differ."
    for look in style.looks:
        if not SLUG.fullmatch(look.name):
            yield f"The look name {look.name!r} is no slug: use lower-case letters, digits and single hyphens."
        if not 0 < len(look.prompt.strip()) <= PROMPT_LETTERS:
            yield f"The prompt of the look {look.name} has {len(look.prompt)} letters. Give it 1 to {PROMPT_LETTERS}."


def _recipes(style: Style) -> Iterator[str]:
    for family, recipe in style.recipes.items():
        if family not in FAMILIES:
            yield f"The style {style.name} has a recipe for {family!r}: the families are {', '.join(FAMILIES)}."
        yield from (f"The {family} recipe of the style {style.name} {problem}" for problem in _numbers(recipe))


def _numbers(recipe: Recipe) -> Iterator[str]:
    if recipe.steps is not None and not 1 <= recipe.steps <= 50:
        yield f"has {recipe.steps} steps: use 1 to 50."
    if recipe.guidance is not None and not 1 <= recipe.guidance <= 20:
        yield f"has guidance {recipe.guidance}: use 1 to 20."
    if recipe.strength is not None and not 0 < recipe.strength <= 1:
        yield f"has strength {recipe.strength}: use more than 0 and at most 1."
    if recipe.lora is not None and not recipe.lora.is_file():
        yield f"names the LoRA {recipe.lora.name}, which is not there: ship the file with the pack."


def _preview(style: Style) -> Iterator[str]:
    if style.preview is None:
        return
    if not style.preview.is_file():
        yield (
            f"The preview {style.preview.name} of the style {style.name} is not there: ship the file with the pack, or"
            " name none until it is drawn."
        )
    elif style.preview.stat().st_size > PREVIEW_BYTES:
        yield f"The preview of the style {style.name} is over {PREVIEW_BYTES // 1000} kB: make it smaller."
    elif not _head(style.preview).startswith(_PICTURES):
        yield f"The preview {style.preview.name} of the style {style.name} is no WebP, PNG or JPEG: convert it."


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
