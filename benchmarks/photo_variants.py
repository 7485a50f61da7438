"""Photos as users have them, made of portraits: pasted into scenes, turned, cropped, worn over, covered, spoilt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from benchmarks.side_view import OVAL, turn_head
from likeness.photos.landmarks import CHIN, LEFT_EYE, MOUTH, RIGHT_EYE, Landmarks
from miniature.backdrops import draw_backdrop

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
Point = NDArray[np.float64]
SCENE = 900
TILTS = (-45, -35, -20, -10, 10, 20, 35, 45)
# Widths of the face in portrait format, as shares of the photo's, by 2.4 times the distance of the eyes.
SHARES = (0.6, 0.7, 0.8, 0.9, 0.95)
SCENERY = (
    *("brick", "cat", "cell", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "horse", "logo", "moon"),
    *("page", "retina", "rocket", "text", "hubble_deep_field", "immunohistochemistry"),
)
# What a medical mask covers, in MediaPipe's mesh: the nose's bridge and wings, cheeks and chin.
MASKED = (
    *(197, 126, 50, 187, 147, 177, 215, 172, 136, 150, 176, 148),
    *(152, 377, 400, 379, 365, 397, 435, 401, 376, 411, 280, 355),
)


class Variant(NamedTuple):
    """A named photo, and the 2x3 matrix from the portrait's pixels to its own."""

    name: str
    photo: Pixels
    matrix: Matrix


class Parts(NamedTuple):
    """Where the parts of a portrait's face are, in its pixels; `apart` is the distance of the eyes."""

    right_eye: Point
    left_eye: Point
    mouth: Point
    chin: Point
    apart: float

    @property
    def middle(self) -> Point:
        """Of eyes and mouth."""
        return (self.right_eye + self.left_eye) / 4 + self.mouth / 2


def parts_of(face: Landmarks) -> Parts:
    """The parts that the variants are made at."""
    right, left, mouth = (face.middle(part)[:2] for part in (RIGHT_EYE, LEFT_EYE, MOUTH))
    return Parts(right, left, mouth, face.points[CHIN, :2], float(np.hypot(*(left - right))))


def usable_photos(portrait: Pixels, face: Landmarks, seed: int) -> Iterator[Variant]:
    """All that must be accepted; the first is the portrait upright in a scene."""
    rng = np.random.default_rng(seed)
    middle, scale = (SCENE / 2, SCENE / 2 + 20), 2.4 * 225 / portrait.shape[1]
    yield _in_scene("upright", portrait, seed, tilt=0, scale=scale, middle=middle)
    for tilt in TILTS:
        yield _in_scene(f"tilted by {abs(tilt)} degrees", portrait, seed, tilt=tilt, scale=scale / 1.2, middle=middle)
    spot = float(rng.uniform(300, 600)), float(rng.uniform(300, 600))
    yield _in_scene("small in a scene", portrait, seed, tilt=0, scale=0.375 * scale, middle=spot)
    lit = _in_scene("lit from the side", portrait, seed, tilt=0, scale=scale, middle=middle)
    yield lit._replace(photo=lit_from_the_side(lit.photo, left=seed % 2 == 0))
    for turns in (1, 2, 3):
        yield _turned("upside down" if turns == 2 else "quarter turn", portrait, turns)
    for share in SHARES:
        yield _portrait_format(portrait, parts_of(face), share, float(rng.uniform(-0.03, 0.03)))


def worn_photos(portrait: Pixels, face: Landmarks) -> Iterator[tuple[str, Pixels]]:
    """With something painted on that leaves eyes or mouth free: to be accepted."""
    parts = parts_of(face)
    yield "sunglasses", _sunglasses(portrait, parts)
    yield "medical mask", _painted(portrait, face.points[list(MASKED), :2], (150, 190, 215))
    yield "hijab", _hijab(portrait, face)


def covered_photos(portrait: Pixels, face: Landmarks, seed: int) -> Iterator[tuple[str, Pixels]]:
    """With eyes and mouth hidden: to be refused."""
    rng = np.random.default_rng(seed)
    parts = parts_of(face)
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    yield "disc", disc(portrait, parts.middle, rng.uniform(1.2, 1.6) * parts.apart, colour)
    plain, patterned = portrait, portrait
    pattern = _pattern(portrait.shape, rng)
    for spot, radius in ((parts.right_eye, 0.45), (parts.left_eye, 0.45), (parts.mouth, 0.6)):
        plain = disc(plain, spot, radius * parts.apart, colour)
        hidden = disc(np.zeros_like(portrait), spot, radius * parts.apart, (255, 255, 255)) > 127
        patterned = np.where(hidden, pattern, patterned)
    yield "stickers", plain
    yield "patterned stickers", patterned
    yield "smiley", _smiley(portrait, parts)


