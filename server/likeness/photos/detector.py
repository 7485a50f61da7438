"""Where faces may be in a photo, whichever way it lies: MediaPipe's detector over turns, scales and tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.photos.face_networks import SIDE, run_detector
from likeness.photos.mipmap import Mipmap, Pixels

CELLS: Final = 48
UPRIGHT: Final = (0,)
EVERY_WAY: Final = (0, 1, 2, 3)
# A face that fills the frame is found with a margin around it.
FULL: Final = 1.0
WITH_MARGIN: Final = 0.6
# Tiles overlap by half; smaller ones than this would find only faces that are too small to use.
MIN_TILE_PX: Final = 384
# Boxes are of one face when their middles are nearer than this share of the larger one's side, and of one way up when
# their tilts differ by fewer degrees.
SAME_PLACE: Final = 0.5
OTHER_WAY_DEG: Final = 60.0
_MIDDLES: Final = (np.arange(CELLS) + 0.5) / CELLS * SIDE
_ANCHORS: Final = np.stack(np.meshgrid(_MIDDLES, _MIDDLES), axis=-1).reshape(-1, 1, 2)


class Detection(msgspec.Struct, frozen=True):
    """A possible face: score 0..1, centre and side of its box in pixels, clockwise tilt of the eyes in degrees; and the
    middle between the eyes, and their distance, in pixels.
    """

    score: float
    x: float
    y: float
    side: float
    tilt: float
    eyes_x: float
    eyes_y: float
    eye_distance: float

    def moved(self, right: float, down: float) -> Detection:
        """The same face in a photo that begins so many pixels further left and up."""
        return msgspec.structs.replace(
            self, x=self.x + right, y=self.y + down, eyes_x=self.eyes_x + right, eyes_y=self.eyes_y + down
        )


def detect(photo: Mipmap, turns: Iterable[int], fill: float, least: float) -> list[Detection]:
    """Possible faces of at least the score `least`, the best first.

    The photo is looked at in each of the quarter `turns`, shrunk until its longer side fills `fill` of the frame.
    """
    frame, scale, left, top = _frame(photo, fill)
    found: list[Detection] = []
    for turn in turns:
        boxes, logits = run_detector(np.ascontiguousarray(np.rot90(frame, turn)))
        scores = 1 / (1 + np.exp(-np.clip(logits, -100, 100)))
        for anchor in np.flatnonzero(scores >= least):
            points = boxes[anchor].astype(np.float64).reshape(8, 2)
            side = float(points[1].max()) / scale
            points = (_turn_back(points + _ANCHORS[anchor], turn) - (left, top)) / scale
            found.append(_detection(float(scores[anchor]), points, side))
    return strongest(found)


def detect_in_tiles(photo: Mipmap, turns: Iterable[int], least: float) -> list[Detection]:
    """The same for faces too small for the whole photo: halves of it in the `turns`, then upright quarters."""
    width, height = photo.size
    found: list[Detection] = []
    for parts, ways in ((2, turns), (4, UPRIGHT)):
        side = max(height, width) // parts
        if found or side < MIN_TILE_PX:
            break
        for left, top in _tiles(width, height, side):
            tile = photo.part(left, top, side)
            found += [each.moved(left, top) for each in detect(tile, ways, FULL, least)]
    return strongest(found)


def strongest(found: Iterable[Detection]) -> list[Detection]:
    """The best first, and at each place one for each way up: which way is right, the landmarks tell."""
    kept: list[Detection] = []
    for each in sorted(found, key=lambda detection: -detection.score):
        if not any(_same(each, other) for other in kept):
            kept.append(each)
    return kept


def _same(one: Detection, other: Detection) -> bool:
    apart = np.hypot(one.x - other.x, one.y - other.y)
    turned = abs((one.tilt - other.tilt + 180) % 360 - 180)
    return bool(apart < SAME_PLACE * max(one.side, other.side) and turned < OTHER_WAY_DEG)


def _frame(photo: Mipmap, fill: float) -> tuple[Pixels, float, int, int]:
    """The photo shrunk into the middle of a black square of 192 pixels, by what factor, and where it begins there."""
    width, height = photo.size
    scale = SIDE * fill / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    copy, _ = photo.at(1 / scale)
    small = cv2.resize(copy, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    frame[top : top + size[1], left : left + size[0]] = small
    return frame, scale, left, top


def _turn_back(points: NDArray[np.float64], turn: int) -> NDArray[np.float64]:
    """Points of the frame turned by np.rot90, as points of the frame; points[1] is a size and has no meaning after."""
    for _ in range(turn):
        points = np.stack([SIDE - points[:, 1], points[:, 0]], axis=1)
    return points


def _detection(score: float, points: NDArray[np.float64], side: float) -> Detection:
    """From centre, size and keypoints (right eye, left eye, nose, mouth, ears) in photo pixels."""
    (x, y), (eyes_x, eyes_y), across = points[0], (points[2] + points[3]) / 2, points[3] - points[2]
    return Detection(
        score,
        float(x),
        float(y),
        side,
        tilt=float(np.degrees(np.arctan2(across[1], across[0]))),
        eyes_x=float(eyes_x),
        eyes_y=float(eyes_y),
        eye_distance=float(np.hypot(*across)),
    )


def _tiles(width: int, height: int, side: int) -> Iterator[tuple[int, int]]:
    """Where tiles begin: evenly spread, overlapping by about half."""
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield left, top


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = int(np.ceil(2 * (length - side) / side)) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]
