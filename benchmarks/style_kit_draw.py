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
from likeness.plan import plan_renders
from likeness_engines import BackendOptions, Engines, bundled_pack, load_engines
from likeness_plugins import Catalogue, Style, style_from_folder

RENDERS: Final = 30
MOST_PERCENT: Final = 10.0


class Easel(msgspec.Struct, frozen=True):
    """What everything is drawn with."""

    engines: Engines
    catalogue: Catalogue
    crops: list[Crop]


def measure_drawing(threads: int, turns: int) -> list[Figure]:
    """Thirty of one style without its LoRA, with it, and half of them with it, by turns; each turn gives a ratio."""
    with tempfile.TemporaryDirectory(prefix="likeness-styles-") as name:
        easel = _easel(threads)
        plain, adapted = _styles(Path(name))
        kinds = {"plain": [plain], "LoRA": [adapted], "half": [plain, adapted]}
        _check_differs(*(_draw(easel, styles)[1] for styles in (kinds["plain"], kinds["LoRA"])))
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for turn in range(turns):
            say(f"thirty without a LoRA, with one, and half of them: turn {turn + 1} of {turns}")
            for kind in list(kinds)[:: -1 if turn % 2 else 1]:
                seconds[kind].append(_draw(easel, kinds[kind])[0])
    return [
        Figure("a render without a LoRA", 1000 * median(seconds["plain"]) / RENDERS, "ms", "lower"),
        Figure("a render with one", 1000 * median(seconds["LoRA"]) / RENDERS, "ms", "lower"),
        Figure("a LoRA adds", _added(seconds["LoRA"], seconds["plain"]), "%", "lower", MOST_PERCENT),
        Figure(
            "half of a batch with a LoRA adds", _added(seconds["half"], seconds["plain"]), "%", "lower", MOST_PERCENT
        ),
    ]


def _added(those: Sequence[float], bare: Sequence[float]) -> float:
    return 100 * (median(one / other for one, other in zip(those, bare, strict=True)) - 1)


def _easel(threads: int) -> Easel:
    catalogue = load_catalogue()
    sources = [(f"{index}.jpg", encode(picture)) for index, picture in enumerate(five_pictures(None))]
    crops = read_photos(sources, catalogue.review_photo, lambda crops: catalogue.review_photos(crops, "local"))
    return Easel(load_engines(bundled_pack(), options=BackendOptions(threads)), catalogue, crops)


def _styles(folder: Path) -> tuple[Style, Style]:
    """A new style with a LoRA in its recipe, without it and with it."""
    adapted = style_from_folder(make_data("adapted", folder / "adapted", lora=True))
    recipe = msgspec.structs.replace(adapted.recipe(MODEL.family), lora=None)
    return msgspec.structs.replace(adapted, name="plain", recipes={MODEL.family: recipe}), adapted


def _draw(easel: Easel, styles: list[Style]) -> tuple[float, NDArray[np.uint8]]:
    """Seconds for the thirty, and the first of them."""
    began = time.perf_counter()
    plan = plan_renders(styles, [crop.quality for crop in easel.crops], RENDERS, SEED)
    drawn = [each for each in draw(easel.engines, easel.catalogue, easel.crops, plan) if isinstance(each, Avatar)]
    passed = time.perf_counter() - began
    if len(drawn) != RENDERS:
        raise SystemExit(f"Only {len(drawn)} of {RENDERS} avatars were drawn.")
    return passed, next(each.pixels for each in drawn if each.render.index == 0)


def _check_differs(plain: NDArray[np.uint8], adapted: NDArray[np.uint8]) -> None:
    if np.abs(plain.astype(np.float32) - adapted).mean() < 1:
        raise SystemExit("The LoRA changes nothing.")
