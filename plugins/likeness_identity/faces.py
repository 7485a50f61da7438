"""Crops to face embeddings, with dlib's ResNet and its five landmarks; nothing is kept of a crop or an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

# Where a crop has its eyes, in shares of its side: the middle between them, and their distance.
EYES_X: Final = 0.5
EYES_Y: Final = 0.43
EYE_DISTANCE: Final = 0.208
# The box that the landmarks were trained on: its side in eye distances, and how far down in it the eyes are.
BOX_SIDE: Final = 2.46
BOX_EYES_Y: Final = 0.3
CHIP_SIDE: Final = 150  # what the ResNet was trained on, with dlib's default padding


class _Models(NamedTuple):
    dlib: Any
    landmarks: Any
    resnet: Any


@cache
def load_models() -> _Models:
    """Load both networks, 0.2 s and 60 MB."""
    spec = find_spec("face_recognition_models")  # importing it would need pkg_resources
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The models are missing. pip install 'likeness[identity]'.")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    dlib = import_module("dlib")
    # The 68 landmarks that lie beside these may not be used commercially.
    landmarks = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    resnet = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
    return _Models(dlib, landmarks, resnet)


def embed(crops: Sequence[Picture]) -> NDArray[np.float32]:
    """One embedding per crop, float32 [n, 128]; two of one person are mostly less than 0.6 apart."""
    return np.array([_embed(crop) for crop in crops], np.float32).reshape(len(crops), -1)


def _embed(crop: Picture) -> NDArray[np.float64]:
    models = load_models()
    picture = np.ascontiguousarray(crop)
    side = len(picture)
    points = models.landmarks(picture, _box(models.dlib, EYES_X * side, EYES_Y * side, EYE_DISTANCE * side))
    points = models.landmarks(picture, _box(models.dlib, *_eyes(points)))  # once more, around the eyes that were found
    chip = models.dlib.get_face_chip(picture, points, CHIP_SIDE)
    return np.asarray(models.resnet.compute_face_descriptor(chip))


def _box(dlib: Any, x: float, y: float, distance: float) -> Any:
    side = BOX_SIDE * distance
    left, top = x - side / 2, y - BOX_EYES_Y * side
    return dlib.rectangle(*(round(edge) for edge in (left, top, left + side, top + side)))


def _eyes(points: Any) -> tuple[float, float, float]:
    """Middle and distance of the eyes: points 0 and 1 are the corners of one, 2 and 3 of the other."""
    corners = np.array([(points.part(index).x, points.part(index).y) for index in range(4)], float)
    one, other = corners[:2].mean(axis=0), corners[2:].mean(axis=0)
    x, y = (one + other) / 2
    return float(x), float(y), float(np.hypot(*(one - other)))
