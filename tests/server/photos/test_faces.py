"""Which faces are found and believed, and the true reason where none can be used."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from benchmarks.side_view import turn_head
from likeness.photos import PhotoError, faces
from likeness.photos.faces import Face
from likeness.photos.landmarks import FOREHEAD, LEFT_SIDE, RIGHT_SIDE, Landmarks
from likeness.photos.mipmap import Mipmap
from tests.server.photos import pictures

Pixels = NDArray[np.uint8]
Spoil = Callable[[Pixels], Pixels]


def find_face(photo: Pixels) -> Face:
    return faces.find_face(Mipmap(np.ascontiguousarray(photo)))


def reason(photo: Pixels) -> str:
    with pytest.raises(PhotoError) as caught:
        find_face(photo)
    return caught.value.reason


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("tilt", [-40, 0, 25])
def test_a_face_is_found_whichever_way_the_photo_lies(astronaut: Pixels, turns: int, tilt: int) -> None:
    upright = find_face(astronaut)
    found = find_face(np.rot90(pictures.tilted(astronaut, tilt), turns))
    expected = upright.square.tilt + tilt - 90 * turns
    assert abs((found.square.tilt - expected + 180) % 360 - 180) < 3
    assert abs(found.width / upright.width - 1) < 0.05


@pytest.mark.parametrize(
    "spoil",
    [
        pictures.sunglasses,
        pictures.mask,
        lambda photo: pictures.tight(photo, 0.8),
        lambda photo: pictures.tight(photo, 1.0),
        lambda photo: pictures.beside(photo, 0.45),
        lambda photo: np.asarray(photo // 4, np.uint8),
        lambda photo: np.asarray(cv2.resize(photo, (220, 220), interpolation=cv2.INTER_AREA), np.uint8),
        lambda photo: pictures.far(photo, 0.06),
    ],
    ids=["sunglasses", "mask", "tight", "fills the width", "someone behind", "dark", "small picture", "far"],
)
def test_a_face_that_can_be_used(astronaut: Pixels, spoil: Spoil) -> None:
    assert find_face(spoil(astronaut)).width > faces.MIN_WIDTH_PX


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda photo: photo[195:], "no_face"),
        (lambda photo: photo[:70], "no_face"),
        (lambda photo: pictures.disc(photo, pictures.MIDDLE, 1.4 * pictures.EYES, (40, 90, 200)), "no_face"),
        (lambda photo: pictures.tight(pictures.stickers(photo), 0.6), "face_covered"),
        (lambda photo: pictures.tight(pictures.smiley(photo), 0.6), "no_face"),
        (lambda photo: pictures.beside(photo, 0.7), "several_faces"),
        (lambda photo: pictures.beside(photo, 1.0), "several_faces"),
        (lambda photo: np.asarray(cv2.resize(photo, (170, 170), interpolation=cv2.INTER_AREA), np.uint8), "too_small"),
    ],
    ids=["headless", "hair", "disc", "stickers", "smiley", "second face", "twins", "too few pixels"],
)
def test_a_face_that_cannot_be_used_is_refused_for_the_true_reason(astronaut: Pixels, spoil: Spoil, code: str) -> None:
    assert reason(spoil(astronaut)) == code


def test_the_larger_of_two_faces_is_not_taken_silently(astronaut: Pixels) -> None:
    """It was a face 1.6 times as wide beside the one that was taken."""
    assert reason(pictures.beside(astronaut, 1 / 1.6)) == "several_faces"


@pytest.mark.parametrize(
    "name", ["brick", "cat", "clock", "coffee", "coins", "colorwheel", "grass", "logo", "page", "retina", "rocket"]
)
def test_pictures_of_anything_else_hold_no_face(name: str) -> None:
    picture = np.asarray(getattr(skimage.data, name)())
    assert reason(np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture[..., :3]) == "no_face"


def test_a_picture_of_one_row_holds_no_face() -> None:
    assert reason(np.zeros((1, 2048, 3), np.uint8)) == reason(np.zeros((2048, 1, 3), np.uint8)) == "no_face"


@pytest.mark.parametrize("degrees", [55, -55])
def test_a_face_from_the_side_is_refused(astronaut: Pixels, degrees: float) -> None:
    face = find_face(astronaut).landmarks
    assert find_face(turn_head(astronaut, face, 20)).landmarks.yaw > 10
    assert reason(turn_head(astronaut, face, degrees)) == "turned_away"


@pytest.mark.parametrize("degrees", [-60, -20, 0, 35])
def test_yaw_is_the_angle_about_the_vertical(degrees: float) -> None:
    points = np.zeros((468, 3))
    across = np.array([np.cos(np.radians(degrees)), 0, np.sin(np.radians(degrees))]) * 50
    points[LEFT_SIDE], points[RIGHT_SIDE], points[FOREHEAD] = across, -across, (0, -70, 0)
    assert Landmarks(1.0, points).yaw == pytest.approx(degrees)


def test_sunglasses_do_not_turn_a_face_upside_down(astronaut: Pixels) -> None:
    """Behind them, eyes and mouth look alike both ways up."""
    for turns in (0, 2):
        face = find_face(np.rot90(pictures.sunglasses(pictures.tilted(astronaut, -18)), turns))
        assert abs((face.square.tilt + 90 * turns + 180) % 360 - 180) < 10


def test_the_remedy_for_a_small_face_is_true(astronaut: Pixels) -> None:
    small = np.asarray(cv2.resize(astronaut, (150, 150), interpolation=cv2.INTER_AREA), np.uint8)
    with pytest.raises(PhotoError, match="more pixels"):
        find_face(small)
    scene = np.full((1500, 1500, 3), 128, np.uint8)
    scene[700:850, 700:850] = small
    with pytest.raises(PhotoError, match=r"photo taken from nearer\.$"):
        find_face(scene)
