"""Decoding untrusted bytes into pixels: few formats, bounded size, upright, sRGB, nothing but the picture kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likeness.errors import LikenessError, PhotoError
from likeness.photos.colour import to_full_colour, to_srgb
from likeness.photos.cut_off import load_rows
from likeness.photos.formats import format_of
from likeness.photos.heif import HEIC_IS_READ, open_avif, open_heic
from likeness.photos.jpeg import open_jpeg
from likeness.photos.opened import Opened
from likeness.photos.orientation import turn_upright
from likeness.photos.png import open_png
from likeness.photos.webp import open_webp

MOST_BYTES: Final = 15_000_000
MAX_PIXELS: Final = 64_000_000
# Faces are looked for and cut from a copy of at most this side: enough for a 256-pixel crop of a small face.
LONGEST_SIDE: Final = 2048
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


def decode_photo(data: bytes) -> NDArray[np.uint8]:
    """Decode a photo to uint8 [H, W, 3] sRGB, upright, longest side at most 2048; raises PhotoError."""
    if len(data) > MOST_BYTES:
        raise PhotoError("too_large", "The file has more than 15 MB. Use a smaller photo.")
    with refuse_what_fails(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries find odd about a file helps no user
        opened = _open(data)
        picture = _shrink(to_full_colour(load_rows(opened, data)))
        profile = opened.picture.info.get("icc_profile")
        return np.asarray(to_srgb(turn_upright(picture, opened.orientation), profile, opened.cicp))


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
        # and one photo must not end the request or the command that came with others.
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


def _shrink(picture: Image.Image) -> Image.Image:
    if max(picture.size) > LONGEST_SIDE:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    return picture