def headless_photos(portrait: Pixels, face: Landmarks) -> Iterator[Pixels]:
    """What is left below the chin, and above the brows."""
    parts = parts_of(face)
    yield np.ascontiguousarray(portrait[min(int(parts.chin[1] + 0.1 * parts.apart), portrait.shape[0] - 16) :])
    yield np.ascontiguousarray(portrait[: max(16, int(parts.right_eye[1] - 0.5 * parts.apart))])


def side_photos(portrait: Pixels, face: Landmarks) -> Iterator[Pixels]:
    """The head turned to either side by 75 degrees."""
    for degrees in (-75, 75):
        yield turn_head(portrait, face, degrees)


def far_photo(portrait: Pixels, face: Landmarks, width: float, seed: int) -> Pixels:
    """The face so many pixels wide, in a scene of 1200 x 900."""
    rng = np.random.default_rng(seed)
    photo = scene(seed, 1200, 900)
    scale = width / (2.4 * parts_of(face).apart)
    place(photo, portrait, 0, scale, (float(rng.uniform(200, 1000)), float(rng.uniform(200, 700))))
    return photo


def group_photo(portraits: list[Pixels], seed: int) -> Pixels:
    """Two to four people side by side, the narrowest face at least 0.8 of the widest one's width."""
    rng = np.random.default_rng(seed)
    count = 2 + seed % 3
    photo = scene(seed, width=260 * count)
    for index in range(count):
        portrait = portraits[(seed * 5 + index * 7) % len(portraits)]
        spot = (260 * index + 130, float(rng.uniform(380, 520)))
        place(photo, portrait, rng.uniform(-8, 8), rng.uniform(0.95, 1.15) * 225 / portrait.shape[1], spot)
    return photo


def empty_photos(count: int) -> Iterator[tuple[str, Pixels]]:
    """Named pictures without a face: photographs and figures, then drawn scenes."""
    yield from (("a photograph or figure", _photograph(name)) for name in SCENERY)
    yield from (("a drawn scene", scene(1000 + seed)) for seed in range(count - len(SCENERY)))


