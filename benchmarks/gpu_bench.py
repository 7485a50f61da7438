"""One model's measurements, in the order of the table of `gpu.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np

from benchmarks.gpu_arrivals import first_step_wait, poisson, serve, warm_up
from benchmarks.gpu_card import describe, forget_peak, peak_gb, say
from benchmarks.gpu_diffusers import Baseline
from benchmarks.gpu_models import Case, Model
from benchmarks.gpu_modules import flops
from benchmarks.gpu_thirty import COUNT, STYLES, random_loras, seconds, thirty
from benchmarks.report import Figure


class Cases(NamedTuple):
    """The two ways in which the thirty are drawn."""

    guided: Case
    few: Case


CASES: Final = {
    "cuda": Cases(Case(20, 7.5, "DDIMScheduler"), Case(4, 1.0, "LCMScheduler")),
    "cpu": Cases(Case(6, 7.5, "DDIMScheduler"), Case(2, 1.0, "LCMScheduler")),
}
# Seconds for the thirty on one H200, in bfloat16: SD 1.5 at 512, SDXL at 1024.
GOALS_CARD: Final = "H200"
GOALS_S: Final = {("sd", 20): 2.6, ("sd", 4): 0.5, ("sdxl", 20): 16.0, ("sdxl", 4): 2.8}
# In percent; in step times; p95 of the first picture over that of whole generations; over diffusers compiled.
MIXING_COSTS, FIRST_STEP, P95, OVER_DIFFUSERS = 10.0, 1.0, 0.5, 1.0
# The two at which diffusers is measured.
EAGER, COMPILED = "eager", "compiled"
Better = Literal["lower", "higher"]


class Settings(msgspec.Struct, frozen=True):
    """How often each figure is taken, over how many generations, with which of torch.compile's modes for diffusers;
    `until` is the reading of `time.monotonic` from which on no part is begun.
    """

    repeats: int
    generations: int
    diffusers_mode: str
    until: float


class Bench:
    """Measures part by part. What a later part compares with is known by then, or the part is left out too."""

    def __init__(self, model: Model, settings: Settings, rate: float) -> None:
        self.figures: list[Figure] = []
        self._model, self._settings, self._rate = model, settings, rate
        self._loras = random_loras(model)
        self._thirty_s: dict[Case, float] = {}
        self._cases = CASES[model.device.type]
        self._on_gpu = model.device.type == "cuda"
        self._goals_s = GOALS_S if GOALS_CARD in describe(model.device)["card"] else {}

    def run(self) -> list[Figure]:
        """All parts. Ours come first, so that their peak of memory is theirs alone."""
        self._part("mixed", self._cases.guided, self._mixed)
        self._part("arrivals", self._cases.guided, self._arrivals)
        self._part("mixed", self._cases.few, self._mixed)
        for case in self._cases:
            self._part("merged", case, self._merged)
        for how in (EAGER, COMPILED):
            for case in self._cases:
                self._part(f"diffusers {how}", case, partial(self._diffusers, how=how))
        return self.figures

    def _part(self, name: str, case: Case, measure: Callable[[Case], None]) -> None:
        name = f"{self._model.shape.name}, {case.name}: {name}"
        if time.monotonic() >= self._settings.until:
            say(f"{name}: left out, the time is up")
        elif measure != self._mixed and case not in self._thirty_s:
            say(f"{name}: left out, there is nothing to compare with")
        else:
            say(name)
            measure(case)

    def _mixed(self, case: Case) -> None:
        model = self._model
        forget_peak(model.device)
        engines = model.engines(case)
        taken = self._seconds(lambda: thirty(engines, case, self._loras))
        self._thirty_s[case] = taken
        row, picture = flops(model.shape)
        work = COUNT * (case.rows * case.steps * row + picture)
        goal = self._goals_s.get((model.shape.family, case.steps))
        self._add(case, "thirty, five LoRAs mixed", taken, "s", goal=goal)
        self._add(case, "images a second", COUNT / taken, "1/s", better="higher")
        self._add(case, "share of the matrix rate", 100 * work / taken / self._rate, "%", better="higher")
        self._add(case, "peak memory until here", peak_gb(model.device), "GB")

    def _merged(self, case: Case) -> None:
        engines, none = self._model.merged_engines(case), [None] * STYLES
        merged = self._seconds(lambda: thirty(engines, case, none))
        batches = self._seconds(lambda: thirty(engines, case, none, batches=STYLES))
        self._add(case, "thirty, one LoRA merged", merged, "s")
        self._add(case, "mixing costs", 100 * (self._thirty_s[case] / merged - 1), "%", goal=MIXING_COSTS)
        self._add(case, "five batches of six, merged", batches, "s")
        self._add(case, "mixed, times as fast as those", batches / self._thirty_s[case], "x", better="higher")

    def _arrivals(self, case: Case) -> None:
        engines = self._model.engines(case)
        warm_up(engines, case, self._loras)
        wait = first_step_wait(engines, case, self._loras, self._model.device)
        self._add(case, "an arrival's first step begins after", wait, "steps", goal=FIRST_STEP)
        p95_s = {}
        for whole, name in ((False, "step by step"), (True, "whole")):
            coming = poisson(engines, case, self._loras, self._settings.generations, self._thirty_s[case])
            waits = serve(engines, coming, whole=whole)
            for which, times in (("first", [w.first_s for w in waits]), ("last", [w.last_s for w in waits])):
                for percent in (50, 95):
                    value = float(np.percentile(times, percent, method="inverted_cdf"))
                    p95_s[whole, which] = value
                    self._add(case, f"80% load, {name}, {which} picture, p{percent}", value, "s")
        for which, goal in (("first", P95), ("last", None)):
            ratio = p95_s[False, which] / p95_s[True, which]
            self._add(case, f"80% load, p95 of the {which}, over whole", ratio, "x", goal=goal)

    def _diffusers(self, case: Case, how: str) -> None:
        if how == COMPILED:
            self._baseline.compile(self._settings.diffusers_mode)
        taken = self._seconds(lambda: self._baseline.thirty(case))
        goal = OVER_DIFFUSERS if how == COMPILED else None
        self._add(case, f"five batches of six, diffusers {how}", taken, "s")
        times = taken / self._thirty_s[case]
        self._add(case, f"mixed, times as fast as diffusers {how}", times, "x", better="higher", goal=goal)

    @cached_property
    def _baseline(self) -> Baseline:
        return Baseline(self._model)

    def _seconds(self, work: Callable[[], None]) -> float:
        return seconds(work, self._model.device, self._settings.repeats)

    def _add(
        self, case: Case, name: str, value: float, unit: str, *, better: Better = "lower", goal: float | None = None
    ) -> None:
        """Goals are for GPUs."""
        title = f"{self._model.shape.name}, {case.name}: {name}"
        self.figures.append(Figure(title, value, unit, better, goal if self._on_gpu else None))
