"""Softening what lies outside a photo: shoulders and backdrop go on beyond its border, without streaks or a seam."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

# Standard deviations of the blurs to choose from, in shares of the side; which one, grows with the distance.
BLURS: Final = (0.004, 0.008, 0.016, 0.032, 0.064)
BLUR_PER_DISTANCE: Final = 0.35


def soften_outside(pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Blur what is not `inside` (bool [side, side]) of uint8 [side, side, 3], the more the further out it lies.

    Outside the photo, `pixels` repeat its border, as `cut_square` does it.
    """
    if inside.all():
        return pixels
    side = pixels.shape[0]
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3) / side
    softened = pixels.astype(np.float32)
    nearer = 0.0
    for blur in BLURS:
        blurred = cv2.GaussianBlur(pixels, (0, 0), blur * side, borderType=cv2.BORDER_REPLICATE)
        share = np.clip((distance * BLUR_PER_DISTANCE - nearer) / (blur - nearer), 0, 1)[..., None]
        softened += (blurred - softened) * share
        nearer = blur
    return np.asarray(softened + 0.5, np.uint8)
