"""Turned squares in a photo, and the pixels in them: what the face networks and the canonical crop are cut out with."""

from __future__ import annotations

from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
# Samples may lie this much further apart than pixels before the photo is averaged first, so that nothing aliases.
DENSE: Final = 1.5


class Square(msgspec.Struct, frozen=True):
    """A square in a photo: centre and side in pixels, and its clockwise tilt in degrees, -180..180."""

    x: float
    y: float
    side: float
    tilt: float = 0.0

    def matrix(self, size: int) -> Matrix:
        """The 2x3 affine matrix from photo pixels to those of the square's upright copy of `size` x `size`."""
        scale, angle = size / self.side, np.radians(self.tilt)
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        return np.array(
            [
                [cos, sin, size / 2 - cos * self.x - sin * self.y],
                [-sin, cos, size / 2 + sin * self.x - cos * self.y],
            ]
        )


def cut_square(rgb: Pixels, square: Square, size: int) -> Pixels:
    """The square's upright copy, uint8 [size, size, 3]; outside the photo its border pixels repeat."""
    matrix = square.matrix(size)
    region, left, top = _surroundings(rgb, square)
    shrink = min(1.0, DENSE * size / square.side)
    if shrink < 1.0:
        width, height = (max(1, round(side * shrink)) for side in (region.shape[1], region.shape[0]))
        matrix = matrix @ _scaling(region.shape[1] / width, region.shape[0] / height, left, top)
        region = np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    else:
        matrix = matrix @ _scaling(1.0, 1.0, left, top)
    # OpenCV counts from the middle of the first pixel, the matrix from its corner.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    flags = cv2.INTER_CUBIC
    return np.asarray(
        cv2.warpAffine(region, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def inside_photo(rgb: Pixels, square: Square, size: int) -> NDArray[np.bool_]:
    """Which pixels of the square's copy come from the photo itself, bool [size, size]."""
    back = cv2.invertAffineTransform(square.matrix(size))
    middles = np.arange(size) + 0.5
    x = back[0, 0] * middles + back[0, 1] * middles[:, None] + back[0, 2]
    y = back[1, 0] * middles + back[1, 1] * middles[:, None] + back[1, 2]
    height, width = rgb.shape[:2]
    return np.asarray((x >= 0.5) & (y >= 0.5) & (x <= width - 0.5) & (y <= height - 0.5))


def _surroundings(rgb: Pixels, square: Square) -> tuple[Pixels, int, int]:
    """The part of the photo that the square needs, at least one pixel, and where it begins: resampling all is slow."""
    height, width = rgb.shape[:2]
    angle = np.radians(square.tilt)
    reach = square.side / 2 * (abs(np.cos(angle)) + abs(np.sin(angle))) + 2 + 2 * square.side / 256
    left, right = (int(np.clip(square.x + way * reach, 0, width)) for way in (-1, 1))
    top, bottom = (int(np.clip(square.y + way * reach, 0, height)) for way in (-1, 1))
    left, top = min(left, width - 1), min(top, height - 1)
    return rgb[top : max(bottom, top + 1), left : max(right, left + 1)], left, top


def _scaling(x: float, y: float, left: int, top: int) -> Matrix:
    """From pixels of a shrunk region to those of the photo, 3x3."""
    return np.array([[x, 0, left], [0, y, top], [0, 0, 1.0]])
