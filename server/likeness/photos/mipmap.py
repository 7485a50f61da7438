"""A photo at halved sizes, made when they are first asked for: cutting a small square out of a large photo is slow."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Mipmap:
    """A photo, uint8 [H, W, 3], and its halves, quarters and so on, each the mean of 2 x 2 pixels of the one before."""

    def __init__(self, rgb: Pixels) -> None:
        self._levels = [rgb]

    @property
    def size(self) -> tuple[int, int]:
        """The photo's width and height."""
        height, width = self._levels[0].shape[:2]
        return width, height

    def part(self, left: int, top: int, side: int) -> Mipmap:
        """A square of it, as far as the photo reaches."""
        return Mipmap(self._levels[0][top : top + side, left : left + side])

    def at(self, spacing: float) -> tuple[Pixels, int]:
        """The smallest copy dense enough for samples `spacing` photo pixels apart, and by how much it is shrunk."""
        level = 0
        while 2 ** (level + 1) <= spacing and min(self._level(level).shape[:2]) >= 2:
            level += 1
        return self._level(level), 2**level

    def _level(self, level: int) -> Pixels:
        while len(self._levels) <= level:
            last = self._levels[-1]
            height, width = (side // 2 for side in last.shape[:2])
            halved = cv2.resize(last[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
            self._levels.append(np.asarray(halved, np.uint8))
        return self._levels[level]
