"""Who comes while others are drawn: how soon a generation's first step begins, and what users wait under load when
renders join at any step, against whole generations that join when those before are done.

The renderer really runs; the clock is the time that its calls took, and jumps to the next arrival when it has nothing
to do, so that no one sleeps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch

from benchmarks.gpu_card import now
from benchmarks.gpu_models import Case
from benchmarks.gpu_thirty import COUNT, Sources, draw, render
from likeness_engines import Engines, Lora, Render, Renderer
from likeness_engines.backends.row_buckets import bucket_sizes

LOAD: Final = 0.8
STEPS_TIMED: Final = 2


class Generation(NamedTuple):
    """Thirty renders that come together, and when, in seconds."""

    at: float
    renders: list[Render]


class Wait(NamedTuple):
    """From a generation's arrival to its first picture and to its last, in seconds."""

    first_s: float
    last_s: float


def first_step_wait(engines: Engines, case: Case, loras: Sequence[Lora], device: torch.device) -> float:
    """From the arrival of thirty renders amid thirty others until the first step with them begins, in step times."""
    sources = Sources(engines)
    renderer = Renderer(engines)
    renders = [render(case, sources, loras, number, group=str(number // COUNT)) for number in range(2 * COUNT)]
    for each in renders[:COUNT]:
        renderer.submit(each)
    renderer.step()
    began = now(device)
    for _ in range(STEPS_TIMED):
        renderer.step()
    step_s = (now(device) - began) / STEPS_TIMED
    renderer.step()  # under way when the others arrive
    arrived = time.perf_counter()
    for each in renders[COUNT:]:
        renderer.submit(each)
    renderer.step()  # generations take turns: half the rows are theirs
    return max(0.0, (now(device) - arrived) / step_s - 1)


def warm_up(engines: Engines, case: Case, loras: Sequence[Lora]) -> None:
    """A step in every bucket, and so many pictures decoded: under load, the rows are any number."""
    sources = Sources(engines)
    for rows in bucket_sizes(engines.max_rows):
        renders = [render(case, sources, loras, number, steps=1) for number in range(max(1, rows // case.rows))]
        draw(engines, renders)


def poisson(engines: Engines, case: Case, loras: Sequence[Lora], count: int, thirty_s: float) -> list[Generation]:
    """Generations at random moments, so often that they are `LOAD` of what one after the other takes."""
    random, sources, at, generations = np.random.default_rng(1), Sources(engines), 0.0, []
    for name in range(count):
        at += random.exponential(thirty_s / LOAD)
        numbers = range(name * COUNT, (name + 1) * COUNT)
        renders = [render(case, sources, loras, number, group=str(name)) for number in numbers]
        generations.append(Generation(at, renders))
    return generations


def serve(engines: Engines, generations: Sequence[Generation], *, whole: bool) -> list[Wait]:
    """Draw them all as they come; `whole`: the next one only once those before are done."""
    renderer, coming, clock = Renderer(engines), deque(generations), 0.0
    ended_at: dict[str, float] = {}
    while coming or renderer.busy:
        if coming and not renderer.busy:
            clock = max(clock, coming[0].at)
        began = time.perf_counter()
        while coming and coming[0].at <= clock and not (whole and renderer.busy):
            for each in coming.popleft().renders:
                renderer.submit(each)
        ended = renderer.step()
        clock += time.perf_counter() - began
        for outcome in ended:
            if outcome.pixels is None:
                raise SystemExit(f"A render failed: {outcome.error}")
            ended_at[outcome.id] = clock
    times = [(each.at, [ended_at[one.id] for one in each.renders]) for each in generations]
    return [Wait(min(ends) - at, max(ends) - at) for at, ends in times]
