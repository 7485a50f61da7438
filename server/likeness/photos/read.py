"""All photos of one request: every bad one is found before any is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from likeness.errors import BadPhoto, PhotoCountError, PhotoError, PhotosRefusedError
from likeness.photos.crop import SIDE, Crop, crop_face
from likeness.photos.decode import decode_photo

FEWEST: Final = 3
MOST: Final = 10

Pixels = NDArray[np.uint8]


def read_photos(
    sources: Sequence[tuple[str, bytes]],
    review_photo: Callable[[Pixels], str | None],
    review_photos: Callable[[Sequence[Pixels]], str | None],
    side: int = SIDE,
) -> list[Crop]:
    """Read (name, bytes) pairs into crops of `side` pixels, in their order; raises PhotoCountError, or
    PhotosRefusedError naming each bad one.

    The reviews get crops and return a reason to refuse, or None; the second sees all of them, once each is fine by
    itself.
    """
    if not FEWEST <= len(sources) <= MOST:
        raise PhotoCountError(len(sources), FEWEST, MOST)
    crops, bad = [], []
    for index, (name, data) in enumerate(sources):
        try:
            crops.append(_read(data, review_photo, side))
        except PhotoError as error:
            bad.append(BadPhoto(index, name, error.reason, str(error)))
    if not bad and (reason := review_photos([crop.pixels for crop in crops])) is not None:
        bad = [BadPhoto(index, name, "refused_by_review", reason) for index, (name, _) in enumerate(sources)]
    if bad:
        raise PhotosRefusedError(bad)
    return crops


def _read(data: bytes, review: Callable[[Pixels], str | None], side: int) -> Crop:
    crop = crop_face(decode_photo(data), side)
    if (reason := review(crop.pixels)) is not None:
        raise PhotoError("refused_by_review", reason)
    return crop
