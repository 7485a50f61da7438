"""Pictures come out upright, whatever else their EXIF says, and each is turned once."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from likeness.photos import decode_photo
from likeness.photos.orientation import read_orientation
from tests.server.photos.files import Pixels, encode, exif, orientation, with_chunk

FORMATS = ["JPEG", "MPO", "PNG", "WEBP", "AVIF"]
LOSSLESS: dict[str, dict[str, Any]] = {"WEBP": {"quality": 95}, "AVIF": {"quality": 95}}
RESOLUTION_UNIT, X_RESOLUTION, ARTIST = 0x0128, 0x011A, 0x013B
# Entries that Pillow writes back wrongly or not at all, beside an orientation of 6.
ODD = {
    "a resolution unit that is a float": (RESOLUTION_UNIT, 11, 1, struct.pack(">f", 2.0)),
    "a resolution in letters": (X_RESOLUTION, 2, 4, b"72\0\0"),
    "a resolution of no values": (X_RESOLUTION, 2, 0, bytes(4)),
    "a LONG8": (ARTIST, 16, 1, bytes(4)),
    "a type that does not exist": (ARTIST, 99, 1, bytes(4)),
    "a value far outside": (ARTIST, 2, 4_000_000_000, b"\xff\xff\xff\xff"),
    "a directory of its own that is the first": (0x8769, 4, 1, struct.pack(">I", 8)),
}


def saved(picture: Pixels, kind: str, block: bytes) -> bytes:
    if kind == "PNG":
        return with_chunk(encode(picture, "PNG"), b"eXIf", block.removeprefix(b"Exif\0\0"))
    if kind == "MPO":
        small = Image.fromarray(picture[:64, :64])
        return encode(picture, "MPO", save_all=True, append_images=[small], exif=block)
    return encode(picture, kind, exif=block, **LOSSLESS.get(kind, {}))


def stored(upright: Pixels, value: int) -> Pixels:
    """What a camera held that way wrote, found by asking Pillow which turn leads back."""
    for turn in (None, *Image.Transpose):
        picture = Image.fromarray(upright)
        picture = picture if turn is None else picture.transpose(turn)
        tagged = picture.copy()
        tagged.getexif()[0x0112] = value
        if ImageOps.exif_transpose(tagged).tobytes() == Image.fromarray(upright).tobytes():
            return np.asarray(picture)
    raise AssertionError(value)


def close(data: bytes, expected: Pixels) -> bool:
    pixels = decode_photo(data)
    return pixels.shape == expected.shape and bool(np.abs(pixels.astype(int) - expected).mean() < 6)


@pytest.fixture
def upright(astronaut: Pixels) -> Pixels:
    return np.ascontiguousarray(astronaut[:240, 100:300])


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", FORMATS)
def test_each_orientation_in_each_format(upright: Pixels, kind: str, value: int) -> None:
    assert close(saved(stored(upright, value), kind, exif(orientation(value))), upright)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", FORMATS)
def test_an_odd_entry_beside_it_does_no_harm(upright: Pixels, kind: str, odd: str) -> None:
    if kind == "AVIF":  # Pillow cannot write it, so it takes the place of a harmless one
        harmless = exif(orientation(6), (ARTIST, 2, 4, b"abc\0"))
        data = saved(stored(upright, 6), kind, harmless)
        wanted = exif((ARTIST, 2, 4, b"abc\0")).removeprefix(b"Exif\0\0")
        assert wanted in data
        data = data.replace(wanted, exif(ODD[odd]).removeprefix(b"Exif\0\0"))
    else:
        data = saved(stored(upright, 6), kind, exif(orientation(6), ODD[odd]))
    assert close(data, upright)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0\0",
        b"Exif\0\0garbage and nothing else",
        exif(),
        exif(orientation(6))[:20],
        exif(orientation(0)),
        exif(orientation(9)),
        exif(orientation(65535)),
        exif((0x0112, 11, 1, struct.pack(">f", 6.0))),
        exif((0x0112, 2, 2, b"6\0\0\0")),
        exif((0x0112, 3, 2, struct.pack(">HH", 6, 6))),
        exif((0x0112, 16, 1, bytes(4))),
        exif(following=8),
        b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 65535),
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nonsense_means_upright(upright: Pixels, kind: str, block: bytes) -> None:
    assert close(saved(upright, kind, block), upright)


def test_both_byte_orders_and_all_integer_types() -> None:
    assert read_orientation(exif(orientation(8, "<"), order="<")) == 8
    assert read_orientation(exif(orientation(8))) == 8
    assert read_orientation(exif((0x0112, 4, 1, struct.pack(">I", 3)))) == 3
    assert read_orientation(exif((0x0112, 1, 1, b"\3\0\0\0"))) == 3
    assert read_orientation(exif(orientation(5), (ARTIST, 2, 4, b"abc\0"), following=8)) == 5


def test_a_heic_is_turned_by_its_own_property_and_not_once_more_by_exif(upright: Pixels) -> None:
    """Apple writes both; libheif applies the first."""
    data = encode(stored(upright, 6), "HEIC", quality=90, exif=exif(orientation(6)))
    assert b"irot" in data
    assert close(data, upright)


def test_exif_alone_does_not_turn_a_heic(upright: Pixels) -> None:
    """As ISO/IEC 23008-12 has it, and as other viewers do."""
    harmless, turned = (exif(orientation(value)).removeprefix(b"Exif\0\0") for value in (1, 6))
    data = encode(upright, "HEIC", quality=90, exif=exif(orientation(1)))
    assert b"irot" not in data
    assert harmless in data
    assert close(data.replace(harmless, turned), upright)
