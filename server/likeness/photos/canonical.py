"""Where the canonical crop lies: eyes level and at fixed places, the face half as wide as the crop."""

from __future__ import annotations

from typing import Final

import numpy as np

from likeness.photos.geometry import Square
from likeness.photos.landmarks import LEFT_EYE, RIGHT_EYE, Landmarks

# A face's width in distances of its eyes: what sizes are measured by, whatever box a detector draws.
FACE_WIDTH: Final = 2.4
# The crop's side in face widths, and how far below its top the eyes lie, as a share of it.
SIDE_WIDTHS: Final = 2.0
EYE_HEIGHT: Final = 0.43


def face_width(landmarks: Landmarks) -> float:
    """In photo pixels, as if the face were seen from the front."""
    return FACE_WIDTH * landmarks.eye_distance


def canonical_square(landmarks: Landmarks) -> Square:
    """The crop's place in the photo; it may reach beyond the photo's borders."""
    x, y, _ = (landmarks.middle(LEFT_EYE) + landmarks.middle(RIGHT_EYE)) / 2
    return square_below(float(x), float(y), landmarks.eye_distance, landmarks.tilt)


def square_below(x: float, y: float, eye_distance: float, tilt: float) -> Square:
    """The same for eyes around (x, y), all in photo pixels, and the clockwise tilt in degrees."""
    side, angle = SIDE_WIDTHS * FACE_WIDTH * eye_distance, np.radians(tilt)
    # The crop's middle lies below the eyes, along the tilted vertical.
    drop = (0.5 - EYE_HEIGHT) * side
    return Square(float(x - np.sin(angle) * drop), float(y + np.cos(angle) * drop), side, tilt)
