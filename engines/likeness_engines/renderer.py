"""The renderer: keeps the UNet batch full, one denoising step at a time, across styles, photos, step counts and
generations.

Rows are chosen anew at every step, so a render may join, pause or leave between any two. What a render becomes
depends on itself alone: its own noise generator, its own schedule, its own rows; what else shares the batch changes
its picture by rounding only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.engines import Engines
from likeness_engines.errors import EngineError, RenderError
from likeness_engines.schedule import Schedule

Floats = NDArray[np.float32]


class Render(msgspec.Struct, frozen=True, kw_only=True):
    """One avatar to draw. `source` is a photo's latents [C, h, w]; None means the pack's default.

    A UNet row is spent without guidance, two with `guidance` (prompt against negative prompt), three with
    `photo_guidance` as well (Brooks et al., InstructPix2Pix, 2023, equation 3). Lower `priority` goes first.
    """

    id: str
    source: Floats
    prompt: str
    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    photo_guidance: float | None = None
    seed: int = 0
    lora_slot: int = 0
    group: str = ""
    priority: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """A render's end: `pixels` uint8 [R, R, 3] RGB, or None and an `error` for users."""

    id: str
    pixels: NDArray[np.uint8] | None
    error: str = ""


class _Row(msgspec.Struct, frozen=True):
    """One row of the UNet batch; a render's prediction is the sum of its rows' outputs times their weights."""

    source: Floats
    words: Floats
    weight: float


class _Active:
    """A render under way: latents [C, h, w], the x0 of the step before, its own schedule and noise."""

    def __init__(self, render: Render, schedule: Schedule, rows: list[_Row]) -> None:
        self.render = render
        self.rows = rows
        self.table = schedule.table.astype(np.float32)
        self.step = 0
        self._noise = np.random.Generator(np.random.PCG64(render.seed))
        self.latents = self.noise() * np.float32(schedule.start)
        self.previous_x0 = np.zeros_like(self.latents)

    def noise(self) -> Floats:
        """The next standard normal noise, [C, h, w]."""
        return self._noise.standard_normal(self.render.source.shape, np.float32)

    @property
    def coefficients(self) -> Floats:
        """This step's (timestep, p, q, a, b, c, d)."""
        return np.asarray(self.table[self.step])


