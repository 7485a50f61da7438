"""Photos: what is decoded, what is found and cut out of it, and what is refused with which code."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness.photos import PhotoCountError, PhotoError, crop_face, decode_photo, read_photos

Pixels = NDArray[np.uint8]


def encode(pixels: Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def reason(data: bytes) -> str:
    with pytest.raises(PhotoError) as caught:
        crop_face(decode_photo(data))
    assert str(caught.value).endswith(".")
    return caught.value.reason


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and has no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_four_formats_are_decoded(astronaut: Pixels, kind: str) -> None:
    pixels = decode_photo(encode(astronaut, kind))
    assert pixels.shape == astronaut.shape
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - astronaut).mean() < 4


def test_exif_orientation_is_applied(astronaut: Pixels) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned clockwise
    turned = np.ascontiguousarray(np.rot90(astronaut))
    assert np.abs(decode_photo(encode(turned, exif=exif)).astype(int) - astronaut).mean() < 4


def test_a_phones_multi_picture_file_is_its_first_picture(astronaut: Pixels) -> None:
    second = Image.fromarray(noise(64, 64))
    data = encode(astronaut, "MPO", save_all=True, append_images=[second])
    assert decode_photo(data).shape == astronaut.shape


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("side", "longest"), [(256, 2048), (512, 4096), (1024, 6000)])
def test_a_photo_is_shrunk_as_far_as_its_crop_allows(astronaut: Pixels, kind: str, side: int, longest: int) -> None:
    large = encode(np.asarray(cv2.resize(astronaut, (6000, 4500), interpolation=cv2.INTER_NEAREST), np.uint8), kind)
    assert 0.7 * longest <= max(decode_photo(large, side).shape) <= longest


def test_a_large_crop_of_a_small_face_is_cut_from_all_pixels_of_the_file(astronaut: Pixels) -> None:
    scene = np.full((3000, 4000, 3), 120, np.uint8)
    scene[:2000, 1000:3000] = cv2.resize(astronaut, (2000, 2000), interpolation=cv2.INTER_CUBIC)
    photo = encode(scene)
    small, large = (crop_face(decode_photo(photo, side), side).face.square.side for side in (256, 1024))
    assert large == pytest.approx(2 * small, rel=0.05)
    assert large > 800


def test_transparent_pixels_become_white() -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    assert (decode_photo(encode(clear, "PNG")) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK", "I;16"])
def test_every_colour_mode_becomes_rgb(astronaut: Pixels, mode: str) -> None:
    picture = Image.fromarray(astronaut)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    assert decode_photo(buffer.getvalue()).shape == astronaut.shape


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda _: b"", "not_an_image"),
        (lambda _: b"this is a text, not a picture" * 50, "not_an_image"),
        (lambda face: encode(face)[:9000], "not_an_image"),
        (lambda face: encode(face, "PNG")[:9000], "not_an_image"),
        (lambda _: png_header(10_000, 10_000), "too_large"),
        (lambda _: png_header(60_000, 60_000), "too_large"),
        (lambda _: b"\xff\xd8" + bytes(15_000_001), "too_large"),
        (lambda face: encode(face, "GIF"), "unsupported_format"),
        (lambda face: encode(face, "TIFF"), "unsupported_format"),
        (lambda _: b"\0\0\0\x18ftypheic" + bytes(100), "unsupported_format"),
        (lambda face: encode(face, "WEBP", save_all=True, append_images=[Image.fromarray(face[::-1])]), "animated"),
        (lambda _: encode(noise(300, 300)), "no_face"),
        (lambda _: encode(noise(3, 3), "PNG"), "no_face"),
        (lambda face: encode(np.hstack([face, face])), "several_faces"),
        (lambda face: encode(np.asarray(cv2.GaussianBlur(face, (0, 0), 3), np.uint8)), "blurred"),
        (lambda face: encode(np.asarray(cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA))), "too_small"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_photos_are_refused_by_code(astronaut: Pixels, make: Callable[[Pixels], bytes], code: str) -> None:
    assert reason(make(astronaut)) == code


@pytest.mark.parametrize("count", [0, 1, 2, 11])
def test_three_to_ten_photos(astronaut: Pixels, count: int) -> None:
    with pytest.raises(PhotoCountError, match="give 3 to 10"):
        read_photos([("a.jpg", encode(astronaut))] * count, lambda _: None, lambda crops: [None] * len(crops))
