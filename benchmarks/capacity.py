"""How many GPUs do 100 thousand and 10 million users a day need, what do they cost, and how long do users wait?

A day of the fleet is simulated by discrete events, an hour of warm-up before it: Poisson arrivals by an hourly curve;
the server's own queue (Plus at once, Lite after at most 15 minutes, 503 over the estimated wait); workers whose
generations share the batch. A generation is the unit, not its steps: those on a worker share it alike, as fast as its
steps were measured at so many rows (processor sharing; Kleinrock, Queueing Systems II, 1976). Wait is from accepted to
the first step. The answer is the smallest fleet, found by bisection, with which the p95 of each tier's wait keeps its
target in every hour, the worst included, and fewer than 0.1% are refused.

Of more users than `--slice`, a slice of the fleet with its share of the users is simulated, and multiplied. A slice has
a queue of its own, so that the whole with one queue needs no more: what slices half as large would ask for stands
beside it. So does the square-root estimate of Halfin and Whitt (1981), in which nobody can wait for the peak to pass.
Scaled by the hour, each hour has its share of the fleet, known a day ahead, and a margin of the same square root.

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
from benchmarks.capacity_demand import Demand
from benchmarks.capacity_fleet import Question, answer
from benchmarks.capacity_options import CPU_PRICE, GPU_PRICE, STEPS, assumptions, parse
from benchmarks.capacity_table import figures_of
from benchmarks.capacity_timed import Timed, measure, read_report, read_steps
from benchmarks.report import publish

NO_GPU = "not measured, so nothing is said about them: pass --measured or --step-ms"


def choose(arguments: argparse.Namespace) -> tuple[Timed, list[str]]:
    """The step times, and what was assumed about a generation."""
    known: dict[str, Any] = {"avatars": arguments.avatars, "at_once": arguments.at_once}
    known["serving"] = 1 + arguments.serving_adds / 100
    if arguments.measured:
        return read_report(arguments.measured, arguments.figure, **known), []
    if not arguments.step_ms:
        steps = {"steps": arguments.steps} if arguments.steps else {}
        return measure(arguments.threads, **steps, **known), []
    known |= {"steps": arguments.steps or STEPS, "rows": arguments.rows}
    known |= {"encode_s": arguments.encode_ms / 1000, "decode_s": arguments.decode_ms / 1000}
    assumed = [f"{known['steps']} steps, {arguments.rows} rows a render"]
    return read_steps(arguments.step_ms, **known), assumed


def main() -> int:
    """Simulate, draw the picture, and publish."""
    arguments, load = parse(__doc__ or ""), f"{os.getloadavg()[0]:.1f}"
    (work, unit, source), assumed = choose(arguments)
    price = arguments.price_per_hour or (GPU_PRICE if unit == "GPUs" else CPU_PRICE)
    assumed += assumptions(arguments, price)
    question = Question(
        demand=Demand(
            curve=arguments.curve,
            zones=arguments.zones,
            generating=arguments.generating / 100,
            plus=arguments.plus / 100,
            seed=arguments.seed,
        ),
        work=work,
        plus_s=arguments.plus_s,
        lite_s=arguments.lite_s,
        wait_most_s=arguments.wait_most_s,
    )
    answers = [answer(question, users, arguments.slice) for users in arguments.users]
    figures = [figure for found in answers for figure in figures_of(question, found, unit, price, arguments.start_s)]
    settings = {
        "times": source,
        "a generation": f"{work.full_s:.4g} s of a worker",
        "assumed": "; ".join(assumed),
        "load before": load,
        "picture": str(arguments.plot),
    }
    if unit != "GPUs":
        settings["GPUs"] = NO_GPU
    notes = [f"{name}: {settings[name]}" for name in ("times", "assumed", "GPUs") if name in settings]
    capacity_plot.draw(question, answers, unit, notes, arguments.plot)
    return publish("capacity", figures, settings, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
