"""The held-out people: portraits that training never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.photos import decode_photo
from miniature.dataset import HELD_OUT

FETCH = "clone https://github.com/Hainish/congress-images-225x275 and pass its folder of JPEGs"
FETCH_LARGE = "those of https://github.com/unitedstates/images that are at least 440 pixels wide"


def read_held_out(folder: Path, most: int | None = None, *, all_there: bool = True) -> list[NDArray[np.uint8]]:
    """The portraits of the held-out people, uint8 [H, W, 3] each; ends the program when one is missing, or all are."""
    names = HELD_OUT.read_text().split()[:most]
    found = [name for name in names if (folder / name).exists()]
    missing = [name for name in names if name not in found]
    if (missing and all_there) or not found:
        raise SystemExit(f"{folder / missing[0]} is missing: {FETCH if all_there else FETCH_LARGE}.")
    return [decode_photo((folder / name).read_bytes()) for name in found]
