"""Decoding pixels, and what there is of a picture whose end was cut off, as browsers show it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likeness.photos.jpeg import END_OF_IMAGE, open_jpeg
from likeness.photos.opened import Opened

# Of a picture that ends too early, so many of its rows must be there.
MIN_ROWS: Final = 0.9


def load_rows(opened: Opened, data: bytes, least_side: int) -> Image.Image:
    """Decode, a JPEG at a reduced scale that leaves its sides at least so many pixels; raises what Pillow does.

    Of a JPEG or PNG that ends too early only the rows that are there are decoded.

    Two kinds are refused where a browser may show something: an interlaced PNG that ends too early has all rows at a
    low resolution, and a HEIC is not decoded in part.
    """
    picture = opened.picture
    picture.draft(None, (least_side, least_side))
    try:
        picture.load()
    except OSError:
        if picture.format == "JPEG":
            return _load_cut_jpeg(data, least_side)
        if picture.format == "PNG" and not picture.info.get("interlace"):
            picture.tile = []  # Pillow has given up, and its rows are kept
            return _keep_rows(picture, _count_rows(np.asarray(picture), (0, 0)))
        raise
    return _keep_rows(picture, int(MIN_ROWS * picture.height)) if opened.padded else picture


def _load_cut_jpeg(data: bytes, least_side: int) -> Image.Image:
    """With an end, libjpeg decodes to it, in middle grey; where the last row of blocks breaks off, its right part is
    grey, so that the rightmost pixels tell.
    """
    picture = open_jpeg(data + END_OF_IMAGE).picture
    picture.draft(None, (least_side, least_side))
    picture.load()
    return _keep_rows(picture, _count_rows(np.asarray(picture)[:, -1:], (127, 128)))


def _count_rows(pixels: NDArray[np.uint8], blank: tuple[int, int]) -> int:
    """How many rows there are up to the last with a value outside the range of those that were not decoded."""
    decoded = (pixels < blank[0]) | (pixels > blank[1])
    return int(np.flatnonzero(decoded.reshape(len(pixels), -1).any(axis=1)).max(initial=-1)) + 1


def _keep_rows(picture: Image.Image, rows: int) -> Image.Image:
    if rows < int(MIN_ROWS * picture.height):
        raise OSError(f"{rows} of {picture.height} rows")
    return picture.crop((0, 0, picture.width, rows))
