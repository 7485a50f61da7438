"""Thirty renders over five LoRA styles: how long they take, mixed in one batch, merged, and style by style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

import numpy as np
import torch

from benchmarks.gpu_card import now
from benchmarks.gpu_models import RANK, Case, Model
from likeness_engines import Engines, Lora, Render, Renderer
from likeness_engines.backends.base import Array

COUNT, STYLES, PHOTOS = 30, 5, 5
STRENGTH: Final = 1.0


class Sources:
    """One user's photos, encoded: noise and gradients, since pixels do not change the time."""

    def __init__(self, engines: Engines) -> None:
        side = engines.pack.about.resolution
        pixels = np.random.default_rng(0).integers(0, 256, (PHOTOS, side, side, 3), np.uint8)
        self.latents: Array = engines.encode_photos(pixels)
        self.identity: Array | None = engines.encode_identity(pixels, [1.0] * PHOTOS)


def random_loras(model: Model) -> list[Lora]:
    """One LoRA a style, on every attention projection."""
    random, shapes = np.random.default_rng(0), model.about.lora.shapes()
    return [
        Lora(f"style {style}", {name: _normal(random, shape[1:]) for name, shape in shapes.items()})
        for style in range(STYLES)
    ]


def _normal(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    return random.standard_normal(shape, np.float32) * np.float32(0.1 / RANK)


def render(case: Case, sources: Sources, loras: Sequence[Lora | None], number: int, **changes: Any) -> Render:
    """The so-manieth of many: styles are split evenly, every one in a look of its own."""
    settings: dict[str, Any] = {
        "id": str(number),
        "source": sources.latents[number % PHOTOS],
        "prompt": f"style {number % STYLES} portrait, look {number // STYLES}",
        "steps": case.steps,
        "guidance": case.guidance,
        "strength": STRENGTH,
        "identity": sources.identity,
        "lora": loras[number % STYLES],
        "seed": number,
        **changes,
    }
    return Render(**settings)


def draw(engines: Engines, renders: Sequence[Render]) -> None:
    """Draw them in one batch, to pixels on the host."""
    renderer = Renderer(engines)
    for each in renders:
        renderer.submit(each)
    for outcome in renderer.run():
        if outcome.pixels is None:
            raise SystemExit(f"A render failed: {outcome.error}")


def thirty(engines: Engines, case: Case, loras: Sequence[Lora | None], batches: int = 1) -> None:
    """From photos and prompts to thirty pictures, in one batch or style by style in several."""
    sources = Sources(engines)
    renders = [render(case, sources, loras, number) for number in range(COUNT)]
    for batch in range(batches):
        draw(engines, renders[batch::batches])


def seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median, after a first time that compiles, captures and tunes."""
    work()
    times = []
    for _ in range(repeats):
        began = now(device)
        work()
        times.append(now(device) - began)
    return median(times)
