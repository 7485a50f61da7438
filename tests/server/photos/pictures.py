"""Photos of the astronaut (Eileen Collins; public domain), spoilt in the ways that users' photos are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
# Where her eyes and mouth are in `skimage.data.astronaut()`, and how far apart the eyes.
RIGHT_EYE, LEFT_EYE, MOUTH = (202, 103), (250, 103), (229, 158)
MIDDLE = (226, 128)
EYES = 48


def disc(photo: Pixels, middle: tuple[int, int], radius: float, colour: tuple[int, int, int]) -> Pixels:
    """A round sticker."""
    covered = photo.copy()
    cv2.circle(covered, middle, round(radius), colour, -1, cv2.LINE_AA)
    return covered


def sunglasses(photo: Pixels) -> Pixels:
    """Black ones."""
    for eye in (RIGHT_EYE, LEFT_EYE):
        photo = disc(photo, eye, 0.42 * EYES, (15, 15, 18))
    return photo


def mask(photo: Pixels) -> Pixels:
    """A medical mask from nose to chin."""
    covered = photo.copy()
    outline = np.array([(190, 133), (226, 124), (262, 133), (258, 170), (226, 188), (196, 170)], np.int32)
    cv2.fillPoly(covered, [outline], (150, 190, 215), cv2.LINE_AA)
    return covered


def stickers(photo: Pixels) -> Pixels:
    """One on each eye and one on the mouth."""
    for middle, radius in ((RIGHT_EYE, 0.45), (LEFT_EYE, 0.45), (MOUTH, 0.6)):
        photo = disc(photo, middle, radius * EYES, (220, 60, 120))
    return photo


def smiley(photo: Pixels) -> Pixels:
    """A drawn face over the face."""
    radius = 1.3 * EYES
    photo = disc(photo, MIDDLE, radius, (250, 210, 60))
    for side in (-1, 1):
        spot = round(MIDDLE[0] + side * 0.35 * radius), round(MIDDLE[1] - 0.25 * radius)
        photo = disc(photo, spot, 0.12 * radius, (60, 40, 10))
    cv2.ellipse(photo, MIDDLE, (round(0.5 * radius), round(0.4 * radius)), 0, 20, 160, (60, 40, 10), 5, cv2.LINE_AA)
    return photo


def tilted(photo: Pixels, degrees: float) -> Pixels:
    """Turned clockwise around the face; what comes into view repeats the border."""
    matrix = cv2.getRotationMatrix2D(MIDDLE, -degrees, 1.0)
    turned = cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def tight(photo: Pixels, share: float) -> Pixels:
    """A selfie in portrait format whose face takes that share of the width."""
    width = round(2.4 * EYES / share)
    left, top = MIDDLE[0] - width // 2, max(0, MIDDLE[1] - round(0.6 * width))
    return np.ascontiguousarray(photo[top : top + width * 4 // 3, max(0, left) : left + width])


def beside(photo: Pixels, share: float) -> Pixels:
    """Two of her, the second one's face that share of the first one's width."""
    small = np.asarray(cv2.resize(photo, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)
    both = np.full((photo.shape[0], photo.shape[1] + small.shape[1], 3), 200, np.uint8)
    both[:, : photo.shape[1]] = photo
    both[-small.shape[0] :, photo.shape[1] :] = small
    return both


def far(photo: Pixels, share: float) -> Pixels:
    """Her face as that share of the width of a larger picture."""
    side = round(2.4 * EYES / share * 0.5)
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    wide = np.full((side, side, 3), 128, np.uint8)
    wide[side // 3 : side // 3 + 256, side // 4 : side // 4 + 256] = small
    return wide
