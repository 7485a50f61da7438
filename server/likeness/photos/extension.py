"""Softening what lies outside a photo: shoulders and backdrop go on beyond its border, without streaks or a seam."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

# The blur's standard deviation grows with the distance from the photo by this factor, up to that of the coarsest copy.
BLUR_PER_DISTANCE: Final = 0.35
COARSEST: Final = 8
# Of a picture that was halved k times by cv2.pyrDown, in pixels of the whole: 2 ** k times this, for k over 1.
PYRAMID_BLUR: Final = 0.58


def soften_outside(pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Blur what is not `inside` (bool [side, side]) of uint8 [side, side, 3], the more the further out it lies.

    Outside the photo, `pixels` repeat its border, as `cut_square` does it.
    """
    if inside.all():
        return pixels
    side = pixels.shape[0]
    wanted = BLUR_PER_DISTANCE * cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    softened, smaller, finer = pixels.astype(np.float32), pixels, 0.0
    while smaller.shape[0] > COARSEST:
        smaller = np.asarray(cv2.pyrDown(smaller), np.uint8)
        blur = PYRAMID_BLUR * side / smaller.shape[0]
        blurred = cv2.resize(smaller, (side, side), interpolation=cv2.INTER_LINEAR)
        softened += (blurred - softened) * np.clip((wanted - finer) / (blur - finer), 0, 1)[..., None]
        finer = blur
    return np.asarray(softened + 0.5, np.uint8)
