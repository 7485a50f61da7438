"""Mean pictures of eyes and mouths, of a folder of portraits: what `likeness.photos.features` compares faces with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.photos import PhotoError, decode_photo
from likeness.photos.canonical import canonical_square
from likeness.photos.faces import believed_faces
from likeness.photos.features import SIDE
from likeness.photos.geometry import cut_square
from likeness.photos.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE
from likeness.photos.mipmap import Mipmap

Patch = NDArray[np.float32]
# Width and height of a template, and how many are kept: open, narrowed, bespectacled; closed, smiling, bearded.
SIZES: Final = {"eye": (28, 18), "mouth": (44, 22)}
COUNTS: Final = {"eye": 4, "mouth": 6}
ROUNDS: Final = 30
# The people whom the benchmarks measure with are in no template.
HELD_OUT: Final = Path(__file__).parent.parent.parent / "engines" / "miniature" / "held_out.txt"


def write_templates(folders: Sequence[Path], out: Path) -> None:
    """Cluster the eyes and mouths of all portraits in the folders that are not held out."""
    held_out = set(HELD_OUT.read_text().split())
    patches: dict[str, list[Patch]] = {name: [] for name in SIZES}
    for path in (path for folder in folders for path in sorted(folder.glob("*.jpg"))):
        if path.name not in held_out:
            for name, patch in _patches(path):
                patches[name].append(patch)
    eye, mouth = (_cluster(np.stack(patches[name]), COUNTS[name]) for name in ("eye", "mouth"))
    np.savez_compressed(out / "face_features.npz", eye=eye, mouth=mouth)
    print({name: len(found) for name, found in patches.items()})


def _patches(path: Path) -> list[tuple[str, Patch]]:
    """Both eyes, the person's left one mirrored, and the mouth as it is and mirrored."""
    try:
        rgb = decode_photo(path.read_bytes())
    except PhotoError:
        return []
    photo = Mipmap(rgb)
    faces = believed_faces(photo)
    if len(faces) != 1:
        return []
    landmarks = faces[0].landmarks
    square = canonical_square(landmarks)
    grey = cv2.cvtColor(cut_square(photo, square, SIDE), cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)

    def patch(name: str, indices: tuple[int, ...]) -> Patch:
        x, y = square.matrix(SIDE) @ (*landmarks.middle(indices)[:2], 1)
        return np.asarray(cv2.getRectSubPix(grey, SIZES[name], (x - 0.5, y - 0.5)), np.float32)

    mouth = patch("mouth", MOUTH)
    return [
        ("eye", patch("eye", RIGHT_EYE)),
        ("eye", patch("eye", LEFT_EYE)[:, ::-1]),
        ("mouth", mouth),
        ("mouth", mouth[:, ::-1]),
    ]


def _cluster(patches: NDArray[np.float32], count: int) -> NDArray[np.float16]:
    """Spherical k-means over patches [n, h, w] of equal energy; the means, [count, h, w], have norm 1."""
    rows = patches.reshape(len(patches), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    means = rows[np.random.default_rng(0).choice(len(rows), count, replace=False)]
    for _ in range(ROUNDS):
        nearest = (rows @ means.T).argmax(axis=1)
        means = np.stack([rows[nearest == index].mean(axis=0) for index in range(count)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.reshape(count, *patches.shape[1:]).astype(np.float16)
