"""Finding the same picture twice in a set, also resized, re-encoded or turned by a quarter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

import cv2
import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

THUMBNAIL_SIDE: Final = 16
# Root mean square of the difference over the contrast of the picture. Seen on portraits: up to 0.029 for copies of at
# least 110 pixels (JPEG of quality 40, AVIF, WebP; a third to twice the size), 0.036 where a resizer is half a pixel
# off; from 0.05 for a copy cropped by 1% or tilted by 1 degree, and from 0.041 where the head alone moves by 2%.
MAX_DIFFERENCE: Final = 0.037
# Rounding to whole pixels changes the shape of a small copy.
MAX_SHAPE_DIFFERENCE: Final = 0.02


class FileSize(NamedTuple):
    """A picture's pixels and bytes: of copies the one with the most pixels is used, among equals that with most bytes.

    Whoever saves a picture again at its size, as messengers do, saves bytes.
    """

    pixels: int
    byte_count: int


class Thumbnail(msgspec.Struct, frozen=True):
    """A whole upright picture, to compare with others: uint8 [16, 16] luma as bytes, and its width over its height."""

    luma: Annotated[bytes, Meta(min_length=THUMBNAIL_SIDE**2, max_length=THUMBNAIL_SIDE**2)]
    shape: Annotated[float, Meta(gt=0)]
    size: FileSize


def make_thumbnail(rgb: NDArray[np.uint8], turns: int, size: FileSize) -> Thumbnail:
    """Shrink uint8 [H, W, 3] of a file of that size, made upright by so many counter-clockwise quarter turns."""
    upright = np.ascontiguousarray(np.rot90(rgb, turns))
    luma = cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(luma, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return Thumbnail(np.asarray(small, np.uint8).tobytes(), upright.shape[1] / upright.shape[0], size)


def find_duplicates(thumbnails: Mapping[int, Thumbnail]) -> dict[int, int]:
    """Map each photo that is left out to the largest that shows the same picture, of equals the earliest."""
    kept: list[int] = []
    duplicates: dict[int, int] = {}
    for index in sorted(thumbnails, key=lambda index: thumbnails[index].size, reverse=True):
        same = (best for best in kept if _is_same(thumbnails[best], thumbnails[index]))
        best = next(same, None)
        if best is None:
            kept.append(index)
        else:
            duplicates[index] = best
    return duplicates


def _is_same(one: Thumbnail, other: Thumbnail) -> bool:
    if abs(np.log(one.shape / other.shape)) > MAX_SHAPE_DIFFERENCE:
        return False
    first, second = (np.frombuffer(each.luma, np.uint8).astype(np.float64) for each in (one, other))
    difference = np.sqrt(np.mean((first - second) ** 2))
    return bool(difference <= MAX_DIFFERENCE * first.std())
