"""The renderer: keeps the UNet batch full, one denoising step at a time, across styles, photos, step counts and
generations.

Rows are chosen anew at every step, so a render may join, pause or leave between any two. What a render becomes
depends on itself alone: its own noise generator, its own schedule, its own rows; what else shares the batch changes
its picture by rounding only. Latents stay where the backend computes: nothing is copied to the host between steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness_engines.backends.base import Array, Pending
from likeness_engines.engines import Engines, UNetRow, Words
from likeness_engines.errors import DeviceFullError, EngineError, RenderError
from likeness_engines.render import Outcome, Render
from likeness_engines.schedule import Schedule

Floats = NDArray[np.float32]


class _Row(msgspec.Struct, frozen=True):
    """What one row of the UNet batch is denoised towards; a render's prediction is the sum of its rows' outputs times
    their weights.
    """

    words: Words
    source: Array
    identity: Array | None
    weight: float


class _Active(msgspec.Struct, eq=False):
    """A render under way: latents and the x0 of the step before [C, h, w], its schedule and noise.

    `spoiled` [] is the first step whose prediction was not a number, or 0; only the device knows until the end.
    """

    render: Render
    rows: list[_Row]
    table: Floats
    noises: np.random.Generator
    latents: Array
    previous_x0: Array
    spoiled: Array
    step: int = 0
    lora_slot: int = 0

    @property
    def coefficients(self) -> Floats:
        """This step's (timestep, p, q, a, b, c, d)."""
        return np.asarray(self.table[self.step])

    @property
    def done(self) -> bool:
        """Whether the schedule has come to its end."""
        return self.step == len(self.table)


class _Developing(msgspec.Struct, frozen=True):
    """Finished renders whose pictures are being decoded."""

    finished: list[_Active]
    pictures: Pending
    spoiled: Pending


