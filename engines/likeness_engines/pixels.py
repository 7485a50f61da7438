"""Pictures in and out of the networks' formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from likeness_engines.backends.base import Array, Arrays
    from likeness_engines.pack import Identity


def to_network(pixels: NDArray[np.uint8], fold: int) -> NDArray[np.float32]:
    """uint8 [N, H, W, 3] -> float32 [N, 3 * fold^2, H / fold, W / fold] in -1..1, ordered like torch's
    pixel_unshuffle.
    """
    count, height, width, channels = pixels.shape
    cells = pixels.reshape(count, height // fold, fold, width // fold, fold, channels).transpose(0, 5, 2, 4, 1, 3)
    folded = cells.reshape(count, channels * fold**2, height // fold, width // fold)
    return folded.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_pixels(arrays: Arrays, folded: Array, fold: int) -> Array:
    """float [N, 3 * fold^2, h, w] in about -1..1 -> uint8 [N, h * fold, w * fold, 3]; the inverse of `to_network`."""
    xp = arrays.xp
    count, channels, height, width = folded.shape
    levels = arrays.cast(xp.round((xp.clip(folded, -1, 1) + 1) * 127.5), np.dtype(np.uint8))
    cells = levels.reshape(count, channels // fold**2, fold, fold, height, width)
    rows = xp.moveaxis(cells, (0, 4, 2, 5, 3, 1), (0, 1, 2, 3, 4, 5))
    return rows.reshape(count, height * fold, width * fold, channels // fold**2)


def to_face_encoder(pixels: NDArray[np.uint8], identity: Identity) -> NDArray[np.float32]:
    """uint8 [N, R, R, 3] -> float32 [N, 3, S, S], resized as CLIP's own preprocessor does, and normalised."""
    size = (identity.side, identity.side)
    small = [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in pixels]
    mean, std = np.array(identity.mean, np.float32), np.array(identity.std, np.float32)
    normalised = (np.stack(small).astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


def resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Square pictures uint8 [N, H, H, 3] -> [N, side, side, 3]."""
    if pixels.shape[1] == side:
        return pixels
    return np.stack([np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.LANCZOS)) for p in pixels])
