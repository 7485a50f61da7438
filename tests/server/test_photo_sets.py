"""Photos as a set: what is the same picture, and which photos of a request are used."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.demo import write_photos
from likeness.photos import PhotosRefusedError, ReadPhotos, crop_face, decode_photo, read_photos
from likeness.photos.decode import decode_file
from likeness.photos.duplicates import FileSize, Thumbnail, find_duplicates, make_thumbnail

Pixels = NDArray[np.uint8]


def encode(pixels: Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def scaled(pixels: Pixels, scale: float) -> Pixels:
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def tilted(pixels: Pixels, degrees: float) -> Pixels:
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def moved(pixels: Pixels, share: float) -> Pixels:
    """The next frame of a burst: the head has moved by that share of the width, and the noise is another one."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    near = np.exp(-(((x / width - 0.45) / 0.25) ** 2) - ((y / height - 0.25) / 0.3) ** 2)
    shifted = cv2.remap(pixels, (x - share * width * near).astype(np.float32), y, cv2.INTER_LINEAR)
    return np.asarray(np.clip(shifted + np.random.default_rng(0).normal(0, 3, pixels.shape), 0, 255), np.uint8)


def thumbnail(data: bytes, turns: int = 0) -> Thumbnail:
    decoded = decode_file(data, 256)
    return make_thumbnail(decoded.pixels, turns, decoded.size)


def are_same(one: Thumbnail, other: Thumbnail) -> bool:
    return len(find_duplicates({0: one, 1: other})) == 1


SIZE = FileSize(2000, 900)
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6  # show it turned clockwise
COPIES: dict[str, Callable[[Pixels], bytes]] = {
    "the file itself": lambda picture: encode(picture, quality=95),
    "JPEG of quality 40": lambda picture: encode(picture, quality=40),
    "PNG": lambda picture: encode(picture, "PNG"),
    "WebP": lambda picture: encode(picture, "WEBP", quality=50),
    "AVIF": lambda picture: encode(picture, "AVIF", quality=50, speed=9),
    "three tenths, quality 40": lambda picture: encode(scaled(picture, 0.3), quality=40),
    "twice the size": lambda picture: encode(scaled(picture, 2), quality=80),
    "turned by EXIF": lambda picture: encode(np.rot90(picture), exif=SIDEWAYS),
}
OTHERS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": lambda picture: picture[:, ::-1],
    "cropped": lambda picture: picture[8:, 8:],
    "cropped to the same shape": lambda picture: picture[6:-6, 6:-6],
    "tilted by 2 degrees": lambda picture: tilted(picture, 2),
    "the next frame": lambda picture: moved(picture, 0.02),
    "darker": lambda picture: picture // 2,
    "upside down": lambda picture: np.rot90(picture, 2),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_the_same_picture(astronaut: Pixels, copy: Callable[[Pixels], bytes]) -> None:
    assert are_same(thumbnail(encode(astronaut, quality=95)), thumbnail(copy(astronaut)))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_copy_turned_by_quarters_is_the_same_picture(astronaut: Pixels, turns: int) -> None:
    wide = astronaut[:400]
    turned = encode(np.rot90(wide, -turns))
    assert are_same(thumbnail(encode(wide)), thumbnail(turned, turns))
    assert not are_same(thumbnail(encode(wide)), thumbnail(turned))


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_another_photo_is_another_picture(astronaut: Pixels, change: Callable[[Pixels], Pixels]) -> None:
    assert not are_same(thumbnail(encode(astronaut)), thumbnail(encode(change(astronaut))))


def test_the_first_of_equal_copies_is_named(astronaut: Pixels) -> None:
    one, other = thumbnail(encode(astronaut)), thumbnail(encode(astronaut[:, ::-1]))
    assert find_duplicates({0: one, 2: other, 3: one, 5: one, 6: other}) == {3: 0, 5: 0, 6: 2}