class Renderer:
    """Draws submitted renders; `run` yields each as it ends. Not for use from several threads at once.

    `rows` is how many rows of the batch the last step used.
    """

    def __init__(self, engines: Engines, max_rows: int | None = None) -> None:
        self._engines = engines
        self._arrays = engines.arrays
        self._max_rows = max_rows or engines.max_rows
        self._active: dict[str, _Active] = {}
        self._failed: list[Outcome] = []
        self._developing: list[_Developing] = []
        self._words: dict[str, Words] = {}
        self._schedules: dict[tuple[int, float], Schedule] = {}
        self.rows = 0

    def run(self) -> Iterator[Outcome]:
        """Step until nothing is left; renders may be submitted and cancelled in between."""
        while self.busy:
            yield from self.step()

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._active or self._failed or self._developing)

    def step(self) -> list[Outcome]:
        """Denoise the chosen renders by one step each; returns those whose pictures are ready, and the failed."""
        chosen = self._choose()
        self.rows = sum(len(active.rows) for active in chosen)
        self._advance(chosen)
        self._arrays.pace()
        self._retire([active for active in chosen if active.done])
        ended, self._failed = [*self._failed, *self._collect()], []
        return ended

    def submit(self, render: Render) -> None:
        """Let a render join at the next step; one that does not fit the pack fails there, alone."""
        if render.id in self._active:
            raise RenderError(f"A render {render.id!r} is already under way. Give every render its own id.")
        try:
            self._active[render.id] = self._begin(render)
        except EngineError as error:
            self._failed.append(Outcome(render.id, None, str(error)))

    def promote(self, group: str) -> None:
        """Let a group's renders give way to nobody any more."""
        for active in self._active.values():
            if active.render.group == group and active.render.priority > 0:
                active.render = msgspec.structs.replace(active.render, priority=0)

    def cancel(self, render_id: str) -> None:
        """Forget a render; it takes no part in the next step. Unknown ids are ignored: it may just have ended."""
        self._active.pop(render_id, None)

    def _begin(self, render: Render) -> _Active:
        about = self._engines.pack.about
        if tuple(render.source.shape) != about.latents:
            raise RenderError(
                f"Render {render.id} has a source {tuple(render.source.shape)}; the pack draws {about.latents}."
            )
        if render.lora is not None:
            self._engines.loras.check(render.lora)
        strength = about.default_strength if render.strength is None else render.strength
        # A UNet that reads the photo beside the latents starts from noise alone.
        from_noise = about.family == "pix2pix"
        schedule = self._schedule(render.steps or about.default_steps, 1.0 if from_noise else strength)
        noises = np.random.Generator(np.random.PCG64(render.seed))
        noise = self._arrays.put(_noise(noises, about.latents))
        return _Active(
            render=render,
            rows=self._rows(render),
            table=schedule.table.astype(np.float32),
            noises=noises,
            latents=noise * schedule.start if from_noise else render.source * schedule.signal + noise * schedule.sigma,
            previous_x0=self._arrays.put(np.zeros(about.latents, np.float32)),
            spoiled=self._arrays.put(np.zeros((), np.float32)),
        )

    def _rows(self, render: Render) -> list[_Row]:
        """A render's rows; weights follow from writing its guidance as one weighted sum. They add up to 1."""
        default = self._engines.pack.about.default_guidance
        text = default if render.guidance is None else render.guidance
        photo = text if render.photo_guidance is None else render.photo_guidance
        words, source, someone = self._encoded(render.prompt), render.source, render.identity
        if text == 1.0 and photo == 1.0:
            return [_Row(words, source, someone, 1.0)]
        empty, nobody = self._encoded(render.negative_prompt), None if someone is None else self._engines.nobody
        if render.photo_guidance is None or photo == 1.0:
            rows = [_Row(words, source, someone, text), _Row(empty, source, nobody, 1 - text)]
        else:
            blank = self._arrays.xp.zeros_like(source)
            rows = [
                _Row(words, source, someone, text),
                _Row(empty, source, nobody, photo - text),
                _Row(empty, blank, nobody, 1 - photo),
            ]
        return [row for row in rows if row.weight != 0]

    def _encoded(self, prompt: str) -> Words:
        if prompt not in self._words:
            [self._words[prompt]] = self._engines.encode_prompts([prompt])
        return self._words[prompt]

    def _schedule(self, steps: int, strength: float) -> Schedule:
        if (steps, strength) not in self._schedules:
            self._schedules[steps, strength] = self._engines.schedule(steps, strength)
        return self._schedules[steps, strength]

    def _choose(self) -> list[_Active]:
        """Fill the batch: lower priority first, groups by turns, within a group the oldest render first.

        The oldest keep their places until they are done, so the first pictures come early; a render that
        needs more rows than the whole batch has gets it alone. One whose LoRA finds no free slot sits the step out.
        """
        chosen: list[_Active] = []
        slots: set[int] = set()
        room = self._max_rows
        for active in self._in_turn():
            if len(active.rows) > room and chosen:
                continue
            slot = self._engines.loras.take(active.render.lora, slots)
            if slot is None:
                continue
            active.lora_slot = slot
            slots.add(slot)
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

    def _advance(self, chosen: list[_Active]) -> None:
        """Predict and update; renders that make the engine fail are failed and left out."""
        if not chosen:
            return
        try:
            self._update(chosen, *self._predict(chosen))
        except DeviceFullError as error:
            self._make_room(chosen, error)
        except EngineError as error:
            if len(chosen) == 1:
                self._fail(chosen[0], str(error))
                return
            # One render spoils the batch: alone, each gets by or fails by itself.
            for active in chosen:
                self._advance([active])

    def _make_room(self, chosen: list[_Active], error: DeviceFullError) -> None:
        """From now on use half the rows; a render that does not fit alone fails."""
        rows = sum(len(active.rows) for active in chosen)
        if len(chosen) == 1:
            self._fail(chosen[0], str(error))
        else:
            self._max_rows = max(1, rows // 2)

    def _predict(self, chosen: list[_Active]) -> tuple[Array, Array]:
        """Each render's prediction [N, C, h, w], finite, and whether it had to be made so, 0 or 1 [N]."""
        rows = [(index, active, row) for index, active in enumerate(chosen) for row in active.rows]
        outputs = self._engines.predict(
            [
                UNetRow(
                    active.latents,
                    active.coefficients[0],
                    row.words,
                    row.source,
                    row.identity,
                    self._scale(active.render),
                    active.lora_slot,
                )
                for _, active, row in rows
            ]
        )
        xp, weights = self._arrays.xp, np.zeros((len(chosen), len(rows)), np.float32)
        for column, (index, _, row) in enumerate(rows):
            weights[index, column] = row.weight
        finite = self._arrays.cast(xp.isfinite(outputs).reshape(len(rows), -1).all(1), np.dtype(np.float32))
        # Zero times infinity would spread one row's failure to all.
        flat = xp.nan_to_num(outputs, nan=0.0, posinf=0.0, neginf=0.0).reshape(len(rows), -1)
        predictions = (self._arrays.put(weights) @ flat).reshape(len(chosen), *outputs.shape[1:])
        spoiled = self._arrays.put((weights != 0).astype(np.float32)) @ (1 - finite)
        return predictions, spoiled

    def _scale(self, render: Render) -> float:
        identity = self._engines.pack.about.identity
        if identity is None or render.identity is None:
            return 0.0
        return identity.scale if render.identity_scale is None else render.identity_scale

    def _update(self, moving: list[_Active], prediction: Array, spoiled: Array) -> None:
        """Advance all by the one expression of `schedule.py`, each with its own coefficients."""
        xp = self._arrays.xp
        x = xp.stack([active.latents for active in moving])
        previous = xp.stack([active.previous_x0 for active in moving])
        coefficients = np.stack([active.coefficients for active in moving])
        columns = self._arrays.put(coefficients.T[..., None, None, None])
        _, p, q, a, b, c, d = (columns[index] for index in range(7))
        x0, x = p * x + q * prediction, a * x + b * prediction + c * previous
        if coefficients[:, 6].any():
            x = x + d * self._arrays.put(np.stack([self._noise(active) for active in moving]))
        for index, active in enumerate(moving):
            active.latents, active.previous_x0 = x[index], x0[index]
            active.step += 1
            first = (active.spoiled == 0) & (spoiled[index] > 0)
            active.spoiled = xp.where(first, float(active.step), active.spoiled)

    def _noise(self, active: _Active) -> Floats:
        shape = self._engines.pack.about.latents
        return _noise(active.noises, shape) if active.coefficients[6] else np.zeros(shape, np.float32)

    def _retire(self, finished: list[_Active]) -> None:
        """Start to decode what is finished, in one batch."""
        if not finished:
            return
        for active in finished:
            del self._active[active.render.id]
        stack = self._arrays.xp.stack
        spoiled = self._arrays.aside(lambda: stack([active.spoiled for active in finished]))
        pictures = self._engines.decode(stack([active.latents for active in finished]))
        self._developing.append(_Developing(finished, pictures, spoiled))

    def _collect(self) -> list[Outcome]:
        """The outcomes of all batches that are decoded; with nothing else to do, waits for the first."""
        outcomes: list[Outcome] = []
        waiting, self._developing = self._developing, []
        for batch in waiting:
            if batch.pictures.ready() or not (self._active or outcomes or self._developing):
                outcomes += self._outcomes(batch)
            else:
                self._developing.append(batch)
        return outcomes

    def _outcomes(self, batch: _Developing) -> list[Outcome]:
        try:
            pictures, spoiled = batch.pictures.result(), batch.spoiled.result()
        except EngineError as error:
            if len(batch.finished) == 1:
                return [Outcome(batch.finished[0].render.id, None, str(error))]
            # One picture spoils the batch, or memory was short: alone, each gets by or fails by itself.
            for active in batch.finished:
                self._active[active.render.id] = active
                self._retire([active])
            return []
        return [
            self._outcome(active.render, picture, int(step))
            for active, picture, step in zip(batch.finished, pictures, spoiled, strict=True)
        ]

    def _outcome(self, render: Render, picture: NDArray[np.uint8], spoiled: int) -> Outcome:
        if spoiled:
            return Outcome(render.id, None, f"Render {render.id} became not a number at step {spoiled}.")
        return Outcome(render.id, picture)

    def _fail(self, active: _Active, reason: str) -> None:
        del self._active[active.render.id]
        self._failed.append(Outcome(active.render.id, None, reason))


def _noise(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Standard normal noise [C, h, w]."""
    return generator.standard_normal(shape, np.float32)
