"""How many GPUs do 100 thousand and 10 million users a day need, what do they cost, and how long do users wait?

A day of the fleet is simulated by discrete events, an hour of warm-up before it: Poisson arrivals by an hourly curve;
the server's own queue (Plus at once, Lite after at most 15 minutes, 503 over the estimated wait); workers whose
generations share the batch. A generation is the unit, not its steps: those on a worker share it alike, as fast as its
steps were measured at so many rows (processor sharing; Kleinrock, Queueing Systems II, 1976). Wait is from accepted to
the first step. The answer is the smallest fleet, found by bisection, with which the p95 of each tier's wait keeps its
target in every hour, the worst included, and fewer than 0.1% are refused.

Of more users than `--slice`, a slice of the fleet with its share of the users is simulated, and multiplied: a slice
has a queue of its own, and one queue for all only shortens waits; a slice half as large is shown beside it. Beside the
simulated fleet stands the square-root estimate of Halfin and Whitt (1981), which lets nobody wait for the peak to pass.

Step times come from `--measured` (JSON of gpu.py or render.py), from `--step-ms`, or, without either, from a
measurement of the bundled miniature on this CPU in this run: then nothing is said about GPUs. What was not measured is
listed as assumed. Not counted: spare machines for failures, uploads and storage, a user's second generation.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

from benchmarks import capacity_plot
from benchmarks.capacity_demand import EVENING, Demand
from benchmarks.capacity_fleet import Answer, Question, answer, paid_hours, square_root_estimate
from benchmarks.capacity_work import Work, measure, parse_steps, read_report
from benchmarks.report import Figure, publish
from likeness.settings import Settings

NO_GPU = "no GPU was measured: the workers are this CPU's; for GPUs pass --measured or --step-ms"
DEFAULTS = Settings()
# Dollars an hour of a worker on CPU cores, as in serve.py, and of a GPU.
CPU_PRICE, GPU_PRICE = 0.10, 3.0


def figures_of(question: Question, found: Answer, unit: str, price: float, start_s: float) -> list[Figure]:
    """One scale's part of the table."""
    who, day, avatars = f"{found.users:,.0f} users", found.day, question.work.avatars
    hours = {"fixed": 24.0 * found.workers, "scaled": found.slices * paid_hours(found.opened, question.work, start_s)}
    figures = [
        Figure(f"{who}: {unit}", found.workers, "", "lower"),
        Figure(f"{who}: {unit}, square-root estimate", square_root_estimate(question, found.users), "", "lower"),
        *_waits(question, found, who),
        Figure(f"{who}: refused", 100 * day.refused, "%", "lower", 100 * question.refused),
        Figure(f"{who}: most waiting at once (queue_most)", found.slices * day.most_waiting, "", "lower"),
    ]
    for how, simulated in (("fixed", day), ("scaled", found.scaled)):
        cost = price * hours[how]
        drawn = found.slices * simulated.drawn * avatars
        figures += [
            Figure(f"{who}: {unit[:-1]} hours a day, {how}", hours[how], "h", "lower"),
            Figure(f"{who}: a day, {how}", cost, "$", "lower"),
            Figure(f"{who}: 1000 avatars, {how}", 1000 * cost / drawn, "$", "lower"),
        ]
    return figures


def _waits(question: Question, found: Answer, who: str) -> list[Figure]:
    figures = []
    for plus, tier, target in ((True, "Plus", question.plus_s), (False, "Lite", question.lite_s)):
        for day, how in ((found.day, "fixed"), (found.scaled, "scaled")):
            name = f"{who}: {tier} waits, p95 of the worst hour, {how}"
            figures.append(Figure(name, day.worst_p95(plus=plus), "s", "lower", target))
        if found.smaller:
            name = f"{who}: the same, fixed, in a slice half as large"
            figures.append(Figure(name, found.smaller.worst_p95(plus=plus), "s", "lower"))
        figures.append(Figure(f"{who}: {tier} accepted to done, p95", found.day.done_p95(plus=plus), "s", "lower"))
    return figures


def choose_work(arguments: argparse.Namespace) -> tuple[Work, str, str]:
    """What a generation takes, what a worker is called, and where the times come from."""
    known: dict[str, Any] = {"avatars": arguments.avatars, "at_once": arguments.at_once}
    known["serving"] = 1 + arguments.serving_adds / 100
    if arguments.measured:
        work, source = read_report(arguments.measured, arguments.figure, **known)
        return work, "GPUs" if "card" in source or work is None else "workers", source
    known |= {"steps": arguments.steps, "rows": arguments.rows}
    raise NotImplementedError
