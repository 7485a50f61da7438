"""Comparing the faces of a set: who belongs together, and what is said of the others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import likeness.packs
import likeness_identity
from likeness.packs import faces_compared, is_identity_installed, load_catalogue
from likeness.photos import crop_face
from likeness.photos.canonical import EYE_HEIGHT, FACE_WIDTH, SIDE_WIDTHS
from likeness_identity import SEVERAL_PEOPLE, STRANGER, likeness_review_photos
from likeness_identity.faces import EYE_DISTANCE, EYES_Y
from likeness_identity.groups import find_strangers
from likeness_plugins import RefusedPhotos
from likeness_plugins.testing import check_pack
from tests.faces import someone_else

Pixels = NDArray[np.uint8]
with_models = pytest.mark.skipif(not is_identity_installed(), reason="needs the extra identity")


def embeddings(*people: int) -> NDArray[np.float32]:
    """A photo of each of these people: those of one are 0.3 apart, those of two over 1.4."""
    found = np.zeros((len(people), 128), np.float32)
    for index, person in enumerate(people):
        found[index, person] = 1
        found[index, 64 + index] = 0.3 / np.sqrt(2)
    return found


@pytest.mark.parametrize(
    ("people", "strangers"),
    [
        ((0,), []),
        ((0, 0, 0), []),
        ((0, 0, 1), [2]),
        ((0, 1, 0, 0), [1]),
        ((1, 0, 2, 0, 0), [0, 2]),
        ((0, 0, 0, 1, 1), [3, 4]),
        ((0, 0, 0, 1, 2, 3), [3, 4, 5]),
        ((0, 1, 2), None),
        ((0, 0, 1, 1), None),
        ((0, 0, 0, 1, 1, 1), None),
        ((0, 0, 1, 2), None),
        ((0, 1), None),
    ],
)
def test_strangers_are_those_outside_the_largest_group(people: Sequence[int], strangers: list[int] | None) -> None:
    assert find_strangers(embeddings(*people)) == strangers


def test_photos_may_be_linked_through_others() -> None:
    """A person from the left, from the front and from the right."""
    line = np.zeros((4, 128), np.float32)
    line[:, 0] = (0, 0.5, 1.0, 1.5)
    assert find_strangers(line) == []


def crops(astronaut: Pixels) -> list[Pixels]:
    """Photos of one person: mirrored, darker, tilted, noisy, lit from the side."""
    picture = astronaut[:300, 90:390]
    tilt = cv2.getRotationMatrix2D((134, 115), 12, 1)
    ramp = np.linspace(0.4, 1.1, 300)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 8, picture.shape)
    photos = [
        picture,
        picture[:, ::-1],
        255 * (picture / 255) ** 1.8,
        cv2.warpAffine(picture, tilt, (300, 300), borderMode=cv2.BORDER_REPLICATE),
        np.clip(picture + noise, 0, 255),
        picture * ramp,
    ]
    return [crop_face(np.ascontiguousarray(photo, np.uint8)).pixels for photo in photos]


@with_models
def test_the_photos_of_one_person_pass(astronaut: Pixels) -> None:
    assert likeness_review_photos(crops(astronaut)) is None


@with_models
@pytest.mark.parametrize("side", [256, 512])
def test_a_stranger_is_named(astronaut: Pixels, side: int) -> None:
    one, two, three, *_ = crops(astronaut)
    stranger = crop_face(someone_else(astronaut)).pixels
    found = [np.asarray(cv2.resize(crop, (side, side)), np.uint8) for crop in (one, stranger, two, three)]
    assert likeness_review_photos(found) == RefusedPhotos(STRANGER, [1])


@with_models
def test_two_people_refuse_the_set(astronaut: Pixels) -> None:
    stranger = crop_face(someone_else(astronaut)).pixels
    mirrored = np.ascontiguousarray(stranger[:, ::-1])
    assert likeness_review_photos([*crops(astronaut)[:2], stranger, mirrored]) == SEVERAL_PEOPLE


@with_models
def test_it_is_a_pack_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    check_pack(likeness_identity)
    catalogue = load_catalogue()
    assert faces_compared(catalogue)
    assert [pack.problems for pack in catalogue.packs if pack.name == "identity"] == [()]


def test_without_the_extra_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness.packs, "is_identity_installed", lambda: False)
    catalogue = load_catalogue()
    assert "identity" not in {pack.name for pack in catalogue.packs}
    assert not faces_compared(catalogue)


def test_importing_loads_no_model() -> None:
    code = "import sys, likeness_identity; print(*[n for n in ('dlib', 'face_recognition_models') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_pack_knows_where_the_server_puts_the_eyes() -> None:
    assert pytest.approx(EYE_HEIGHT) == EYES_Y
    assert pytest.approx(1 / (FACE_WIDTH * SIDE_WIDTHS), abs=1e-3) == EYE_DISTANCE
