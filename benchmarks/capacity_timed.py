"""Not a benchmark: where `capacity.py` has its step times from: a report, the command line, or this CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.capacity_work import Work
from benchmarks.report import Report
from likeness_engines import BackendOptions, Engines, Render, Renderer, bundled_pack, load_engines

ROWS: Final = (1, 2, 5, 10)
TIMES, PHOTOS, COUNT = 10, 5, 30
# The figure of a report that is the whole of thirty avatars, from photos to pixels.
THIRTY: Final = {"gpu": "thirty, five LoRAs mixed", "render": "thirty avatars, onnxruntime"}
# How a report of gpu.py begins to name its card when there was none.
NO_CARD: Final = "no GPU"


class Timed(NamedTuple):
    """What a generation takes, what one worker is, in the plural, and where the times come from."""

    work: Work
    unit: str
    source: str


def measure(threads: int, **known: Any) -> Timed:
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
    work = Work(**{**timed, **known})
    return Timed(work, "workers", f"{_told(work)}, the miniature on this CPU, threads {threads}")


def read_steps(text: str, **known: Any) -> Timed:
    """`8:12,60:55`, rows and milliseconds of a step."""
    try:
        pairs = (pair.split(":") for pair in text.split(","))
        step_s = {int(rows): float(milliseconds) / 1000 for rows, milliseconds in pairs}
    except ValueError as error:
        raise SystemExit(f"--step-ms is {text!r}. Give rows:milliseconds, as in 8:12,16:18,60:55.") from error
    if min(step_s) < 1 or min(step_s.values()) <= 0:
        raise SystemExit(f"--step-ms is {text!r}. Rows and milliseconds must be over 0.")
    work = Work(step_s=step_s, **known)
    return Timed(work, "GPUs", f"{_told(work)}, as given")


def read_report(path: Path, which: str, **known: Any) -> Timed:
    """A generation as a report of `gpu.py` or `render.py` has it.

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
    card = report.settings.get("card", NO_CARD)
    work = Work(step_s={1: chosen[0].value / COUNT}, steps=1, rows=1, **known)
    source = f"{chosen[0].name}: {chosen[0].value:.4g} s ({path.name}, {report.settings.get('card', report.machine)})"
    return Timed(work, "workers" if card.startswith(NO_CARD) else "GPUs", source)


def _told(work: Work) -> str:
    sizes = sorted(work.step_s)
    milliseconds = ", ".join(f"{1000 * work.step_s[rows]:.4g}" for rows in sizes)
    rest = f"encoding {1000 * work.encode_s:.4g} ms, decoding an avatar {1000 * work.decode_s:.4g} ms"
    return f"a step of {', '.join(map(str, sizes))} rows {milliseconds} ms; {rest}"


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
