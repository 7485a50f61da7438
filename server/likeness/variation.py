"""Applying a plan's variation to a photo's crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.plan import Variation

WARMTH = np.array([14, 2, -14], np.float32)


def vary(crop: NDArray[np.uint8], variation: Variation) -> NDArray[np.uint8]:
    """Zoom into, shift, mirror and warm a crop (uint8 HxWx3 RGB); never samples outside it."""
    if variation == Variation():
        return crop
    side = crop.shape[0]
    size = round(side / variation.zoom)
    left, top = (
        int(np.clip(round((side - size) / 2 + shift * side), 0, side - size))
        for shift in (variation.shift_x, variation.shift_y)
    )
    window = crop[top : top + size, left : left + size]
    zoomed = cv2.resize(window, (side, side), interpolation=cv2.INTER_CUBIC)
    mirrored = zoomed[:, ::-1] if variation.mirror else zoomed
    return np.asarray(np.clip(mirrored + variation.warmth * WARMTH, 0, 255), np.uint8)
