"""Colours come out in sRGB: whatever the mode, the profile or the code points of a file."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from likeness.photos import decode_photo
from likeness.photos.cicp import HLG, PQ
from likeness.photos.icc import read_matrix_profile
from tests.server.photos.files import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    Pixels,
    cmyk_profile,
    encode,
    grey_profile,
    plain,
    rgb_profile,
    with_chunk,
)

RED = (255, 0, 0)
P3_RED = (234, 51, 35)
# What sRGB's red is in these.
RED_IN = {
    "Display P3": (DISPLAY_P3, P3_RED),
    "Adobe RGB": (ADOBE_RGB, (219, 0, 0)),
    "ProPhoto": (PROPHOTO, (179, 70, 27)),
}


def middle(data: bytes) -> Pixels:
    return decode_photo(data)[32, 32]


def near(pixel: Pixels, expected: tuple[int, int, int], most: int = 3) -> bool:
    return bool(np.abs(pixel.astype(int) - expected).max() <= most)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "HEIC", "JPEG"])
@pytest.mark.parametrize("space", RED_IN)
def test_a_profile_is_applied_in_every_format(kind: str, space: str) -> None:
    profile, red = RED_IN[space]
    lossless = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}, "HEIC": {"chroma": 444}}
    data = encode(plain(red), kind, icc_profile=rgb_profile(profile), **lossless.get(kind, {}))
    assert near(middle(data), RED, 6)


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "P", "P with one clear colour", "P with alpha", "RGB with a clear colour"]
)
def test_a_profile_is_applied_in_every_mode(mode: str) -> None:
    picture = plain((*P3_RED, 255), "RGBA")
    picture.paste((0, 0, 255, 0), (0, 0, 8, 8))
    options = {}
    if mode.startswith("P"):
        picture = picture.convert("RGB").quantize(8)
        clear = picture.getpixel((2, 2))
        assert isinstance(clear, int)
        if "alpha" in mode:
            options["transparency"] = bytes(0 if index == clear else 255 for index in range(8))
        elif "clear" in mode:
            options["transparency"] = clear
    elif mode != "RGBA":
        picture = picture.convert("RGB")
        if "clear" in mode:
            options["transparency"] = (0, 0, 255)
    pixels = decode_photo(encode(picture, "PNG", icc_profile=rgb_profile(DISPLAY_P3), **options))
    assert near(pixels[32, 32], RED)
    if mode not in ("RGB", "P"):
        assert (pixels[2, 2] == 255).all()


def test_what_is_half_transparent_is_mixed_with_white_in_srgb() -> None:
    data = encode(plain((*P3_RED, 128), "RGBA"), "PNG", icc_profile=rgb_profile(DISPLAY_P3))
    assert near(middle(data), (255, 127, 127))


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_profile_of_grey_is_applied(mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((64, 64), 128 * 257, np.uint16))
    else:
        picture = plain(128 if mode == "L" else (128, 255), mode)
    expected = round(255 * (1.055 * (128 / 255) ** (1 / 2.4) - 0.055))
    assert near(middle(encode(picture, "PNG", icc_profile=grey_profile(1.0))), (expected,) * 3)


def test_black_and_white_stay_so() -> None:
    assert near(middle(encode(plain(1, "1"), "PNG", icc_profile=grey_profile(1.0))), (255, 255, 255), 0)


def test_a_grey_of_16_bits_can_stand_for_transparency() -> None:
    values = np.full((64, 64), 0x8000, np.uint16)
    values[0:8] = 0x1234
    data = with_chunk(encode(Image.fromarray(values), "PNG"), b"tRNS", b"\x12\x34")
    pixels = decode_photo(data)
    assert (pixels[2, 2] == 255).all()
    assert near(pixels[32, 32], (128, 128, 128))


def with_curve(curve: bytes) -> bytes:
    """A profile whose three channels have this curve, at its end."""
    profile = bytearray(rgb_profile(DISPLAY_P3))
    for index in range(int.from_bytes(profile[128:132])):
        place = 132 + 12 * index
        if profile[place + 1 : place + 4] == b"TRC":
            profile[place + 4 : place + 12] = struct.pack(">II", len(rgb_profile(DISPLAY_P3)), len(curve))
    profile += curve
    return len(profile).to_bytes(4) + bytes(profile[4:])


CURVES = {
    "sRGB's": rgb_profile(DISPLAY_P3),
    "an exponent": rgb_profile(ADOBE_RGB),
    "a parametric exponent": with_curve(b"para" + struct.pack(">IHHi", 0, 0, 0, round(2.2 * 65536))),
    "a table": with_curve(b"curv" + struct.pack(">II5H", 0, 5, 0, 4000, 16000, 37000, 65535)),
    "none": with_curve(b"curv" + struct.pack(">II", 0, 0)),
}


@pytest.mark.parametrize("profile", CURVES.values(), ids=CURVES)
def test_a_matrix_profile_gives_the_values_of_littlecms(profile: bytes) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = ImageCms.profileToProfile(Image.fromarray(pixels), source, ImageCms.createProfile("sRGB"))
    matrix = read_matrix_profile(profile)
    assert matrix is not None
    assert np.abs(matrix.to_srgb(pixels).astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize(
    "profile",
    [
        CURVES["a table"][:128] + b"\xff" * 4 + CURVES["a table"][132:],
        with_curve(b"curv" + struct.pack(">IIH", 0, 0xFFFFFFFF, 0)),
        with_curve(b"para" + struct.pack(">IHH", 0, 9, 0)),
        with_curve(b"para" + struct.pack(">IHHi", 0, 0, 0, -65536)),
        with_curve(b"para"),
    ],
    ids=["tags without end", "a table without end", "an unknown kind", "no number", "nothing"],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_matrix_profile_that_is_broken_is_left_to_littlecms(profile: bytes) -> None:
    assert read_matrix_profile(profile) is None
    assert middle(encode(plain(P3_RED), "PNG", icc_profile=profile)).shape == (3,)


def test_ink_goes_through_its_profile() -> None:
    data = encode(plain((255, 0, 0, 0), "CMYK"), "JPEG", icc_profile=cmyk_profile(), quality=95)
    pixel = middle(data).astype(int)
    assert np.ptp(pixel) < 6
    assert 120 < pixel.mean() < 200


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile at all" * 20,
        rgb_profile(DISPLAY_P3)[:150],
        bytes(len(rgb_profile(DISPLAY_P3))),
        grey_profile(1.0),
        cmyk_profile(),
        rgb_profile(DISPLAY_P3).replace(b"para", b"none"),
    ],
    ids=["empty", "a text", "cut off", "zeros", "of grey", "of ink", "without curves"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_profile_that_does_not_fit_is_ignored(profile: bytes, mode: str) -> None:
    colour = P3_RED if mode == "RGB" else (*P3_RED, 255)
    assert near(middle(encode(plain(colour, mode), "PNG", icc_profile=profile)), P3_RED, 0)


@pytest.mark.parametrize(("primaries", "value"), [(12, P3_RED), (9, (202, 61, 31))], ids=["Display P3", "BT.2020"])
@pytest.mark.parametrize("kind", ["PNG", "HEIC", "AVIF"])
def test_wide_colours_by_code_points_alone(primaries: int, value: tuple[int, int, int], kind: str) -> None:
    assert near(middle(coded(plain(value), primaries, 13, kind)), RED, 8)


@pytest.mark.parametrize("kind", ["PNG", "HEIC", "AVIF"])
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_hdr_looks_like_the_photo_that_it_was_made_of(astronaut: Pixels, kind: str, transfer: int) -> None:
    """The face keeps its light and its hue, in BT.2020 as in Display P3."""
    for primaries in (9, 12):
        data = coded(Image.fromarray(in_hdr(astronaut, primaries, transfer)), primaries, transfer, kind)
        face, expected = decode_photo(data)[70:150, 180:260], astronaut[70:150, 180:260]
        difference = face.astype(int).mean(axis=(0, 1)) - expected.mean(axis=(0, 1))
        assert np.abs(difference).max() < 25, (primaries, difference)


def test_light_over_paper_white_is_white_and_paper_is_nearly_so() -> None:
    for code, least, most in ((255, 255, 255), (148, 220, 240), (0, 0, 0)):
        pixel = middle(coded(plain((code,) * 3), 9, PQ, "PNG"))
        assert least <= pixel.min() <= pixel.max() <= most


def test_a_profile_counts_before_code_points_that_are_not_hdr() -> None:
    data = encode(plain(P3_RED), "PNG", icc_profile=rgb_profile(DISPLAY_P3))
    assert near(middle(with_chunk(data, b"cICP", bytes((9, 13, 0, 1)))), RED)


def test_a_gain_map_s_code_points_are_not_the_picture_s() -> None:
    """Further items of a file, HDR ones among them, may come with code points of their own."""
    data = coded(plain(P3_RED), 12, 13, "AVIF")
    at = data.index(b"ipco")
    other = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 9, PQ, 9, 128)
    assert near(middle(grown(data, at + 4 + box_length(data, at) - 8, other)), RED, 8)


def coded(picture: Image.Image, primaries: int, transfer: int, kind: str) -> bytes:
    """A file without a profile whose code points are these."""
    if kind == "PNG":
        return with_chunk(encode(picture, "PNG"), b"cICP", bytes((primaries, transfer, 0, 1)))
    if kind == "HEIC":
        points = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6}
        return encode(picture, "HEIC", chroma=444, quality=95, full_range_flag=1, **points)
    data = bytearray(encode(picture, "AVIF", quality=95, subsampling="4:4:4"))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def box_length(data: bytes, at: int) -> int:
    """Of the box whose kind stands there."""
    return int.from_bytes(data[at - 4 : at])


def grown(data: bytes, at: int, box: bytes) -> bytes:
    """The file with a box put in at the end of ipco: the boxes around it, and the pictures' places, grow by it."""
    longer = bytearray(data)
    for kind in (b"meta", b"iprp", b"ipco"):
        place = data.index(kind)
        longer[place - 4 : place] = (box_length(data, place) + len(box)).to_bytes(4)
    place = data.index(b"iloc") + 4
    assert data[place : place + 6] == b"\0\0\0\0\x44\0", "the extents have places and lengths of four bytes"
    place += 14
    longer[place : place + 4] = (int.from_bytes(data[place : place + 4]) + len(box)).to_bytes(4)
    return bytes(longer[:at] + box + longer[at:])


def in_hdr(pixels: Pixels, primaries: int, transfer: int) -> Pixels:
    """An sRGB picture as a camera would have coded its light, with paper white at 203 nits."""
    values = pixels / 255
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    to_p3 = np.array([[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]])
    light = (light @ (to_bt2020 if primaries == 9 else to_p3).T).clip(0, 1)
    if transfer == PQ:
        root = (light * 203 / 10_000) ** 0.1593017578125
        coded = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    else:
        nits = light * 203 / 1000
        scene = nits * np.maximum(nits @ (0.2627, 0.678, 0.0593), 1e-6)[..., None] ** (1 / 1.2 - 1)
        high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
        coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
    return np.asarray((coded.clip(0, 1) * 255 + 0.5).astype(np.uint8))
