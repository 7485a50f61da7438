"""All photos of one request, read in this process: every bad one is found before any is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from likeness.errors import PhotoError, PhotoResult, ReviewError
from likeness.photos.crop import SIDE, Crop, crop_face
from likeness.photos.decode import decode_file, refuse_what_fails
from likeness.photos.duplicates import Thumbnail, make_thumbnail
from likeness.photos.photo_set import PhotoSet, check_count

Pixels = NDArray[np.uint8]


class ReadPhotos(NamedTuple):
    """The crops of the photos that are used, in their order, and what became of every photo given."""

    crops: list[Crop]
    results: list[PhotoResult]


def read_photos(
    sources: Sequence[tuple[str, bytes]],
    review_photo: Callable[[Pixels], str | None],
    review_photos: Callable[[Sequence[Pixels]], Sequence[str | None]],
    side: int = SIDE,
) -> ReadPhotos:
    """Read (name, bytes) pairs into crops of `side` pixels; raises PhotoCountError, or PhotosRefusedError where fewer
    than three can be used.

    The reviews get crops and return reasons to refuse; the second sees those that are fine by themselves, and returns
    a reason or None for each.
    """
    check_count(len(sources))
    photos = [_read(data, review_photo, side) for _, data in sources]
    thumbnails = [photo if isinstance(photo, PhotoError) else photo[1] for photo in photos]
    crops = {index: photo[0] for index, photo in enumerate(photos) if not isinstance(photo, PhotoError)}
    photo_set = PhotoSet([name for name, _ in sources], thumbnails)
    photo_set.check_enough()
    photo_set.apply_review(review_photos([crops[index].pixels for index in photo_set.usable]))
    photo_set.check_enough()
    return ReadPhotos([crops[index] for index in photo_set.usable], photo_set.results())


def read_photo(data: bytes, review: Callable[[Pixels], str | None], side: int = SIDE) -> tuple[Crop, Thumbnail]:
    """Decode, crop and review one photo; raises PhotoError."""
    decoded = decode_file(data, side)
    with refuse_what_fails():
        crop = crop_face(decoded.pixels, side)
        thumbnail = make_thumbnail(decoded.pixels, crop.turns, decoded.size)
    if (reason := review(crop.pixels)) is not None:
        raise ReviewError(reason)
    return crop, thumbnail


def _read(data: bytes, review: Callable[[Pixels], str | None], side: int) -> tuple[Crop, Thumbnail] | PhotoError:
    try:
        return read_photo(data, review, side)
    except PhotoError as error:
        return error
