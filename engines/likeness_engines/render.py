"""What the renderer is asked for, and what it answers."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends.base import Array
from likeness_engines.lora import Lora


class Render(msgspec.Struct, frozen=True, kw_only=True):
    """One avatar to draw. `source` is a photo's latents [C, h, w], `identity` its person's tokens [Ti, D], both as
    `Engines` made them; None means the pack's default, and no LoRA.

    A UNet row is spent without guidance, two with `guidance` (prompt against negative prompt), three with
    `photo_guidance` as well (Brooks et al., InstructPix2Pix, 2023, equation 3). Lower `priority` goes first.
    """

    id: str
    source: Array
    prompt: str
    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    photo_guidance: float | None = None
    strength: float | None = None
    identity: Array | None = None
    identity_scale: float | None = None
    lora: Lora | None = None
    seed: int = 0
    group: str = ""
    priority: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """A render's end: `pixels` uint8 [R, R, 3] RGB, or None and an `error` for users."""

    id: str
    pixels: NDArray[np.uint8] | None
    error: str = ""
