"""Finding the same picture twice in a set, also resized, re-encoded or turned by a quarter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

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


class Thumbnail(msgspec.Struct, frozen=True):
    """A whole upright picture, to compare with others: uint8 [16, 16] luma as bytes, and its width over its height."""

    luma: Annotated[bytes, Meta(min_length=THUMBNAIL_SIDE**2, max_length=THUMBNAIL_SIDE**2)]
    shape: Annotated[float, Meta(gt=0)]


def make_thumbnail(rgb: NDArray[np.uint8], turns: int) -> Thumbnail:
    """Shrink uint8 [H, W, 3], made upright by that many counter-clockwise quarter turns."""
    upright = np.ascontiguousarray(np.rot90(rgb, turns))
    luma = cv2.cvtColor(upright, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(luma, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return Thumbnail(np.asarray(small, np.uint8).tobytes(), upright.shape[1] / upright.shape[0])


def find_duplicates(thumbnails: Mapping[int, Thumbnail]) -> dict[int, int]:
    """Map each photo that shows the same picture as an earlier one to the first that does."""
    firsts: list[int] = []
    duplicates: dict[int, int] = {}
    for index in sorted(thumbnails):
        same = (first for first in firsts if _is_same(thumbnails[first], thumbnails[index]))
        first = next(same, None)
        if first is None:
            firsts.append(index)
        else:
            duplicates[index] = first
    return duplicates


def _is_same(one: Thumbnail, other: Thumbnail) -> bool:
    if abs(np.log(one.shape / other.shape)) > MAX_SHAPE_DIFFERENCE:
        return False
    first, second = (np.frombuffer(each.luma, np.uint8).astype(np.float64) for each in (one, other))
    difference = np.sqrt(np.mean((first - second) ** 2))
    return bool(difference <= MAX_DIFFERENCE * first.std())
