"""Are good photos accepted and cropped alike, however they were taken, and bad ones refused?

Held-out portraits are pasted into scenes, tilted, lit from the side and shrunk; each must be accepted, and its crop is
compared with that of the same person upright in the same scene. Group photos and scenes without a face must be refused.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

if not __package__:
    # Run as a script, Python looks here first, where likeness.py would hide the package of that name.
    sys.path[0] = str(Path(__file__).parent.parent)

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.portraits import FETCH, read_held_out
from benchmarks.report import Figure, publish
from likeness.photos import Crop, PhotoError, crop_face
from miniature.backdrops import draw_backdrop

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
SCENE = 900
TILTS = (-30, -20, -10, 10, 20, 30)
SCENERY = ("coffee", "rocket", "chelsea", "moon", "brick", "grass", "gravel", "clock", "coins", "page", "text", "horse")


def scene(seed: int, width: int = SCENE, height: int = SCENE) -> Pixels:
    """A drawn backdrop or a photograph without people, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    photographs = [_photograph(name).astype(np.float32) / 255 for name in ("coffee", "rocket")]
    pictures = [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA) for picture in photographs]
    drawn = draw_backdrop(rng, pictures) * 255
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _photograph(name: str) -> Pixels:
    picture = np.asarray(getattr(skimage.data, name)())
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    return np.asarray(np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture[..., :3], np.uint8)


def place(background: Pixels, portrait: Pixels, tilt: float, scale: float, centre: tuple[float, float]) -> Matrix:
    """Paste a portrait, tilted clockwise by `tilt` degrees, into `background`; returns the 2x3 matrix used."""
    height, width = portrait.shape[:2]
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), -tilt, scale), np.float64)
    matrix[:, 2] += np.array(centre) - (width / 2, height / 2)
    size = background.shape[1], background.shape[0]
    inside = cv2.warpAffine(np.ones((height, width), np.float32), matrix, size)[..., None]
    moved = cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    background[:] = np.clip(moved * inside + background * (1 - inside), 0, 255)
    return matrix


def good_photos(portrait: Pixels, seed: int) -> Iterator[tuple[str, Pixels, Matrix]]:
    """Named variants of one portrait with the matrix from portrait to photo; the first is the upright one."""
    rng = np.random.default_rng(seed)
    middle = SCENE / 2, SCENE / 2 + 20
    wanted: list[tuple[str, float, float, tuple[float, float]]] = [("upright", 0, 2.4, middle)]
    wanted += [(f"tilted by {abs(tilt)} degrees", tilt, 2.0, middle) for tilt in TILTS]
    wanted.append(("small in a scene", 0, 0.9, (rng.uniform(300, 600), rng.uniform(300, 600))))
    for name, tilt, scale, centre in wanted:
        photo = scene(seed)
        matrix = place(photo, portrait, tilt, scale, centre)
        yield name, photo, matrix
    lit = scene(seed)
    matrix = place(lit, portrait, 0, 2.4, middle)
    yield "lit from the side", lit_from_the_side(lit, left=seed % 2 == 0), matrix


def lit_from_the_side(photo: Pixels, *, left: bool) -> Pixels:
    """Darken one side of the picture to two fifths."""
    ramp = np.clip(np.linspace(-0.9, 1.9, photo.shape[1], dtype=np.float32), 0, 1)
    light = 0.4 + 0.75 * (ramp[::-1] if left else ramp)
    return np.asarray(np.clip(photo * light[None, :, None], 0, 255), np.uint8)


def group_photo(portraits: list[Pixels], seed: int) -> Pixels:
    """Two to four people side by side, of about one size."""
    rng = np.random.default_rng(seed)
    count = 2 + seed % 3
    photo = scene(seed, width=260 * count)
    for index in range(count):
        portrait = portraits[(seed * 5 + index * 7) % len(portraits)]
        spot = (260 * index + 130, rng.uniform(380, 520))
        place(photo, portrait, rng.uniform(-8, 8), rng.uniform(0.95, 1.15), spot)
    return photo


def empty_photos(count: int) -> Iterator[Pixels]:
    """Photographs and drawn scenes without a face."""
    yield from (_photograph(name) for name in SCENERY)
    yield from (scene(1000 + seed) for seed in range(count - len(SCENERY)))


def displacement(upright: Crop, to_upright: Matrix, other: Crop, to_other: Matrix) -> float:
    """How far the corners of the crop's middle half lie from where the upright crop has them, in shares of its side."""
    side = upright.pixels.shape[0]
    corners = np.array([(x, y, 1.0) for x in (side / 4, 3 * side / 4) for y in (side / 4, 3 * side / 4)])
    there = _square(other.matrix) @ _square(to_other) @ np.linalg.inv(_square(upright.matrix) @ _square(to_upright))
    moved = (there @ corners.T).T
    return float(np.linalg.norm(moved[:, :2] - corners[:, :2], axis=1).mean() / side)


def _square(matrix: Matrix) -> Matrix:
    return np.vstack([matrix, [0, 0, 1]])


def refused(photos: list[Pixels]) -> float:
    """The share of photos that are refused."""
    return float(np.mean([_crop(photo) is None for photo in photos]))


def _crop(photo: Pixels, reasons: Counter[str] | None = None) -> Crop | None:
    try:
        return crop_face(photo)
    except PhotoError as error:
        if reasons is not None:
            reasons[error.reason] += 1
        return None


def main() -> int:
    """Make the photos, read them, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help=f"folder of portraits: {FETCH}")
    parser.add_argument("--people", type=int, default=50, help="how many of the held-out people (default 50)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    portraits = read_held_out(arguments.photos, arguments.people)
    accepted: dict[str, list[bool]] = {}
    moved: list[float] = []
    reasons: Counter[str] = Counter()
    for seed, portrait in enumerate(portraits):
        variants = list(good_photos(portrait, seed))
        crops = [(name, _crop(photo, reasons), matrix) for name, photo, matrix in variants]
        for name, crop, _ in crops:
            accepted.setdefault(name, []).append(crop is not None)
        (_, upright, to_upright), *others = crops
        if upright is not None:
            moved += [displacement(upright, to_upright, crop, matrix) for _, crop, matrix in others if crop is not None]
    for name, verdicts in accepted.items():
        Console().print(f"{name}: {sum(verdicts)} of {len(verdicts)} accepted")
    Console().print(f"refusals: {dict(reasons)}")
    groups = [group_photo(portraits, seed) for seed in range(arguments.people)]
    figures = [
        Figure("accepted", 100 * float(np.mean([v for group in accepted.values() for v in group])), "%", "higher", 97),
        Figure("crop moved, mean", 100 * float(np.mean(moved)), "% of its side", "lower", 5),
        Figure("crops moved by under 5%", 100 * float(np.mean(np.array(moved) < 0.05)), "%", "higher"),
        Figure("group photos refused", 100 * refused(groups), "%", "higher", 95),
        Figure("photos without a face refused", 100 * refused(list(empty_photos(arguments.people))), "%", "higher", 95),
    ]
    return publish("photos", figures, {"people": str(len(portraits))}, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
