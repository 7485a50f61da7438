"""Is the same picture found twice in a set, and nothing else? Is a stranger among one person's photos named?

Held-out portraits are saved again in other sizes and formats, and changed as another photo of the person would be:
light, tilt, blur, noise, sunglasses. `likeness_identity` compares the faces of sets of these.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import Figure
from likeness.packs import is_identity_installed
from likeness.photos import PhotoError, crop_face, decode_photo
from likeness.photos.duplicates import FileSize, Thumbnail, find_duplicates, make_thumbnail
from likeness_identity.faces import EYE_DISTANCE, EYES_X, EYES_Y, embed
from likeness_identity.groups import find_strangers

Pixels = NDArray[np.uint8]
Embeddings = NDArray[np.float32]
SET_SIZES = (3, 4, 5, 6, 8)
DARK = (22, 20, 20)


def copies(picture: Pixels) -> Iterator[Pixels]:
    """The same picture as others would save it."""
    for kind, scale, quality in (("JPEG", 1, 40), ("JPEG", 0.5, 60), ("JPEG", 2, 95), ("WEBP", 1, 50), ("AVIF", 1, 50)):
        yield decode_photo(_encode(_scale(picture, scale), kind, quality=quality))


def other_photos(picture: Pixels) -> Iterator[Pixels]:
    """What is nearly the same picture, and counts as another photo."""
    width = picture.shape[1]
    yield picture[:, ::-1]
    yield picture[:, round(0.02 * width) :]
    yield _tilt(picture, 2)


def one_person(picture: Pixels, seed: int) -> Iterator[Pixels]:
    """The picture, and what other photos of the person may look like."""
    rng = np.random.default_rng(seed)
    ramp = np.clip(np.linspace(-0.9, 1.9, picture.shape[1]), 0, 1)[None, :, None]
    noisy = np.clip(picture + rng.normal(0, 10, picture.shape), 0, 255).astype(np.uint8)
    yield picture
    yield np.asarray(255 * (picture / 255) ** 2.2, np.uint8)
    yield np.asarray(np.clip(picture * (0.4 + 0.75 * (ramp[:, ::-1] if seed % 2 else ramp)), 0, 255), np.uint8)
    yield _tilt(picture, 15 if seed % 2 else -15)
    yield np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.004 * picture.shape[1]), np.uint8)
    yield decode_photo(_encode(noisy, "JPEG", quality=40))
    yield np.ascontiguousarray(picture[:, ::-1])
    yield with_sunglasses(picture)


def with_sunglasses(picture: Pixels) -> Pixels:
    """Two dark glasses drawn where the crop has the eyes; raises PhotoError."""
    crop = crop_face(picture)
    side = len(crop.pixels)
    back = cv2.invertAffineTransform(crop.matrix)
    unit = EYE_DISTANCE * side * float(np.hypot(*back[:, 0]))
    drawn = picture.copy()
    places = [back @ np.array([(EYES_X + half * EYE_DISTANCE) * side, EYES_Y * side, 1]) for half in (-0.5, 0.5)]
    for x, y in places:
        axes = round(0.4 * unit), round(0.32 * unit)
        cv2.ellipse(drawn, (round(x), round(y)), axes, 0, 0, 360, DARK, -1, cv2.LINE_AA)
    return drawn


def duplicates_found(pictures: Sequence[Pixels]) -> float:
    """The share of copies that are found."""
    pairs = [(_thumbnail(picture), _thumbnail(copy)) for picture in pictures for copy in copies(picture)]
    return float(np.mean([_are_same(*pair) for pair in pairs]))


def duplicates_wrongly_found(pictures: Sequence[Pixels]) -> float:
    """The share of other photos, and of pairs of different people, that count as the same picture."""
    pairs = [(_thumbnail(picture), _thumbnail(other)) for picture in pictures for other in other_photos(picture)]
    whole = [_thumbnail(picture) for picture in pictures]
    pairs += [(one, other) for index, one in enumerate(whole) for other in whole[:index]]
    return float(np.mean([_are_same(*pair) for pair in pairs]))


def embed_people(pictures: Sequence[Pixels]) -> list[Embeddings]:
    """Embeddings of every usable photo of each person, float32 [n, 128]; 0.15 s a photo."""
    return [embed(list(_crops(one_person(picture, seed)))) for seed, picture in enumerate(pictures)]


def one_person_refused(people: Sequence[Embeddings], seed: int = 0) -> float:
    """The share of sets of one person of which any photo is left out."""
    rng = np.random.default_rng(seed)
    sets = [_choose(rng, person, size) for person in people for size in SET_SIZES if size <= len(person)]
    return float(np.mean([find_strangers(photos) != [] for photos in sets]))


def strangers_named(people: Sequence[Embeddings], seed: int = 0) -> float:
    """The share of sets with one photo of somebody else in which that one is left out, and no other."""
    rng = np.random.default_rng(seed)
    named = []
    for index, person in enumerate(people):
        for size in SET_SIZES:
            stranger = people[(index + int(rng.integers(1, len(people)))) % len(people)]
            if size > len(person) or not len(stranger):
                continue
            place = int(rng.integers(size))
            photos = np.insert(_choose(rng, person, size - 1), place, _choose(rng, stranger, 1), axis=0)
            named.append(find_strangers(photos) == [place])
    return float(np.mean(named))


def photo_set_figures(pictures: Sequence[Pixels]) -> list[Figure]:
    """All of the rates, as figures; those of faces only where the extra `identity` is installed."""
    figures = [
        Figure("copies of a picture found", 100 * duplicates_found(pictures), "%", "higher", 99),
        Figure("other photos taken for copies", 100 * duplicates_wrongly_found(pictures), "%", "lower", 0.1),
    ]
    if is_identity_installed():
        people = embed_people(pictures)
        figures += [
            Figure("strangers named, and nobody else", 100 * strangers_named(people), "%", "higher", 95),
            Figure("sets of one person that lose a photo", 100 * one_person_refused(people), "%", "lower", 1),
        ]
    return figures


def _choose(rng: np.random.Generator, photos: Embeddings, count: int) -> Embeddings:
    return photos[rng.choice(len(photos), count, replace=False)]


def _crops(pictures: Iterator[Pixels]) -> Iterator[Pixels]:
    """The crops of those photos that can be used."""
    while True:
        try:
            yield crop_face(next(pictures)).pixels
        except PhotoError:
            continue
        except StopIteration:
            return


def _thumbnail(picture: Pixels) -> Thumbnail:
    return make_thumbnail(np.ascontiguousarray(picture), 0, FileSize(picture.size, 0))


def _are_same(one: Thumbnail, other: Thumbnail) -> bool:
    return bool(find_duplicates({0: one, 1: other}))


def _encode(picture: Pixels, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def _scale(picture: Pixels, scale: float) -> Pixels:
    height, width = picture.shape[:2]
    size = round(width * scale), round(height * scale)
    return np.asarray(
        cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )


def _tilt(picture: Pixels, degrees: float) -> Pixels:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height * 0.4), degrees, 0.9)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