@pytest.mark.parametrize(
    ("scale", "options"),
    [(0.5, {"quality": 95}), (1, {"quality": 40}), (0.5, {"kind": "PNG"})],
    ids=["smaller", "of lower quality", "smaller, with more bytes"],
)
def test_the_best_copy_is_used_wherever_it_stands(astronaut: Pixels, scale: float, options: dict[str, Any]) -> None:
    """A file of 12 megapixels is decoded at a reduced scale, and counts as 12 all the same."""
    large = scaled(astronaut, 6 if scale < 1 else 1)
    worse, best = encode(scaled(large, scale), **options), encode(large, quality=90)
    mirrored, cut = encode(large[:, ::-1]), encode(large[: len(large) * 3 // 4])
    results = read([worse, mirrored, best, cut]).results
    assert [result.reason for result in results] == ["duplicate", None, None, None]
    assert results[0].message == "This is the same picture as 2.jpg. Use another one."


def test_pictures_of_one_colour_are_no_error() -> None:
    black = make_thumbnail(np.zeros((50, 40, 3), np.uint8), 0, SIZE)
    assert are_same(black, black)
    assert not are_same(black, make_thumbnail(np.full((50, 40, 3), 9, np.uint8), 0, SIZE))


def read(
    photos: Sequence[bytes],
    review_photo: Callable[[Pixels], str | None] = lambda _: None,
    review_photos: Callable[[Sequence[Pixels]], Sequence[str | None]] = lambda crops: [None] * len(crops),
) -> ReadPhotos:
    return read_photos([(f"{index}.jpg", photo) for index, photo in enumerate(photos)], review_photo, review_photos)


def refused(*arguments: Any) -> PhotosRefusedError:
    with pytest.raises(PhotosRefusedError) as caught:
        read(*arguments)
    return caught.value


@pytest.fixture(scope="module")
def good(astronaut: Pixels) -> list[bytes]:
    return [encode(picture) for picture in (astronaut, astronaut[:, ::-1], astronaut[:320, 70:390])]


def test_the_sample_photos_are_three(tmp_path: Any) -> None:
    assert len(read([path.read_bytes() for path in write_photos(tmp_path)]).crops) == 3


def test_three_good_photos_are_enough_and_the_others_are_named(good: list[bytes]) -> None:
    crops, results = read([b"hello", *good[:2], b"", good[0], good[2]])
    assert [(result.index, result.accepted, result.reason) for result in results] == [
        (0, False, "not_an_image"),
        (1, True, None),
        (2, True, None),
        (3, False, "not_an_image"),
        (4, False, "duplicate"),
        (5, True, None),
    ]
    assert results[4].message == "This is the same picture as 1.jpg. Use another one."
    for crop, photo in zip(crops, good, strict=True):
        assert (crop.pixels == crop_face(decode_photo(photo)).pixels).all()


def test_below_three_every_unusable_photo_is_named_and_how_many_are_missing(good: list[bytes]) -> None:
    error = refused([good[0], b"hello", good[0], b""])
    assert [(bad.index, bad.name, bad.code) for bad in error.photos] == [
        (1, "1.jpg", "not_an_image"),
        (2, "2.jpg", "duplicate"),
        (3, "3.jpg", "not_an_image"),
    ]
    *lines, last = str(error).splitlines()
    assert len(lines) == 3
    assert last == "1 of 4 photos can be used. Give at least 2 more that can."


def test_a_reviewer_may_refuse_one_photo(good: list[bytes]) -> None:
    answers = iter([None, "Too famous.", None])
    error = refused(good, lambda _: next(answers))
    assert [(bad.index, bad.code, bad.message) for bad in error.photos] == [(1, "refused_by_review", "Too famous.")]


def test_the_first_thousand_letters_of_a_reason_are_kept(good: list[bytes]) -> None:
    long = "Not you. " + "x" * 9999
    for review_photo, review_photos in (
        (lambda _: long, lambda _: pytest.fail("nothing to review")),
        (lambda _: None, lambda crops: [long] * len(crops)),
    ):
        error = refused(good, review_photo, review_photos)
        assert [bad.message for bad in error.photos] == [long[:1000]] * 3


def test_a_review_of_the_set_sees_what_is_left_and_may_leave_out_more(good: list[bytes], astronaut: Pixels) -> None:
    seen = []

    def review(crops: Sequence[Pixels]) -> list[str | None]:
        seen.append(len(crops))
        return [None, "Not you.", *[None] * (len(crops) - 2)]

    fourth = encode(astronaut[:400, 40:440])
    crops, results = read([b"", *good, fourth], lambda _: None, review)
    assert (seen, len(crops)) == ([4], 3)
    assert [result.index for result in results if not result.accepted] == [0, 2]
    assert results[2].message == "Not you."
    assert [bad.index for bad in refused([b"", *good], lambda _: None, review).photos] == [0, 2]


def test_a_set_that_is_too_small_is_not_reviewed(good: list[bytes]) -> None:
    refused([*good[:2], b""], lambda _: None, lambda _: pytest.fail("nothing to review"))
