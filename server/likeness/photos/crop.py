"""The canonical crop of a photo's face, and how well the photo suits."""

from __future__ import annotations

from typing import Any, Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import PhotoError
from likeness.photos.extension import soften_outside
from likeness.photos.faces import Face, find_face
from likeness.photos.geometry import Matrix, cut_square, inside_photo
from likeness.photos.mipmap import Mipmap, Pixels

SIDE: Final = 256
# Ratio of fine to coarse detail in the face.
SHARP_ENOUGH: Final = 0.24
# The face in the crop, as shares of its side: rows, columns.
FACE_ROWS: Final = (0.28, 0.76)
FACE_COLUMNS: Final = (0.28, 0.72)


class Crop(msgspec.Struct, frozen=True):
    """A canonical crop: uint8 [side, side, 3] RGB, its quality 0..1, and the 2x3 matrix from photo to crop pixels.

    `turns` counter-clockwise quarter turns (as of np.rot90) make the photo itself upright.
    """

    pixels: Pixels
    quality: float
    matrix: Matrix
    face: Face
    turns: int = 0


def crop_face(rgb: Pixels, side: int = SIDE) -> Crop:
    """Find the face of uint8 [H, W, 3] and crop around it; raises PhotoError."""
    photo = Mipmap(rgb)
    face = find_face(photo)
    inside = inside_photo(photo, face.square, side)
    pixels = soften_outside(cut_square(photo, face.square, side), inside)
    sharpness = _sharpness(pixels, face.square.side)
    if sharpness < SHARP_ENOUGH:
        raise PhotoError("blurred", "The face is blurred. Use a sharper photo.")
    quality = _quality(pixels, face, sharpness, float(inside.mean()))
    return Crop(pixels, quality, face.square.matrix(side), face, round(face.square.tilt / 90) % 4)


def _sharpness(pixels: Pixels, photo_side: float) -> float:
    """Fine detail (1 to 2 pixels of 256) over coarse (4 to 8) in the middle of the face, whatever the contrast.

    A small face, whose crop was enlarged from `photo_side` pixels, is judged by the pixels that it has.
    """
    grey = cv2.cvtColor(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    unit = float(np.clip(SIDE / photo_side, 1, 2.5))
    levels = [cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma * unit) for sigma in (1, 2, 4, 8)]
    fine = np.abs(_face(levels[0] - levels[1])).mean()
    coarse = np.abs(_face(levels[2] - levels[3])).mean()
    return float(fine / (coarse + 0.5))


def _quality(pixels: Pixels, face: Face, sharpness: float, inside: float) -> float:
    """How well a photo suits: sharp, large, frontal, whole, neither dark nor burnt out; 0..1."""
    light = _face(pixels).mean(axis=2)
    lost = float(((light < 12) | (light > 245)).mean())
    sharp = min(1.0, sharpness / 0.35)
    large = min(1.0, face.width / 140)
    frontal = 1 - min(1.0, float(np.hypot(face.landmarks.yaw, face.landmarks.pitch / 2)) / 60)
    return float(np.clip(sharp * 0.35 + large * 0.25 + frontal * 0.2 + inside * 0.2 - lost, 0.05, 1))


def _face(picture: NDArray[Any]) -> NDArray[Any]:
    """The part of a crop, [side, side, ...], that shows the face."""
    side = picture.shape[0]
    (top, bottom), (left, right) = ((round(share * side) for share in span) for span in (FACE_ROWS, FACE_COLUMNS))
    return picture[top:bottom, left:right]