def scene(seed: int, width: int = SCENE, height: int = SCENE) -> Pixels:
    """A drawn backdrop or a photograph without people, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    photographs = [_photograph(name).astype(np.float32) / 255 for name in ("coffee", "rocket")]
    pictures = [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA) for picture in photographs]
    drawn = draw_backdrop(rng, pictures) * 255
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def place(background: Pixels, portrait: Pixels, tilt: float, scale: float, centre: tuple[float, float]) -> Matrix:
    """Paste a portrait, tilted clockwise by `tilt` degrees, into `background`; returns the 2x3 matrix used."""
    height, width = portrait.shape[:2]
    if scale < 0.7:  # warping does not average what it leaves out
        portrait = np.asarray(cv2.GaussianBlur(portrait, (0, 0), 0.4 / scale), np.uint8)
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), -tilt, scale), np.float64)
    matrix[:, 2] += np.array(centre) - (width / 2, height / 2)
    size = background.shape[1], background.shape[0]
    inside = cv2.warpAffine(np.ones((height, width), np.float32), matrix, size)[..., None]
    moved = cv2.warpAffine(portrait, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    background[:] = np.clip(moved * inside + background * (1 - inside), 0, 255)
    return matrix


def lit_from_the_side(photo: Pixels, *, left: bool) -> Pixels:
    """Darken one side of the picture to two fifths."""
    ramp = np.clip(np.linspace(-0.9, 1.9, photo.shape[1], dtype=np.float32), 0, 1)
    light = 0.4 + 0.75 * (ramp[::-1] if left else ramp)
    return np.asarray(np.clip(photo * light[None, :, None], 0, 255), np.uint8)


def disc(photo: Pixels, middle: Point, radius: float, colour: tuple[int, ...]) -> Pixels:
    """A round sticker."""
    covered = photo.copy()
    cv2.circle(covered, _spot(middle), round(radius), colour, -1, cv2.LINE_AA)
    return covered


def _in_scene(
    name: str, portrait: Pixels, seed: int, *, tilt: float, scale: float, middle: tuple[float, float]
) -> Variant:
    photo = scene(seed)
    return Variant(name, photo, place(photo, portrait, tilt, scale, middle))


def _turned(name: str, portrait: Pixels, turns: int) -> Variant:
    height, width = portrait.shape[:2]
    matrices = {1: [[0, 1, 0], [-1, 0, width]], 2: [[-1, 0, width], [0, -1, height]], 3: [[0, -1, height], [1, 0, 0]]}
    return Variant(name, np.ascontiguousarray(np.rot90(portrait, turns)), np.array(matrices[turns], np.float64))


def _portrait_format(portrait: Pixels, parts: Parts, share: float, aside: float) -> Variant:
    """Cut to 3:4, as far as the portrait reaches, the face a little to one side."""
    width = 2.4 * parts.apart / share
    middle = (parts.right_eye + parts.left_eye) / 2 + (aside * width, 0)
    left, top = max(0, round(middle[0] - width / 2)), max(0, round(middle[1] - 0.6 * width))
    cut = portrait[top : round(top + width * 4 / 3), left : round(middle[0] + width / 2)]
    matrix = np.array([[1, 0, -left], [0, 1, -top]], np.float64)
    return Variant(f"portrait format, face {share:g} of the width", np.ascontiguousarray(cut), matrix)


def _sunglasses(portrait: Pixels, parts: Parts) -> Pixels:
    worn, apart = portrait.copy(), parts.apart
    for eye in (parts.right_eye, parts.left_eye):
        cv2.ellipse(
            worn, _spot(eye), (round(0.42 * apart), round(0.3 * apart)), 0, 0, 360, (15, 15, 18), -1, cv2.LINE_AA
        )
    bridge = max(2, round(0.06 * apart))
    cv2.line(worn, _spot(parts.right_eye), _spot(parts.left_eye), (15, 15, 18), bridge, cv2.LINE_AA)
    return worn


def _hijab(portrait: Pixels, face: Landmarks) -> Pixels:
    oval = face.points[list(OVAL), :2]
    middle = oval.mean(axis=0)
    outer = middle + (oval - middle) * (1.5, 1.45)
    left, right, bottom = outer[:, 0].min(), outer[:, 0].max(), portrait.shape[0]
    drape = np.array([(left, middle[1]), (right, middle[1]), (right + 80, bottom), (left - 80, bottom)])
    cloth = np.zeros(portrait.shape[:2], np.uint8)
    for area in (outer, drape):
        cv2.fillPoly(cloth, [area.astype(np.int32)], 255)
    cv2.fillPoly(cloth, [(middle + (oval - middle) * (0.93, 0.95)).astype(np.int32)], 0)
    soft = cv2.GaussianBlur(cloth.astype(np.float32) / 255, (0, 0), 2)[..., None]
    return np.asarray(portrait * (1 - soft) + np.array((60, 50, 110)) * soft, np.uint8)


def _painted(portrait: Pixels, points: Point, colour: tuple[int, int, int]) -> Pixels:
    worn = portrait.copy()
    cv2.fillPoly(worn, [cv2.convexHull(points.astype(np.int32))], colour, cv2.LINE_AA)
    return worn


def _smiley(portrait: Pixels, parts: Parts) -> Pixels:
    radius, middle = 1.3 * parts.apart, parts.middle
    covered = disc(portrait, middle, radius, (250, 210, 60))
    for side in (-1, 1):
        covered = disc(covered, middle + radius * np.array((0.35 * side, -0.25)), 0.12 * radius, (60, 40, 10))
    axes, line = (round(0.5 * radius), round(0.4 * radius)), max(2, round(0.08 * radius))
    cv2.ellipse(covered, _spot(np.add(middle, (0, 0.15 * radius))), axes, 0, 10, 170, (60, 40, 10), line, cv2.LINE_AA)
    return covered


def _pattern(shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Noise or stripes of two colours."""
    if rng.random() < 0.5:
        return rng.integers(0, 256, shape, np.uint8)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    stripe = ((x + y) // int(rng.integers(4, 12)) % 2)[..., None]
    return np.where(stripe, rng.integers(0, 256, 3), rng.integers(0, 256, 3)).astype(np.uint8)


def _photograph(name: str) -> Pixels:
    picture = np.asarray(getattr(skimage.data, name)())
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    whole = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture[..., :3]
    return np.ascontiguousarray(whole.astype(np.uint8))


def _spot(point: Point) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
