"""Pictures in and out of the networks' format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_network(pixels: NDArray[np.uint8], fold: int) -> NDArray[np.float32]:
    """uint8 [N, H, W, 3] -> float32 [N, 3 * fold^2, H / fold, W / fold] in -1..1, ordered like torch's
    pixel_unshuffle.
    """
    count, height, width, channels = pixels.shape
    cells = pixels.reshape(count, height // fold, fold, width // fold, fold, channels).transpose(0, 5, 2, 4, 1, 3)
    folded = cells.reshape(count, channels * fold**2, height // fold, width // fold)
    return folded.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_pixels(folded: NDArray[np.float32], fold: int) -> NDArray[np.uint8]:
    """float [N, 3 * fold^2, h, w] in about -1..1 -> uint8 [N, h * fold, w * fold, 3]; the inverse of `to_network`."""
    count, channels, height, width = folded.shape
    levels = np.rint((np.clip(folded, -1, 1) + 1) * 127.5).astype(np.uint8)
    cells = levels.reshape(count, channels // fold**2, fold, fold, height, width).transpose(0, 4, 2, 5, 3, 1)
    return np.asarray(cells.reshape(count, height * fold, width * fold, channels // fold**2))
