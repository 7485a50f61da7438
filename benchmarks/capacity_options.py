"""Not a benchmark: the options of `capacity.py`, and what they assume."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.capacity_demand import EVENING
from likeness.records.queue import LITE_WAITS_S
from likeness.settings import Settings

DEFAULTS = Settings()
# Dollars an hour of a worker on CPU cores, as in serve.py, and of a GPU.
CPU_PRICE, GPU_PRICE = 0.10, 3.0
# A render's, with --step-ms: of SD 1.5 and SDXL with guidance.
STEPS = 20


def assumptions(arguments: argparse.Namespace, price: float) -> list[str]:
    """Everything that nobody measured, in words."""
    curve = "evening peak" if arguments.curve == list(EVENING) else "as given"
    return [
        f"arrivals by the hour: {curve}; zones {','.join(f'{h:g}:{s:g}' for h, s in arguments.zones)}",
        f"{arguments.generating:g}% of users generate, once",
        f"{arguments.plus:g}% of them Plus",
        f"serving adds {arguments.serving_adds:g}%",
        f"${price:g} a worker hour",
        f"{arguments.start_s:g} s from ordering a worker to its first step",
    ]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _curve(text: str) -> list[float]:
    numbers = _numbers(text)
    if len(numbers) != 24 or min(numbers) < 0 or not sum(numbers):
        raise argparse.ArgumentTypeError("give 24 numbers, one for each hour, none negative")
    return numbers


def _zones(text: str) -> list[tuple[float, float]]:
    zones = [tuple(float(number) for number in part.split(":")) for part in text.split(",")]
    if any(len(zone) != 2 or zone[1] <= 0 for zone in zones):
        raise argparse.ArgumentTypeError("give hours:share, as in -8:0.3,0:0.4,8:0.3")
    return [(hours, share) for hours, share in zones]


def parse(question: str) -> argparse.Namespace:
    """Read the command line; `question` is the benchmark's."""
    parser = argparse.ArgumentParser(description=question, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("--users", type=_numbers, default=[1e5, 1e7], metavar="N,N", help="users a day (default 100000,10000000)")
    option("--generating", type=float, default=100, metavar="PERCENT", help="of them generate on a day (default 100)")
    option("--plus", type=float, default=20, metavar="PERCENT", help="of those are Plus (default 20)")
    option("--curve", type=_curve, default=list(EVENING), metavar="N,...", help="24 numbers, from 0:00, in any unit")
    option(
        "--zones",
        type=_zones,
        default=[(0, 1)],
        metavar="H:SHARE,...",
        help="users by hours ahead of the server: --zones=-8:1,0:2",
    )
    times = parser.add_mutually_exclusive_group()
    times.add_argument("--measured", type=Path, metavar="FILE", help="JSON of gpu.py or render.py")
    times.add_argument("--step-ms", metavar="ROWS:MS,...", help="step times; the most rows are a worker's limit")
    option("--figure", default="", metavar="TEXT", help="which of the figures of --measured, by a part of its name")
    option("--encode-ms", type=float, metavar="MS", help="with --step-ms: encoding a generation's photos and prompts")
    option("--decode-ms", type=float, metavar="MS", help="with --step-ms: decoding an avatar")
    option("--threads", type=int, default=2, help="of the miniature, when neither is given (default 2)")
    option("--steps", type=int, help=f"a render (default: the miniature's own; with --step-ms {STEPS})")
    option("--rows", type=int, default=2, help="a render, with --step-ms: 2 with guidance (default 2)")
    option("--avatars", type=int, default=DEFAULTS.avatars, help="a generation (default 30)")
    option("--at-once", type=int, default=DEFAULTS.generations_at_once, help="generations a worker (default 4)")
    option("--serving-adds", type=float, default=10, metavar="PERCENT", help="over bare drawing (default 10)")
    option(
        "--price-per-hour",
        type=float,
        metavar="DOLLARS",
        help=f"a worker (default: GPU {GPU_PRICE:g}, else {CPU_PRICE:g})",
    )
    option("--start-s", type=float, default=300, metavar="S", help="from ordering a worker to its step (default 300)")
    option("--plus-s", type=float, default=60, metavar="S", help="target of Plus p95 waits (default 60)")
    option("--lite-s", type=float, default=LITE_WAITS_S, metavar="S", help="the same of Lite (default 900)")
    option("--wait-most-s", type=float, default=DEFAULTS.wait_most_s, metavar="S", help="503 over it (default 2700)")
    option(
        "--slice",
        type=float,
        default=300_000,
        metavar="N",
        help="most users simulated; more are slower and finer (default 300000)",
    )
    option("--seed", type=int, default=1)
    option("--plot", type=Path, default=Path("out/capacity.svg"), help="the picture (default out/capacity.svg)")
    option("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.step_ms and (arguments.encode_ms is None or arguments.decode_ms is None):
        parser.error("--step-ms needs --encode-ms and --decode-ms: they take a worker's time too")
    if min(arguments.users) < 1 or not 0 < arguments.generating <= 100 or not 0 <= arguments.plus <= 100:
        parser.error("--users must be at least 1, --generating and --plus percentages, --generating over 0")
    return arguments
