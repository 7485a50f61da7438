"""Turned squares in a photo, and the pixels in them: what the face networks and the canonical crop are cut out with."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.photos.mipmap import Mipmap, Pixels

Matrix = NDArray[np.float64]


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


def cut_square(photo: Mipmap, square: Square, size: int) -> Pixels:
    """The square's upright copy, uint8 [size, size, 3]; outside the photo its border pixels repeat."""
    copy, shrunk = photo.at(square.side / size)
    matrix = square.matrix(size)
    matrix[:, :2] *= shrunk
    # OpenCV counts from the middle of the first pixel, the matrix from its corner.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    flags, border = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(copy, matrix, (size, size), flags=flags, borderMode=border), np.uint8)


def inside_photo(photo: Mipmap, square: Square, size: int) -> NDArray[np.bool_]:
    """Which pixels of the square's copy come from the photo itself, bool [size, size]."""
    back = cv2.invertAffineTransform(square.matrix(size))
    middles = np.arange(size) + 0.5
    x = back[0, 0] * middles + back[0, 1] * middles[:, None] + back[0, 2]
    y = back[1, 0] * middles + back[1, 1] * middles[:, None] + back[1, 2]
    width, height = photo.size
    return np.asarray((x >= 0.5) & (y >= 0.5) & (x <= width - 0.5) & (y <= height - 0.5))
