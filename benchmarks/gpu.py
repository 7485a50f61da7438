"""How fast are thirty avatars of SD 1.5 and SDXL on this GPU, what do mixed LoRAs cost and step-level admission gain,
next to diffusers in the same run?

Full-size architectures with random weights, on which time does not depend; autoencoders in half precision, as SDXL's
fixed variant allows. Image-to-image at strength 1.0, so that every step counts; five styles, each with a LoRA of rank
16 on the attention projections. Seconds are the median of three, from photos and prompts to pixels on the host, after a
first time that compiles. The share is of the rate of one large matrix multiplication in the same run. A batch of
diffusers' has one LoRA, taken as merged. Needs the `torch` extra.

Cold, most of the time goes into torch.compile, which keeps its kernels on the disk for the next run. Without a GPU the
same code runs on tiny shapes, and says so.
"""

from __future__ import annotations

import argparse
import gc
import re
import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)
warnings.simplefilter("ignore")  # diffusers has much to say when it is imported without a GPU

import msgspec
import torch

from benchmarks.gpu_bench import Bench, Settings
from benchmarks.gpu_card import NO_GPU, describe, matrix_rate, say
from benchmarks.gpu_models import Model
from benchmarks.gpu_modules import DTYPES as MADE_IN
from benchmarks.gpu_shapes import FULL, TINY
from benchmarks.report import Figure, publish
from likeness_engines.backends.torch_plan import DTYPES, GPU_ROWS, Plan, best_device, best_plan

RESULTS: Final = Path(__file__).parent / "results"
GENERATIONS: Final = {"cuda": 20, "cpu": 2}
REPEATS: Final = {"cuda": 3, "cpu": 1}


def measure(names: list[str], plan: Plan, settings: Settings, *, identity: bool) -> list[Figure]:
    """The card's roof, then model by model, each gone before the next."""
    device = plan.device
    dtype = MADE_IN[device.type]
    rate = matrix_rate(device, dtype)
    figures = [Figure(f"one large matrix multiplication, {dtype}", rate / 1e12, "TFLOP/s", "higher")]
    shapes = FULL if device.type == "cuda" else TINY
    for name in names:
        with TemporaryDirectory(prefix="likeness-") as folder:
            figures += Bench(Model(shapes[name], plan, Path(folder), identity=identity), settings, rate).run()
        gc.collect()
        torch.compiler.reset()
    return figures


def make_plan(device: torch.device, precision: str | None, rows: int) -> Plan:
    """The backend's own for this device; on a CPU in the buckets of a GPU, so that their code runs."""
    if device.type == "cpu":
        return Plan(device, "fp32", rows, buckets=True, compiled=False)
    best = best_plan(device)
    return msgspec.structs.replace(best, rows=rows, precision=precision or best.precision)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=(*FULL, "all"), default="all")
    parser.add_argument("--precision", choices=tuple(DTYPES), help="the networks' (default: the GPU's best)")
    parser.add_argument("--rows", type=int, default=GPU_ROWS, help="the largest UNet batch (default 60)")
    parser.add_argument("--identity", action="store_true", help="ours with an IP-Adapter Plus and its face encoder")
    parser.add_argument("--repeats", type=int, help="how often each is timed (default 3)")
    parser.add_argument("--generations", type=int, help="how many arrive under load (default 20)")
    parser.add_argument("--diffusers-mode", default="default", help="torch.compile's mode for diffusers")
    parser.add_argument("--seconds-limit", type=float, default=float("inf"), metavar="N", help="begin no part after")
    parser.add_argument("--out", type=Path, help="the JSON (default: benchmarks/results/, without a GPU out/gpu.json)")
    return parser.parse_args()


def main() -> int:
    """Measure and publish."""
    arguments, device = _parse(), best_device()
    if device.type == "cpu":
        say(NO_GPU)
        torch.set_num_threads(1)  # so small networks only lose time when threads wait for each other
    card = describe(device)
    settings = Settings(
        arguments.repeats or REPEATS[device.type],
        arguments.generations or GENERATIONS[device.type],
        arguments.diffusers_mode,
        time.monotonic() + arguments.seconds_limit,
    )
    plan = make_plan(device, arguments.precision, arguments.rows)
    names = list(FULL) if arguments.model == "all" else [arguments.model]
    figures = measure(names, plan, settings, identity=arguments.identity)
    said = {
        **card,
        "precision": plan.precision,
        "rows": str(plan.rows),
        "identity adapter": "on" if arguments.identity else "off",
        "timed": f"{settings.repeats} times",
        "generations under load": str(settings.generations),
    }
    return publish("gpu", figures, said, arguments.out or _result(card, device))


def _result(card: dict[str, str], device: torch.device) -> Path | None:
    """One file a card and day, to be committed; what a CPU says is not kept there."""
    if device.type == "cpu":
        return None
    return RESULTS / f"gpu-{re.sub('[^a-z0-9]+', '-', card['card'].lower()).strip('-')}-{card['date']}.json"


if __name__ == "__main__":
    sys.exit(main())
