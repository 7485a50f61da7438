"""Not a benchmark: what drawing a generation takes of a worker, from step times, for `capacity.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks.report import Report
from likeness_engines import BackendOptions, Engines, Render, Renderer, bundled_pack, load_engines

ROWS: Final = (1, 2, 5, 10)
TIMES, PHOTOS, COUNT = 5, 5, 30
# The figure of a report that is the whole of thirty avatars, from photos to pixels.
THIRTY: Final = {"gpu": "thirty, five LoRAs mixed", "render": "thirty avatars, onnxruntime"}


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A generation: `avatars` renders of `rows` each, and `steps`; `step_s` is seconds of a step by the batch's rows.

    `encode_s` is a generation's, `decode_s` an avatar's; `serving` is how many times as long all of it takes served.
    """

    step_s: dict[int, float]
    steps: int
    rows: int
    avatars: int
    at_once: int
    encode_s: float = 0.0
    decode_s: float = 0.0
    serving: float = 1.0

    @property
    def room(self) -> int:
        """The most rows of a batch: what was measured."""
        return max(self.step_s)

    @property
    def full_s(self) -> float:
        """Seconds of a worker that a generation takes when the batch is as full as generations make it."""
        return self._seconds(min(self.room, self.at_once * self.avatars * self.rows))

    def shares(self, in_turn: int, giving_way: int) -> tuple[float, float]:
        """Generations a second that each gets done of those in turn, and of those that give way to them."""
        wanted = self.avatars * self.rows
        first = min(self.room, in_turn * wanted)
        rest = min(self.room - first, giving_way * wanted)
        if not first + rest:
            return 0.0, 0.0
        a_row = 1 / self._seconds(first + rest) / (first + rest)
        return first * a_row / max(1, in_turn), rest * a_row / max(1, giving_way)

    def _seconds(self, rows: int) -> float:
        sizes = sorted(self.step_s)
        step_s = float(np.interp(rows, sizes, [self.step_s[size] for size in sizes]))
        drawing_s = self.avatars * self.rows * self.steps * step_s / rows
        return self.serving * (drawing_s + self.encode_s + self.avatars * self.decode_s)


def measure(threads: int, **known: float) -> Work:
    """The bundled miniature on this CPU, through the real engines."""
    engines = load_engines(bundled_pack(), options=BackendOptions(threads))
    about, arrays = engines.pack.about, engines.arrays
    crops = np.random.default_rng(0).integers(0, 256, (PHOTOS, about.resolution, about.resolution, 3), np.uint8)
    latents = arrays.put(np.zeros((max(ROWS), *about.latents), np.float32))
    timed = {
        "step_s": {rows: _step_s(engines, rows) for rows in ROWS if rows <= engines.max_rows},
        "steps": about.default_steps,
        "rows": 1 if about.default_guidance == 1.0 else 2,
        "encode_s": _best_s(lambda: engines.encode_photos(crops)),
        "decode_s": _best_s(lambda: engines.decode(latents).result()) / max(ROWS),
    }
    return msgspec.convert({**timed, **known}, Work)


def read_report(path: Path, which: str, **known: float) -> tuple[Work, str]:
    """The work that a report of `gpu.py` or `render.py` says, and what was measured on which machine.

    Of the whole thirty nobody knows what sharing a batch would gain: taken as nothing.
    """
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise SystemExit(f"{path} is not a benchmark's JSON: {error}. Pass what gpu.py or render.py wrote.") from error
    if report.benchmark not in THIRTY:
        raise SystemExit(f"{path} is of {report.benchmark}.py. Pass what gpu.py or render.py wrote.")
    figures = [each for each in report.figures if THIRTY[report.benchmark] in each.name]
    chosen = [each for each in figures if which in each.name]
    if len(chosen) != 1:
        names = "; ".join(each.name for each in figures)
        raise SystemExit(f"{len(chosen)} figures of {path} match {which!r}. Pick one with --figure, of: {names}.")
    machine = report.settings.get("card", report.machine)
    work = msgspec.convert({"step_s": {1: chosen[0].value / COUNT}, "steps": 1, "rows": 1, **known}, Work)
    return work, f"{chosen[0].name}: {chosen[0].value:.4g} s on {machine}"


def parse_steps(text: str) -> dict[int, float]:
    """`8:12,60:55`, rows and milliseconds, in seconds."""
    pairs = (pair.split(":") for pair in text.split(","))
    steps = {int(rows): float(milliseconds) / 1000 for rows, milliseconds in pairs}
    if min(steps) < 1 or min(steps.values()) <= 0:
        raise ValueError(text)
    return steps


def _step_s(engines: Engines, rows: int) -> float:
    """A step of so many renders that need one row each; the first step, and the last, which decodes, do not count."""
    renderer = Renderer(engines, max_rows=rows)
    source = engines.arrays.put(np.zeros(engines.pack.about.latents, np.float32))
    for number in range(rows):
        renderer.submit(Render(id=str(number), source=source, prompt="", steps=TIMES + 2, guidance=1.0))
    renderer.step()
    return _best_s(renderer.step, warm=True)


def _best_s(work: Callable[[], object], *, warm: bool = False) -> float:
    """The best of several times, as `render.py` takes it: neighbours only ever add."""
    if not warm:
        work()
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
