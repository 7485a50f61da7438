"""Not a benchmark: drawing with a style's LoRA and without it, a part of `style_kit.py`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Figure
from benchmarks.server import say
from benchmarks.style_kit_packs import MODEL, make_data
from benchmarks.uploads import SEED, encode, five_pictures
from likeness.generation import Avatar, draw
from likeness.packs import load_catalogue
from likeness.photos import Crop, read_photos
from likeness.plan import PlannedRender, plan_renders
from likeness_engines import BackendOptions, Engines, bundled_pack, load_engines
from likeness_plugins import Catalogue, Style, style_from_folder

RENDERS: Final = 30
TOGETHER: Final = 10  # a full batch of the embedded default
MOST_PERCENT: Final = 10.0


class Easel(msgspec.Struct, frozen=True):
    """What everything is drawn with."""

    engines: Engines
    catalogue: Catalogue
    crops: list[Crop]


class Cost(msgspec.Struct, frozen=True):
    """Of some renders: seconds by the clock, and of this process's processor time."""

    clock_s: float
    processor_s: float


def measure_drawing(threads: int, turns: int) -> list[Figure]:
    """Thirty of one style without its LoRA, with it, and half of them with it: ten of each by turns, every ten
    gives a ratio. The goal is one of processor time: by the clock, busy neighbours change tens by a third.
    """
    with tempfile.TemporaryDirectory(prefix="likeness-styles-") as name:
        easel = _easel(threads)
        plain, adapted = _styles(Path(name))
        kinds = {"plain": [plain], "LoRA": [adapted], "half": [plain, adapted]}
        plans = {kind: _plan(easel, styles) for kind, styles in kinds.items()}
        _check_differs(*(_draw(easel, plans[kind][:TOGETHER])[1] for kind in ("plain", "LoRA")))
        costs: dict[str, list[Cost]] = {kind: [] for kind in plans}
        for turn in range(turns):
            say(f"thirty without a LoRA, with one, and half of them: turn {turn + 1} of {turns}")
            for first in range(0, RENDERS, TOGETHER):
                for kind in list(plans)[:: -1 if first // TOGETHER % 2 else 1]:
                    costs[kind].append(_draw(easel, plans[kind][first : first + TOGETHER])[0])
    figures = [
        Figure(
            "a render without a LoRA", 1000 * median(cost.clock_s for cost in costs["plain"]) / TOGETHER, "ms", "lower"
        ),
        Figure("a render with one", 1000 * median(cost.clock_s for cost in costs["LoRA"]) / TOGETHER, "ms", "lower"),
    ]
    for what, kind in (("a LoRA adds", "LoRA"), ("half of a batch with a LoRA adds", "half")):
        pairs = list(zip(costs[kind], costs["plain"], strict=True))
        clock = _added([(that.clock_s, bare.clock_s) for that, bare in pairs])
        processor = _added([(that.processor_s, bare.processor_s) for that, bare in pairs])
        figures += [
            Figure(f"{what}, processor time", processor, "%", "lower", MOST_PERCENT),
            Figure(f"{what}, by the clock", clock, "%", "lower"),
        ]
    return figures


def _plan(easel: Easel, styles: list[Style]) -> list[PlannedRender]:
    return plan_renders(styles, [crop.quality for crop in easel.crops], RENDERS, SEED)


def _added(pairs: Sequence[tuple[float, float]]) -> float:
    """The median, in per cent, of what the first of each pair is over the second."""
    return 100 * (median(that / bare for that, bare in pairs) - 1)


def _easel(threads: int) -> Easel:
    catalogue = load_catalogue()
    sources = [(f"{index}.jpg", encode(picture)) for index, picture in enumerate(five_pictures(None))]
    crops = read_photos(sources, catalogue.review_photo, lambda crops: catalogue.review_photos(crops, "local")).crops
    return Easel(load_engines(bundled_pack(), options=BackendOptions(threads)), catalogue, crops)


def _styles(folder: Path) -> tuple[Style, Style]:
    """A new style with a LoRA in its recipe, without it and with it."""
    adapted = style_from_folder(make_data("adapted", folder / "adapted", lora=True))
    recipe = msgspec.structs.replace(adapted.recipe(MODEL.family), lora=None)
    return msgspec.structs.replace(adapted, name="plain", recipes={MODEL.family: recipe}), adapted


def _draw(easel: Easel, plan: Sequence[PlannedRender]) -> tuple[Cost, NDArray[np.uint8]]:
    """What the renders cost, and the first of them."""
    began, used = time.perf_counter(), time.process_time()
    drawn = [each for each in draw(easel.engines, easel.catalogue, easel.crops, plan) if isinstance(each, Avatar)]
    cost = Cost(time.perf_counter() - began, time.process_time() - used)
    if len(drawn) != len(plan):
        raise SystemExit(f"Only {len(drawn)} of {len(plan)} avatars were drawn.")
    return cost, next(each.pixels for each in drawn if each.render == plan[0])


def _check_differs(plain: NDArray[np.uint8], adapted: NDArray[np.uint8]) -> None:
    if np.abs(plain.astype(np.float32) - adapted).mean() < 1:
        raise SystemExit("The LoRA changes nothing.")