class Renderer:
    """Draws submitted renders; `run` yields each as it ends. Not for use from several threads at once.

    `rows` is how many rows of the batch the last step used.
    """

    def __init__(self, engines: Engines, max_rows: int | None = None) -> None:
        self._engines = engines
        self._max_rows = max_rows or engines.max_rows
        self._active: dict[str, _Active] = {}
        self._failed: list[Outcome] = []
        self._words: dict[str, Floats] = {}
        self._schedules: dict[int, Schedule] = {}
        self.rows = 0

    def run(self) -> Iterator[Outcome]:
        """Step until nothing is left; renders may be submitted and cancelled in between."""
        while self.busy:
            yield from self.step()

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._active or self._failed)

    def step(self) -> list[Outcome]:
        """Denoise the chosen renders by one step each; returns those that ended."""
        chosen = self._choose()
        self.rows = sum(len(active.rows) for active in chosen)
        predictions = self._predict(chosen)
        moving = [active for active in chosen if active.render.id in predictions]
        self._update(moving, predictions)
        finished = [active for active in moving if active.step == len(active.table)]
        return self._retire(finished)

    def submit(self, render: Render) -> None:
        """Let a render join at the next step; one that does not fit the pack fails there, alone."""
        if render.id in self._active:
            raise RenderError(f"A render {render.id!r} is already under way. Give every render its own id.")
        try:
            self._active[render.id] = self._begin(render)
        except EngineError as error:
            self._failed.append(Outcome(render.id, None, str(error)))

    def cancel(self, render_id: str) -> None:
        """Forget a render; it takes no part in the next step. Unknown ids are ignored: it may just have ended."""
        self._active.pop(render_id, None)

    def _begin(self, render: Render) -> _Active:
        about = self._engines.pack.about
        if render.source.shape != about.latents:
            raise RenderError(f"Render {render.id} has a source {render.source.shape}; the pack draws {about.latents}.")
        if not 0 <= render.lora_slot < about.lora.slots:
            raise RenderError(f"Render {render.id} names the LoRA slot {render.lora_slot} of {about.lora.slots}.")
        return _Active(render, self._schedule(render.steps or about.default_steps), self._rows(render))

    def _rows(self, render: Render) -> list[_Row]:
        """A render's rows; weights follow from writing its guidance as one weighted sum. They add up to 1."""
        default = self._engines.pack.about.default_guidance
        text = default if render.guidance is None else render.guidance
        photo = text if render.photo_guidance is None else render.photo_guidance
        words, empty = self._encoded(render.prompt), self._encoded(render.negative_prompt)
        if render.photo_guidance is None or photo == 1.0:
            rows = [_Row(render.source, words, text), _Row(render.source, empty, 1 - text)]
        else:
            blank = np.zeros_like(render.source)
            rows = [
                _Row(render.source, words, text),
                _Row(render.source, empty, photo - text),
                _Row(blank, empty, 1 - photo),
            ]
        return [row for row in rows if row.weight != 0]

    def _encoded(self, prompt: str) -> Floats:
        if prompt not in self._words:
            self._words[prompt] = self._engines.encode_prompts([prompt])[0]
        return self._words[prompt]

    def _schedule(self, steps: int) -> Schedule:
        if steps not in self._schedules:
            self._schedules[steps] = self._engines.schedule(steps)
        return self._schedules[steps]

    def _choose(self) -> list[_Active]:
        """Fill the batch: lower priority first, groups by turns, within a group the oldest render first.

        The oldest keep their places until they are done, so the first pictures come early; a render that
        needs more rows than the whole batch has gets it alone.
        """
        chosen: list[_Active] = []
        room = self._max_rows
        for active in self._in_turn():
            if len(active.rows) <= room or not chosen:
                chosen.append(active)
                room -= len(active.rows)
            if room <= 0:
                break
        return chosen

    def _in_turn(self) -> Iterator[_Active]:
        for priority in sorted({active.render.priority for active in self._active.values()}):
            groups: dict[str, list[_Active]] = {}
            for active in self._active.values():
                if active.render.priority == priority:
                    groups.setdefault(active.render.group, []).append(active)
            for turn in zip_longest(*groups.values()):
                yield from (active for active in turn if active is not None)

    def _predict(self, chosen: list[_Active]) -> dict[str, Floats]:
        """Predictions [C, h, w] by render id; renders that make the engine fail are failed and left out."""
        if not chosen:
            return {}
        try:
            predictions = self._run_rows(chosen)
        except EngineError as error:
            if len(chosen) == 1:
                self._fail(chosen[0], str(error))
                return {}
            # One render spoils the batch: alone, each gets by or fails by itself.
            return {key: value for active in chosen for key, value in self._predict([active]).items()}
        for active in chosen:
            if not np.isfinite(predictions[active.render.id]).all():
                del predictions[active.render.id]
                self._fail(active, f"Render {active.render.id} became not a number at step {active.step + 1}.")
        return predictions

    def _run_rows(self, chosen: list[_Active]) -> dict[str, Floats]:
        rows = [(active, row) for active in chosen for row in active.rows]
        outputs = self._engines.predict(
            sample=np.stack([active.latents for active, _ in rows]),
            source=np.stack([row.source for _, row in rows]),
            timestep=np.array([active.coefficients[0] for active, _ in rows]),
            words=np.stack([row.words for _, row in rows]),
            lora_slot=np.array([active.render.lora_slot for active, _ in rows], np.int64),
        )
        weighted = outputs * _column([row.weight for _, row in rows])
        firsts = np.cumsum([0, *(len(active.rows) for active in chosen[:-1])])
        ids = [active.render.id for active in chosen]
        return dict(zip(ids, np.add.reduceat(weighted, firsts, axis=0), strict=True))

    def _update(self, moving: list[_Active], predictions: dict[str, Floats]) -> None:
        """Advance all by the one expression of `schedule.py`, each with its own coefficients."""
        if not moving:
            return
        x = np.stack([active.latents for active in moving])
        prediction = np.stack([predictions[active.render.id] for active in moving])
        previous = np.stack([active.previous_x0 for active in moving])
        coefficients = np.stack([active.coefficients for active in moving])
        p, q, a, b, c, d = (_column(coefficients[:, column]) for column in range(1, 7))
        noise = np.stack(
            [active.noise() if active.coefficients[6] else np.zeros_like(active.latents) for active in moving]
        )
        x0, x = p * x + q * prediction, a * x + b * prediction + c * previous + d * noise
        for index, active in enumerate(moving):
            active.latents, active.previous_x0 = x[index], x0[index]
            active.step += 1

    def _retire(self, finished: list[_Active]) -> list[Outcome]:
        """Decode what is finished, in one batch; returns it with all failures since the last step."""
        for active in finished:
            del self._active[active.render.id]
        outcomes = self._decode(finished)
        outcomes, self._failed = [*self._failed, *outcomes], []
        return outcomes

    def _decode(self, finished: list[_Active]) -> list[Outcome]:
        if not finished:
            return []
        try:
            pictures = self._engines.decode(np.stack([active.latents for active in finished]))
        except EngineError as error:
            if len(finished) == 1:
                return [Outcome(finished[0].render.id, None, str(error))]
            return [outcome for active in finished for outcome in self._decode([active])]
        return [Outcome(active.render.id, picture) for active, picture in zip(finished, pictures, strict=True)]

    def _fail(self, active: _Active, reason: str) -> None:
        del self._active[active.render.id]
        self._failed.append(Outcome(active.render.id, None, reason))


def _column(values: list[float] | Floats) -> Floats:
    """A vector as float32 [N, 1, 1, 1], to multiply latents with."""
    return np.asarray(values, np.float32).reshape(-1, 1, 1, 1)
