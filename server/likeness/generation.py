"""Drawing one generation: planned renders in, finished and reviewed avatars out, each as soon as it is ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.photos import Crop
from likeness.plan import PlannedRender
from likeness.variation import vary
from likeness_engines import Engines, Outcome, Render, Renderer
from likeness_plugins import Catalogue, PluginError

# A refused avatar is drawn once more: this is added to its seed.
SECOND_TRY: Final = 2**32


class Avatar(msgspec.Struct, frozen=True):
    """A finished render, uint8 HxWx3 RGB; `seed` is the one it was really drawn with."""

    render: PlannedRender
    pixels: NDArray[np.uint8]
    seed: int


class Lost(msgspec.Struct, frozen=True):
    """A render that gave no avatar, and why: an engine or plugin failed, or a review refused it twice."""

    render: PlannedRender
    state: str
    reason: str


class Drawing:
    """One generation being drawn; iterate it once. Steps None means the style's recipe, or else the pack's default."""

    def __init__(self, engines: Engines, catalogue: Catalogue, steps: int | None = None) -> None:
        self._engines = engines
        self._catalogue = catalogue
        self._steps = steps
        self._renderer = Renderer(engines)
        self._planned: dict[str, PlannedRender] = {}
        self._again: set[str] = set()

    def run(self, crops: Sequence[Crop], plan: Sequence[PlannedRender]) -> Iterator[Avatar | Lost]:
        """Draw all planned renders in one mixed batch; avatars come in the order in which they are ready."""
        sources = self._encode(crops, plan)
        for planned, source in zip(plan, sources, strict=True):
            self._planned[str(planned.index)] = planned
            self._renderer.submit(self._render(planned, source))
        for outcome in self._renderer.run():
            result = self._judge(outcome)
            if result is None:
                self._again.add(outcome.id)
                planned = self._planned[outcome.id]
                self._renderer.submit(self._render(planned, sources[planned.index]))
            else:
                yield result

    def _encode(self, crops: Sequence[Crop], plan: Sequence[PlannedRender]) -> list[NDArray[np.float32]]:
        """Encode every photo once per variation, and return one source [C, h, w] a render."""
        wanted = list(dict.fromkeys((planned.photo, planned.variation) for planned in plan))
        pictures = np.stack([vary(crops[photo].pixels, variation) for photo, variation in wanted])
        encoded = dict(zip(wanted, self._engines.encode_photos(pictures), strict=True))
        return [encoded[planned.photo, planned.variation] for planned in plan]

    def _render(self, planned: PlannedRender, source: NDArray[np.float32]) -> Render:
        recipe = planned.style.recipe(self._engines.pack.family)
        return Render(
            id=str(planned.index),
            source=source,
            prompt=planned.look.prompt,
            negative_prompt=planned.style.negative_prompt,
            steps=self._steps or recipe.steps,
            guidance=recipe.guidance,
            seed=self._seed(planned),
        )

    def _seed(self, planned: PlannedRender) -> int:
        return planned.seed + SECOND_TRY * (str(planned.index) in self._again)

    def _judge(self, outcome: Outcome) -> Avatar | Lost | None:
        """Finish and review; None asks for a second try."""
        planned = self._planned[outcome.id]
        if outcome.pixels is None:
            return Lost(planned, "failed", outcome.error)
        try:
            pixels = self._catalogue.finish_avatar(outcome.pixels, planned.style, planned.look)
            refusal = self._catalogue.review_avatar(pixels, planned.style, planned.look)
        except PluginError as error:
            return Lost(planned, "failed", str(error))
        if refusal is None:
            return Avatar(planned, pixels, self._seed(planned))
        return Lost(planned, "refused", refusal) if outcome.id in self._again else None
