"""What a pack contributes: styles, their looks, and how each family of models draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variation within a style. `name` is a slug, `title` what users see, `prompt` what the model reads."""

    name: Annotated[str, Meta(description="A slug, unique in the style.")]
    prompt: Annotated[str, Meta(description="What the model reads.", extra_json_schema={"minLength": 1})]
    title: Annotated[str, Meta(description="What users see.")] = ""


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one family of models draws a style; None leaves the choice to the model pack.

    `steps` 1 to 50; `guidance` 1 to 20, 1 meaning none; `strength` over 0 and up to 1, how far image-to-image leaves
    the photo; `lora` a safetensors file.
    """

    # Bounds stand in the schema alone: `checks` finds all that is wrong at once, and says what to do.
    steps: Annotated[
        int | None, Meta(description="Denoising steps.", extra_json_schema={"minimum": 1, "maximum": 50})
    ] = None
    guidance: Annotated[
        float | None, Meta(description="1 means none.", extra_json_schema={"minimum": 1, "maximum": 20})
    ] = None
    strength: Annotated[
        float | None,
        Meta(
            description="How far image-to-image leaves the photo.",
            extra_json_schema={"exclusiveMinimum": 0, "maximum": 1},
        ),
    ] = None
    lora: Annotated[Path | None, Meta(description="A safetensors file of the folder.")] = None


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An art style with at least ten looks. `licence` is an SPDX expression, `preview` a small WebP, PNG or JPEG
    file; `version` is read of data-only packs, others have their distribution's.
    """

    name: Annotated[str, Meta(description="A slug, unique among all installed styles.")]
    title: Annotated[str, Meta(description="What users see.")]
    description: Annotated[str, Meta(description="One sentence for users.")]
    looks: Annotated[tuple[Look, ...], Meta(description="At least ten.", extra_json_schema={"minItems": 10})]
    licence: Annotated[str, Meta(description="An SPDX expression.")]
    author: Annotated[str, Meta(description="Who made it.")]
    negative_prompt: Annotated[str, Meta(description="What guided models shall avoid.")] = ""
    recipes: Annotated[Mapping[str, Recipe], Meta(description="One a family: pix2pix, sd, sdxl.")] = {}
    preview: Annotated[Path | None, Meta(description="A WebP, PNG or JPEG file of the folder, up to 64 kB.")] = None
    version: Annotated[str, Meta(description="Raised with every change to an installed style.")] = "0"

    def recipe(self, family: str) -> Recipe:
        """The recipe for a family of models (`pix2pix`, `sd`, `sdxl`), or one that leaves everything to the pack."""
        return self.recipes.get(family, Recipe())
