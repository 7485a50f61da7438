"""Drawing one generation: planned renders in, finished and reviewed avatars out, each as soon as it is ready."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.photos import Crop
from likeness.plan import PlannedRender
from likeness.variation import vary
from likeness_engines import Engines, Lora, LoraError, Outcome, Render, Renderer
from likeness_plugins import Catalogue, PluginError, Style

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


def draw(
    engines: Engines,
    catalogue: Catalogue,
    crops: Sequence[Crop],
    plan: Sequence[PlannedRender],
    steps: int | None = None,
) -> Iterator[Avatar | Lost]:
    """Draw a plan with a renderer of its own; avatars come in the order in which they are ready."""
    drawing, renderer = Drawing(engines, catalogue, steps), Renderer(engines)
    drawable, lost = drawing.prepare(plan)
    yield from lost
    for render in drawing.begin([crop.pixels for crop in crops], [crop.quality for crop in crops], drawable):
        renderer.submit(render)
    for outcome in renderer.run():
        result = drawing.judge(outcome)
        if isinstance(result, Render):
            renderer.submit(result)
        else:
            yield result


class Drawing:
    """One generation being drawn: turns a plan into renders, and their outcomes into avatars. Steps nothing itself.

    `group` and `priority` are those of its renders; `steps` None means the style's recipe, or else the pack's default.
    """

    def __init__(
        self, engines: Engines, catalogue: Catalogue, steps: int | None = None, group: str = "", priority: int = 0
    ) -> None:
        self._engines = engines
        self._catalogue = catalogue
        self._steps = steps
        self._group = group
        self._priority = priority
        self._planned: dict[str, PlannedRender] = {}
        self._sources: dict[str, Any] = {}
        self._identity: Any = None
        self._loras: dict[str, Lora | None] = {}
        self._again: set[str] = set()

    def prepare(self, plan: Sequence[PlannedRender]) -> tuple[list[PlannedRender], list[Lost]]:
        """Read the styles' LoRAs; answers what can be drawn, and what cannot since its LoRA does not fit the pack."""
        drawable: list[PlannedRender] = []
        lost: list[Lost] = []
        for planned in plan:
            try:
                self._loras[planned.style.name] = self._lora(planned.style)
                drawable.append(planned)
            except LoraError as error:
                lost.append(Lost(planned, "failed", str(error)))
        return drawable, lost

    def begin(
        self, crops: Sequence[NDArray[np.uint8]], qualities: Sequence[float], plan: Sequence[PlannedRender]
    ) -> list[Render]:
        """Encode the crops (uint8 [side, side, 3], qualities 0..1) once, for all renders of a prepared plan; answers
        them, to be submitted together.
        """
        if not plan:
            return []
        sources = self._encode(crops, plan)
        self._identity = self._engines.encode_identity(np.stack(crops), qualities)
        for planned, source in zip(plan, sources, strict=True):
            self._planned[self._id(planned)] = planned
            self._sources[self._id(planned)] = source
        return [self._render(planned) for planned in plan]

    def judge(self, outcome: Outcome) -> Avatar | Lost | Render:
        """Finish and review; a refused avatar becomes a render once more, with another seed."""
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
        if outcome.id in self._again:
            return Lost(planned, "refused", refusal)
        self._again.add(outcome.id)
        return self._render(planned)

    def _lora(self, style: Style) -> Lora | None:
        path = style.recipe(self._engines.pack.family).lora
        return None if path is None else self._engines.lora(path)

    def _encode(self, crops: Sequence[NDArray[np.uint8]], plan: Sequence[PlannedRender]) -> list[Any]:
        """Encode every photo once per variation, and return one source [C, h, w] a render."""
        wanted = list(dict.fromkeys((planned.photo, planned.variation) for planned in plan))
        pictures = np.stack([vary(crops[photo], variation) for photo, variation in wanted])
        encoded = dict(zip(wanted, self._engines.encode_photos(pictures), strict=True))
        return [encoded[planned.photo, planned.variation] for planned in plan]

    def _render(self, planned: PlannedRender) -> Render:
        recipe = planned.style.recipe(self._engines.pack.family)
        return Render(
            id=self._id(planned),
            source=self._sources[self._id(planned)],
            prompt=planned.look.prompt,
            negative_prompt=planned.style.negative_prompt,
            steps=self._steps or recipe.steps,
            guidance=recipe.guidance,
            strength=recipe.strength,
            identity=self._identity,
            lora=self._loras[planned.style.name],
            seed=self._seed(planned),
            group=self._group,
            priority=self._priority,
        )

    def _id(self, planned: PlannedRender) -> str:
        return f"{self._group}/{planned.index}"

    def _seed(self, planned: PlannedRender) -> int:
        return planned.seed + SECOND_TRY * (self._id(planned) in self._again)
