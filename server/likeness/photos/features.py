"""Whether a face's eyes and mouth can be seen: the networks also believe faces behind stickers, and drawn ones."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.photos.canonical import canonical_square
from likeness.photos.face_networks import feature_templates
from likeness.photos.geometry import Square, cut_square
from likeness.photos.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE, Landmarks
from likeness.photos.mipmap import Mipmap

Grey = NDArray[np.float32]
SIDE: Final = 192
# The best correlation with a template, within so many pixels of where the landmarks say. On 44 people, every visible
# eye was at 0.47 or more and every mouth at 0.48; behind stickers with a pattern, eyes were under 0.45 and mouths under
# 0.40.
SHIFT: Final = 3
EYES_SEEN: Final = 0.46
MOUTH_SEEN: Final = 0.46
# A block whose grey values spread by less than this share of the face's has no skin in it, only paint. On the same
# people, paint took less than 0.1 of an uncovered part, and over 0.25 of one behind sunglasses, a mask or stickers.
FLAT: Final = 0.02
PAINTED: Final = 0.18
BLOCK: Final = 6
# Rows and columns of brows and nose, and of the mouth: what a headscarf leaves free.
EYES_PART: Final = (slice(68, 98), slice(60, 132))
MOUTH_PART: Final = (slice(110, 146), slice(72, 120))


class Visible(NamedTuple):
    """Which of a face's features can be seen; sunglasses or a mask alone leave one of them."""

    eyes: bool
    mouth: bool


def is_painted_over(photo: Mipmap, square: Square) -> bool:
    """Whether both the eyes' and the mouth's place in a canonical square are of even colours, as stickers are."""
    return min(_painted(_grey(photo, square))) > PAINTED


def eyes_likeness(photo: Mipmap, landmarks: Landmarks) -> float:
    """How well the better one of the eyes correlates with what eyes look like the right way up, -1..1."""
    square = canonical_square(landmarks)
    return _eyes(_grey(photo, square), landmarks, square.matrix(SIDE))


def look_at_features(photo: Mipmap, landmarks: Landmarks) -> Visible:
    """Compare eyes and mouth with what they look like, and look for paint."""
    square = canonical_square(landmarks)
    grey = _grey(photo, square)
    eyes_painted, mouth_painted = (share > PAINTED for share in _painted(grey))
    matrix = square.matrix(SIDE)
    return Visible(
        eyes=not eyes_painted and _eyes(grey, landmarks, matrix) >= EYES_SEEN,
        mouth=not mouth_painted and _mouth(grey, landmarks, matrix) >= MOUTH_SEEN,
    )


def _grey(photo: Mipmap, square: Square) -> Grey:
    return np.asarray(cv2.cvtColor(cut_square(photo, square, SIDE), cv2.COLOR_RGB2GRAY), np.float32)


def _painted(grey: Grey) -> list[float]:
    """The shares of blocks of one even colour around the eyes and around the mouth."""
    least = FLAT * float(grey[EYES_PART[0].start : MOUTH_PART[0].stop, EYES_PART[1]].std())
    shares = []
    for part in (grey[EYES_PART], grey[MOUTH_PART]):
        blocks = part.reshape(part.shape[0] // BLOCK, BLOCK, part.shape[1] // BLOCK, BLOCK)
        shares.append(float((blocks.std(axis=(1, 3)) < least).mean()))
    return shares


def _eyes(grey: Grey, landmarks: Landmarks, matrix: NDArray[np.float64]) -> float:
    """The better one of both; templates are of eyes that are left in the picture."""
    right, left = (matrix @ (*landmarks.middle(eye)[:2], 1) for eye in (RIGHT_EYE, LEFT_EYE))
    mirrored = np.ascontiguousarray(grey[:, ::-1])
    return max(_likeness(grey, right, "eye"), _likeness(mirrored, (SIDE - left[0], left[1]), "eye"))


def _mouth(grey: Grey, landmarks: Landmarks, matrix: NDArray[np.float64]) -> float:
    return _likeness(grey, matrix @ (*landmarks.middle(MOUTH)[:2], 1), "mouth")


def _likeness(grey: Grey, middle: NDArray[np.float64] | tuple[float, float], feature: str) -> float:
    """The highest correlation coefficient of any template near `middle` (x, y)."""
    templates = feature_templates()[feature]
    height, width = templates.shape[1:]
    size = width + 2 * SHIFT, height + 2 * SHIFT
    blurred = cv2.GaussianBlur(grey, (0, 0), 1.0)
    window = cv2.getRectSubPix(blurred, size, (float(middle[0]) - 0.5, float(middle[1]) - 0.5))
    if window.std() < 2:  # nothing to correlate with
        return 0.0
    return max(float(cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED).max()) for template in templates)
