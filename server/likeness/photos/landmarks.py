"""A face's 468 points: where its eyes and mouth are, how it is turned, and whether it is a face at all."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.photos.detector import Detection
from likeness.photos.face_networks import SIDE, run_landmarks
from likeness.photos.geometry import Square, cut_square
from likeness.photos.mipmap import Mipmap

# Indices of MediaPipe's face mesh: corners of the eyes (the person's right one is left in the picture) and of the
# mouth, the middle of the lips, forehead and chin, the sides of the face at the ears.
RIGHT_EYE: Final = (33, 133)
LEFT_EYE: Final = (362, 263)
MOUTH: Final = (61, 291, 13, 14)
FOREHEAD, CHIN = 10, 152
RIGHT_SIDE, LEFT_SIDE = 234, 454
# The network's square is this much wider than the detector's box, or the points' own; others, where it is in doubt.
AROUND: Final = 1.5
OTHERS_AROUND: Final = (1.2, 1.35, 1.7, 2.0)
CLEAR: Final = 0.95
UNLIKELY: Final = 0.1


class Landmarks(msgspec.Struct, frozen=True):
    """Presence 0..1, and 468 points, float64 [468, 3]: x and y in photo pixels, z (away from the camera) in as many."""

    presence: float
    points: NDArray[np.float64]

    def middle(self, indices: tuple[int, ...]) -> NDArray[np.float64]:
        """The mean of some points, [x, y, z]."""
        return np.asarray(self.points[list(indices)].mean(axis=0))

    @property
    def tilt(self) -> float:
        """How far the line through the eyes is turned clockwise, in degrees, -180..180."""
        x, y, _ = self.middle(LEFT_EYE) - self.middle(RIGHT_EYE)
        return float(np.degrees(np.arctan2(y, x)))

    @property
    def eye_distance(self) -> float:
        """Between the eyes in pixels, as if the face were seen from the front."""
        return float(np.linalg.norm(self.middle(LEFT_EYE) - self.middle(RIGHT_EYE)))

    @property
    def yaw(self) -> float:
        """How far the face is turned to the side, in degrees; 0 is frontal, the network ends at about 70."""
        across = self.points[LEFT_SIDE] - self.points[RIGHT_SIDE]
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    @property
    def pitch(self) -> float:
        """How far the face looks up or down, in degrees."""
        along = self.points[CHIN] - self.points[FOREHEAD]
        return float(np.degrees(np.arctan2(along[2], np.hypot(along[0], along[1]))))


def trace_face(photo: Mipmap, detection: Detection) -> Landmarks:
    """The landmarks of a detection: traced in a square levelled by its eyes, then once more where those lie.

    A presence that is not clear, as behind masks and in what only resembles a face, is the median over several squares.
    """
    tries = [_trace(photo, _around(detection, AROUND))]
    if tries[0].presence < CLEAR:
        tries += [_trace(photo, _around(detection, around)) for around in OTHERS_AROUND]
    best = max(tries, key=lambda found: found.presence)
    presence = float(np.median([found.presence for found in tries]))
    if presence < UNLIKELY:
        return msgspec.structs.replace(best, presence=presence)
    low, high = best.points[:, :2].min(axis=0), best.points[:, :2].max(axis=0)
    x, y = (low + high) / 2
    fine = _trace(photo, Square(float(x), float(y), AROUND * float((high - low).max()), best.tilt))
    return msgspec.structs.replace(fine, presence=presence)


def _around(detection: Detection, times: float) -> Square:
    return Square(detection.x, detection.y, times * detection.side, detection.tilt)


def _trace(photo: Mipmap, square: Square) -> Landmarks:
    found, logit = run_landmarks(cut_square(photo, square, SIDE))
    back = np.linalg.inv(np.vstack([square.matrix(SIDE), [0, 0, 1]]))
    flat = found[:, :2] @ back[:2, :2].T + back[:2, 2]
    points = np.concatenate([flat, found[:, 2:] * (square.side / SIDE)], axis=1)
    return Landmarks(float(1 / (1 + np.exp(-np.clip(logit, -100, 100)))), points.astype(np.float64))
