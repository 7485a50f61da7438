"""The held-out people: portraits that training never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.photos import decode_photo
from miniature.dataset import HELD_OUT

FETCH = "clone https://github.com/Hainish/congress-images-225x275 and pass its folder of JPEGs"


def read_held_out(folder: Path, most: int | None = None) -> list[NDArray[np.uint8]]:
    """The portraits of the held-out people, uint8 [275, 225, 3] each; ends the program when one is missing."""
    names = HELD_OUT.read_text().split()[:most]
    missing = next((name for name in names if not (folder / name).exists()), None)
    if missing:
        raise SystemExit(f"{folder / missing} is missing: {FETCH}.")
    return [decode_photo((folder / name).read_bytes()) for name in names]
