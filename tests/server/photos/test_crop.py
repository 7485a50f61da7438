"""The canonical crop: eyes level and at fixed places, whatever the photo's format."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness.photos import Crop, crop_face
from likeness.photos.canonical import EYE_HEIGHT, FACE_WIDTH, SIDE_WIDTHS
from likeness.photos.extension import soften_outside
from likeness.photos.geometry import Square, cut_square, inside_photo
from likeness.photos.landmarks import LEFT_EYE, RIGHT_EYE
from likeness.photos.mipmap import Mipmap
from tests.server.photos import pictures

Pixels = NDArray[np.uint8]
APART = 1 / (FACE_WIDTH * SIDE_WIDTHS)


def eyes(crop: Crop) -> list[NDArray[np.float64]]:
    """Where the eyes are in the crop, as shares of its side."""
    side = crop.pixels.shape[0]
    middles = (crop.face.landmarks.middle(eye)[:2] for eye in (RIGHT_EYE, LEFT_EYE))
    return [crop.matrix @ (*middle, 1) / side for middle in middles]


@pytest.mark.parametrize("side", [256, 512, 1024])
@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_the_eyes_are_at_fixed_places(astronaut: Pixels, side: int, share: float) -> None:
    crop = crop_face(pictures.tight(astronaut, share) if share else astronaut, side)
    assert crop.pixels.shape == (side, side, 3)
    right, left = eyes(crop)
    assert (right + left) / 2 == pytest.approx((0.5, EYE_HEIGHT), abs=0.001)
    assert (left - right) == pytest.approx((APART, 0), abs=0.01)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("tilt", [-30, 15])
def test_a_turned_photo_gives_the_upright_ones_crop(astronaut: Pixels, turns: int, tilt: int) -> None:
    upright = crop_face(astronaut)
    crop = crop_face(np.ascontiguousarray(np.rot90(pictures.tilted(astronaut, tilt), turns)))
    middle = (slice(64, 192), slice(64, 192))
    assert np.abs(crop.pixels[middle].astype(int) - upright.pixels[middle]).mean() < 12
    assert crop.turns == (4 - turns) % 4


def test_what_lies_outside_the_photo_goes_on_softly(astronaut: Pixels) -> None:
    whole, cut = crop_face(astronaut), crop_face(pictures.tight(astronaut, 0.95))
    inside = inside_photo(Mipmap(pictures.tight(astronaut, 0.95)), cut.face.square, 256)
    assert 0.2 < inside.mean() < 0.6
    assert cut.quality < whole.quality
    grey = cv2.cvtColor(cut.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    steps = np.abs(np.diff(grey, axis=1))
    # Across the border no step is larger than inside, and far outside there is no texture.
    border = inside[:, 1:] != inside[:, :-1]
    assert np.percentile(steps[border], 95) < np.percentile(steps[inside[:, 1:]], 99)
    far = cv2.erode((~inside).astype(np.uint8), np.ones((41, 41))) > 0
    assert steps[far[:, 1:]].mean() < 3


def test_nothing_inside_the_photo_is_softened(astronaut: Pixels) -> None:
    inside = np.zeros((512, 512), np.bool_)
    inside[100:400, 50:300] = True
    assert (soften_outside(astronaut, inside)[inside] == astronaut[inside]).all()
    assert soften_outside(astronaut, np.ones_like(inside)) is astronaut


@pytest.mark.parametrize("side", [256, 700])
def test_a_square_is_cut_where_its_matrix_says(side: int) -> None:
    """Middle and corner of a ramp in both directions, shrunk and enlarged."""
    ramp = np.stack([*np.meshgrid(np.arange(200), np.arange(200)), np.zeros((200, 200))], axis=2).astype(np.uint8)
    square = Square(100, 110, 120, 30)
    pixels, matrix = cut_square(Mipmap(ramp), square, side), square.matrix(side)
    for x, y in ((100, 110), (80, 100), (120, 130)):
        column, row = (matrix @ (x + 0.5, y + 0.5, 1)).astype(int)
        assert np.abs(pixels[row, column, :2].astype(int) - (x, y)).max() <= 1


def test_a_sharp_bright_photo_is_rated_over_a_dim_one(astronaut: Pixels) -> None:
    dim = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 1.2) // 3, np.uint8)
    assert crop_face(astronaut).quality > crop_face(dim).quality


def test_a_larger_crop_shows_the_same_and_is_rated_alike(astronaut: Pixels) -> None:
    """A pack of 512 pixels gets crops of 512 pixels; what the photo is worth does not hang on that."""
    small, large = crop_face(astronaut), crop_face(astronaut, 512)
    shrunk = cv2.resize(large.pixels, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small.pixels).mean() < 4
    assert abs(large.quality - small.quality) < 0.05
