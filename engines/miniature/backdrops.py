"""Backdrops and lighting that the model shall learn to look past: what phones, rooms and streets do to a portrait."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
SIDE = 256
YY, XX = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE


def draw_backdrop(rng: np.random.Generator, pictures: list[Image]) -> Image:
    """Draw one random backdrop, float32 [256, 256, 3] in 0..1; `pictures` are other photographs to cut from."""
    makers = (_gradient, _blobs, _tiles, _stripes, _scene, _picture, _picture, _plain)
    maker = makers[int(rng.integers(len(makers)))]
    backdrop = maker(rng, pictures) if maker is _picture else maker(rng)
    blur = float(rng.choice([0, 0, 1.5, 4, 9]))
    if blur:
        backdrop = cv2.GaussianBlur(backdrop, (0, 0), blur)
    return np.clip(backdrop, 0, 1).astype(np.float32)


def relight(rgb: Image, rng: np.random.Generator) -> Image:
    """Change exposure, contrast, white balance, saturation and the side the light comes from."""
    shape = np.cos(rng.uniform(0, 2 * np.pi)) * (XX - 0.5) + np.sin(rng.uniform(0, 2 * np.pi)) * (YY - 0.5)
    side = 1 + rng.uniform(0, 0.9) * shape * (rng.random() < 0.6)
    lit = rgb * side[..., None] * rng.uniform(0.65, 1.3) * rng.uniform(0.88, 1.14, 3)
    grey = lit.mean(axis=2, keepdims=True)
    lit = grey + (lit - grey) * rng.uniform(0.55, 1.35)
    lit = np.clip(lit, 0, 1) ** rng.uniform(0.75, 1.4)
    return np.clip(0.5 + (lit - 0.5) * rng.uniform(0.8, 1.15), 0, 1).astype(np.float32)


def degrade(rgb: Image, rng: np.random.Generator) -> Image:
    """Blur, shrink, add noise and compress, each sometimes: a phone's photo rather than a studio's."""
    if rng.random() < 0.35:
        small = int(rng.integers(96, 220))
        rgb = cv2.resize(
            cv2.resize(rgb, (small, small), interpolation=cv2.INTER_AREA), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR
        )
    if rng.random() < 0.25:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 1.3))
    if rng.random() < 0.4:
        rgb = rgb + rng.normal(0, rng.uniform(0.005, 0.04), rgb.shape)
    rgb = np.clip(rgb, 0, 1).astype(np.float32)
    if rng.random() < 0.4:
        quality = int(rng.integers(35, 90))
        _, coded = cv2.imencode(".jpg", (rgb * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32) / 255
    return rgb


def tint_person(rgb: Image, rng: np.random.Generator) -> Image:
    """Shift skin, hair and clothes in lightness and a little in hue: the portraits are not as varied as users are."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[..., 0] = 100 * (lab[..., 0] / 100) ** rng.uniform(0.8, 1.9)
    lab[..., 1] += rng.uniform(-4, 6)
    lab[..., 2] += rng.uniform(-6, 9)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)


def _colour(rng: np.random.Generator) -> Image:
    return rng.uniform(0, 1, 3).astype(np.float32)


def _plain(rng: np.random.Generator) -> Image:
    return np.broadcast_to(_colour(rng), (SIDE, SIDE, 3)).astype(np.float32) + rng.normal(
        0, 0.02, (SIDE, SIDE, 3)
    ).astype(np.float32)


def _gradient(rng: np.random.Generator) -> Image:
    angle = rng.uniform(0, 2 * np.pi)
    share = np.clip(0.5 + np.cos(angle) * (XX - 0.5) + np.sin(angle) * (YY - 0.5), 0, 1)[..., None]
    return _colour(rng) * share + _colour(rng) * (1 - share)


def _blobs(rng: np.random.Generator) -> Image:
    cells = int(rng.integers(3, 40))
    return cv2.resize(
        rng.uniform(0, 1, (cells, cells, 3)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )


def _tiles(rng: np.random.Generator) -> Image:
    cells = int(rng.integers(2, 24))
    palette = rng.uniform(0, 1, (int(rng.integers(2, 7)), 3)).astype(np.float32)
    return cv2.resize(
        palette[rng.integers(len(palette), size=(cells, cells))], (SIDE, SIDE), interpolation=cv2.INTER_NEAREST
    )


def _stripes(rng: np.random.Generator) -> Image:
    angle, turns = rng.uniform(0, np.pi), rng.uniform(3, 40)
    wave = np.sin((np.cos(angle) * XX + np.sin(angle) * YY) * turns * 2 * np.pi)
    share = np.clip(wave * rng.uniform(1, 8) + 0.5, 0, 1)[..., None]
    return _colour(rng) * share + _colour(rng) * (1 - share)


def _scene(rng: np.random.Generator) -> Image:
    """Boxes, discs and lines of all sizes over a gradient: a room or a street, roughly."""
    scene = np.ascontiguousarray(_gradient(rng))
    for _ in range(int(rng.integers(6, 50))):
        x, y, w, h = (int(v) for v in rng.integers(-20, SIDE, 4))
        colour = tuple(float(v) for v in _colour(rng))
        shape = int(rng.integers(3))
        if shape == 0:
            cv2.rectangle(scene, (x, y), (x + w // 2, y + h // 2), colour, -1)
        elif shape == 1:
            cv2.circle(scene, (x, y), max(abs(w) // 4, 1), colour, -1, cv2.LINE_AA)
        else:
            cv2.line(scene, (x, y), (w, h), colour, int(rng.integers(1, 9)), cv2.LINE_AA)
    return scene


def _picture(rng: np.random.Generator, pictures: list[Image]) -> Image:
    """A random window of another photograph, turned and mirrored, so that faces and collars occur in backdrops too."""
    picture = pictures[int(rng.integers(len(pictures)))]
    size = int(rng.integers(60, 200))
    x, y = (int(v) for v in rng.integers(0, SIDE - size, 2))
    window = np.rot90(picture[y : y + size, x : x + size], int(rng.integers(4)))
    return cv2.resize(np.ascontiguousarray(window), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
