"""What a pack contributes: styles, their looks, and how each family of models draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variation within a style. `name` is a slug, `title` what users see, `prompt` what the model reads."""

    name: str
    prompt: str
    title: str = ""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one family of models draws a style; None leaves the choice to the model pack.

    `steps` 1 to 50; `guidance` 1 to 20, 1 meaning none; `strength` over 0 and up to 1, how far image-to-image leaves
    the photo; `lora` a safetensors file.
    """

    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    lora: Path | None = None


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An art style with at least ten looks. `licence` is an SPDX expression, `preview` a small WebP, PNG or JPEG
    file.
    """

    name: str
    title: str
    description: str
    looks: tuple[Look, ...]
    licence: str
    author: str
    negative_prompt: str = ""
    recipes: Mapping[str, Recipe] = {}
    preview: Path | None = None

    def recipe(self, family: str) -> Recipe:
        """The recipe for a family of models (`pix2pix`, `sd`, `sdxl`), or one that leaves everything to the pack."""
        return self.recipes.get(family, Recipe())
