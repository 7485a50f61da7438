"""The canonical crop: upright, square, head and shoulders, never a pixel from outside the photo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from likeness.errors import PhotoError
from likeness.photos.faces import Face, find_face

SIDE: Final = 256
# The crop's side in face-box widths, and how high the box's middle lies in it. The miniature was trained on this.
WIDEST: Final = 1.9
NARROWEST: Final = 1.3
FACE_HEIGHT: Final = 0.48
SHIFTS: Final = (0.04, 0.1, 0.2)
# Ratio of fine to coarse detail in the face: seen over 0.27 on good photos, under 0.23 when blurred by 3 pixels of 256.
SHARP_ENOUGH: Final = 0.24


class Crop(msgspec.Struct, frozen=True):
    """An aligned crop: uint8 [side, side, 3] RGB, its quality 0..1, the 2x3 matrix from photo to crop pixels, and the
    counter-clockwise quarter turns that made the photo upright.
    """

    pixels: NDArray[np.uint8]
    quality: float
    matrix: NDArray[np.float64]
    face: Face
    turns: int = 0


class _Square(msgspec.Struct, frozen=True):
    """Where a crop lies in the photo: centre and side in pixels, clockwise tilt in degrees."""

    x: float
    y: float
    side: float
    tilt: float


def crop_face(rgb: NDArray[np.uint8], side: int = SIDE) -> Crop:
    """Find the face of uint8 [H, W, 3] and crop around it; raises PhotoError."""
    face = find_face(rgb)
    square = _place(face, rgb.shape[1], rgb.shape[0])
    pixels, matrix = _cut(rgb, square, side)
    sharpness = _sharpness(pixels, side / square.side)
    if sharpness < SHARP_ENOUGH:
        raise PhotoError("blurred", "The face is blurred. Use a sharper photo.")
    return Crop(pixels, _quality(pixels, face, sharpness), matrix, face)


def _place(face: Face, width: int, height: int) -> _Square:
    """The best square that lies inside the photo: full size, upright and unshifted if possible."""
    for square, most in _wishes(face):
        angle = np.radians(square.tilt)
        reach = square.side / 2 * (abs(np.cos(angle)) + abs(np.sin(angle)))
        if 2 * reach > min(width, height):
            continue
        x, y = float(np.clip(square.x, reach, width - reach)), float(np.clip(square.y, reach, height - reach))
        if np.hypot(x - square.x, y - square.y) <= most * square.side:
            return _Square(x, y, square.side, square.tilt)
    raise PhotoError("too_small", "The face is too close to the edge. Use a photo that shows head and shoulders whole.")


def _wishes(face: Face) -> Iterator[tuple[_Square, float]]:
    """Squares to try in order, each with the shift it may take, as a share of its side.

    Shrinking comes before shifting far, and levelling is given up last.
    """
    for levelled in (1.0, 0.6, 0.3, 0.0):
        tilt = face.tilt * levelled
        angle = np.radians(tilt)
        for most in SHIFTS:
            for widths in np.linspace(WIDEST, NARROWEST, 13):
                side = face.size * widths
                # The face's middle lies above the crop's, along the tilted vertical.
                drop = (0.5 - FACE_HEIGHT) * side
                yield _Square(face.x - np.sin(angle) * drop, face.y + np.cos(angle) * drop, side, tilt), most


def _cut(rgb: NDArray[np.uint8], square: _Square, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Resample the square; when shrinking, blur first, so that nothing aliases."""
    scale = side / square.side
    angle = np.radians(square.tilt)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    matrix = np.array(
        [
            [cos, sin, side / 2 - cos * square.x - sin * square.y],
            [-sin, cos, side / 2 + sin * square.x - cos * square.y],
        ]
    )
    source = rgb
    if scale < 0.75:
        source = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale), np.uint8)
    pixels = cv2.warpAffine(source, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(pixels, np.uint8), matrix


def _sharpness(pixels: NDArray[np.uint8], enlarged: float) -> float:
    """Fine detail (1 to 2 pixels of 256) over coarse (4 to 8) in the middle of the face, whatever the contrast.

    A small face that was `enlarged` is judged by the pixels that it has.
    """
    side = pixels.shape[0]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    unit = side / 256 * float(np.clip(enlarged, 1, 2.5))
    levels = [cv2.GaussianBlur(grey, (0, 0), sigma * unit) for sigma in (1, 2, 4, 8)]
    middle = slice(int(side * 0.25), int(side * 0.72))
    fine = np.abs(levels[0] - levels[1])[middle, middle].mean()
    coarse = np.abs(levels[2] - levels[3])[middle, middle].mean()
    return float(fine / (coarse + 0.5))


def _quality(pixels: NDArray[np.uint8], face: Face, sharpness: float) -> float:
    """How well a photo suits: sharp, large, level, eyes seen, neither dark nor burnt out; 0..1."""
    top, left, end = (round(edge * pixels.shape[0] / SIDE) for edge in (64, 76, 180))
    light = pixels[top:end, left:end].mean(axis=2)
    lost = float(((light < 12) | (light > 245)).mean())
    sharp = min(1.0, sharpness / 0.35)
    large = min(1.0, face.size / 140)
    level = max(0.3, 1 - abs(face.tilt) / 60)
    return float(np.clip(sharp * 0.4 + large * 0.3 + level * 0.15 + face.eyes * 0.15 - lost, 0.05, 1))
