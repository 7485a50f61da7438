"""Decoding untrusted bytes into pixels: few formats, bounded size, upright, sRGB, nothing but the picture kept."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likeness.errors import LikenessError, PhotoError
from likeness.photos.colour import to_full_colour, to_srgb
from likeness.photos.crop import SIDE
from likeness.photos.cut_off import load_rows
from likeness.photos.duplicates import FileSize
from likeness.photos.formats import format_of
from likeness.photos.heif import HEIC_IS_READ, open_avif, open_heic
from likeness.photos.jpeg import open_jpeg
from likeness.photos.opened import Opened
from likeness.photos.orientation import turn_upright
from likeness.photos.png import open_png
from likeness.photos.webp import open_webp

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 15_000_000
MAX_PIXELS: Final = 64_000_000
# In sides of the crop that is to be made: how long a picture may stay, so that a face of a sixteenth of its length is
# not enlarged, and how short JPEG's own reduced scales, which take a fraction of the time, may make it.
LONGEST_SIDES: Final = 8
LEAST_SIDES: Final = 5.625
# A narrower strip shows no face, and would shrink to nothing.
MAX_ASPECT: Final = 20
_OPENERS: Final[Mapping[str | None, Callable[[bytes], Opened]]] = {
    "JPEG": open_jpeg,
    "PNG": open_png,
    "WebP": open_webp,
    "AVIF": open_avif,
    "HEIC": open_heic,
}
_TAKEN: Final = "JPEG, PNG, WebP, AVIF or HEIC" if HEIC_IS_READ else "JPEG, PNG, WebP or AVIF"


class Decoded(NamedTuple):
    """A picture, uint8 [H, W, 3] sRGB, upright, and the size of its file, which may have more pixels."""

    pixels: NDArray[np.uint8]
    size: FileSize


def decode_photo(data: bytes, side: int = SIDE) -> NDArray[np.uint8]:
    """The pixels alone of `decode_file`."""
    return decode_file(data, side).pixels


def decode_file(data: bytes, side: int) -> Decoded:
    """Decode a photo for crops of `side` pixels; its longer side is at most eight times that; raises PhotoError."""
    if len(data) > MOST_BYTES:
        raise PhotoError("too_large", "The file has more than 15 MB. Use a smaller photo.")
    with refuse_what_fails(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries find odd about a file helps no user
        opened = _open(data)
        picture = to_full_colour(load_rows(opened, data, round(LEAST_SIDES * side)))
        longest = LONGEST_SIDES * side
        if max(picture.size) > longest:
            picture.thumbnail((longest, longest), Image.Resampling.BOX, reducing_gap=2.0)
        profile = opened.picture.info.get("icc_profile")
        pixels = to_srgb(turn_upright(picture, opened.orientation), profile, opened.cicp)
        width, height = opened.size
        return Decoded(pixels, FileSize(width * height, len(data)))


@contextmanager
def refuse_what_fails() -> Iterator[None]:
    """Turn whatever a library raises about a photo into that photo's refusal, PhotoError."""
    try:
        yield
    except LikenessError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError("too_large", "The picture has too many pixels. Use one of at most 64 megapixels.") from error
    except MemoryError as error:
        raise PhotoError("not_an_image", "The picture takes too much memory to read. Use a smaller one.") from error
    except Exception as error:
        # Pillow, OpenCV, libheif and LittleCMS raise far more than they document, from struct.error to SystemError,
        # and one photo must not end the request or the command that came with others. Their texts may quote the file.
        place = traceback.extract_tb(error.__traceback__)[-1]
        logger.debug("A photo is refused for %s in %s:%s.", type(error).__name__, place.filename, place.lineno)
        raise PhotoError("not_an_image", "The picture is damaged or cut off. Save or send it again.") from error


def _open(data: bytes) -> Opened:
    """Read the header, and refuse by it before any pixel is decoded."""
    kind = format_of(data)
    opener = _OPENERS.get(kind)
    if opener is None:
        raise _refusal(data, kind)
    opened = opener(data)
    if opened.frames > 1:
        raise PhotoError("animated", "This is an animation. Use a still photo.")
    width, height = opened.size
    if width * height > MAX_PIXELS:
        megapixels = width * height / 1e6
        raise PhotoError("too_large", f"The picture has {megapixels:.0f} megapixels. Use one of at most 64.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PhotoError("too_small", f"The picture is {width} x {height} pixels, too narrow for a face. Use a photo.")
    return opened


def _refusal(data: bytes, kind: str | None) -> PhotoError:
    if kind == "video":
        return PhotoError("unsupported_format", f"This is a video. Use a photo: {_TAKEN}.")
    if kind is not None:
        return PhotoError("unsupported_format", f"This is a {kind} file. Save it as {_TAKEN}.")
    what = "The file is empty" if not data else "This is not a picture"
    return PhotoError("not_an_image", f"{what}. Use a {_TAKEN} photo.")
