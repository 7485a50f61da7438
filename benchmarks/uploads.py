"""The photos that serving is measured with: five of one person as JPEG, at any number of pixels and bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec
import numpy as np
import skimage.data
from PIL import Image, ImageEnhance, ImageOps

from likeness.packs import is_identity_installed
from likeness.policy import policy_version

PHOTOS: Final = 5
SEED: Final = 1


class Form(msgspec.Struct, frozen=True):
    """An upload's encoded body, shared by all clients that send it."""

    content_type: str
    body: bytes


def five_pictures(folder: Path | None) -> list[Image.Image]:
    """The folder's first five JPEGs, or five times the astronaut; what comes again comes changed."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg")) if folder else []
    if folder and not found:
        raise SystemExit(f"{folder} has no JPEG. Pass a folder of photos of one person, or leave --photos out.")
    pictures = [Image.open(path).convert("RGB") for path in found[:PHOTOS]]
    pictures = pictures or [Image.fromarray(skimage.data.astronaut())]
    return [_changed(pictures[index % len(pictures)], index // len(pictures)) for index in range(PHOTOS)]


def _changed(picture: Image.Image, turn: int) -> Image.Image:
    """As it is, then mirrored, tilted, darker, and closer: a copy in other colours would count as the same picture."""
    match turn:
        case 0:
            return picture
        case 1:
            return ImageOps.mirror(picture)
        case 2:
            return picture.rotate(6, Image.Resampling.BICUBIC)
        case 3:
            return ImageEnhance.Brightness(picture).enhance(0.85)
    return picture.crop((0, 0, round(picture.width * 0.9), round(picture.height * 0.9)))


def enlarge(picture: Image.Image, megapixels: float, most_bytes: int, noise: float) -> bytes:
    """A JPEG of so many pixels, with a sensor's noise (8-bit levels), at the best quality within so many bytes."""
    scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
    size = round(picture.width * scale), round(picture.height * scale)
    pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(0).standard_normal((*pixels.shape[:2], 1), np.float32) * noise
    noisy = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    low, high = 1, 100
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(encode(noisy, middle)) <= most_bytes else (low, middle - 1)
    return encode(noisy, low)


def encode(picture: Image.Image, quality: int = 95) -> bytes:
    """A JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def make_form(photos: Sequence[bytes]) -> Form:
    """The form of an upload."""
    files = [("photos", (f"{index}.jpg", photo, "image/jpeg")) for index, photo in enumerate(photos)]
    request = httpx.Request(
        "POST", "http://x", data={"consent": policy_version(is_identity_installed()), "seed": str(SEED)}, files=files
    )
    return Form(request.headers["content-type"], request.read())
