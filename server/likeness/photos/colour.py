"""Any mode and any profile to RGB in sRGB, transparent parts over white."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from likeness.photos import cicp as code_points
from likeness.photos.cicp import Cicp
from likeness.photos.icc import read_matrix_profile

# The modes that are converted, and what a profile's header calls their colours.
_SPACES: Final = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}


def to_full_colour(picture: Image.Image) -> Image.Image:
    """To RGB, L or CMYK of 8 bits, or with transparency to RGBA or LA: modes that can be resampled."""
    if picture.mode == "I;16":
        picture = _from_deep(picture)
    if picture.has_transparency_data:
        return picture.convert("LA" if picture.mode in ("1", "L", "LA") else "RGBA")
    if picture.mode in _SPACES:
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def to_srgb(picture: Image.Image, profile: bytes | None, cicp: Cicp | None) -> NDArray[np.uint8]:
    """Convert one of the modes of `to_full_colour` to uint8 [H, W, 3]; code points count where there is no profile, or
    for HDR.
    """
    if "A" not in picture.getbands():
        return _convert(picture, profile, cicp)
    converted = _convert(picture.convert(picture.mode.removesuffix("A")), profile, cicp)
    white = Image.new("RGB", picture.size, "white")
    white.paste(Image.fromarray(converted), mask=picture.getchannel("A"))
    return np.asarray(white)


def _convert(picture: Image.Image, profile: bytes | None, cicp: Cicp | None) -> NDArray[np.uint8]:
    if cicp is not None and not cicp.is_srgb and (cicp.is_hdr or not profile):
        return code_points.to_srgb(_pixels(picture), cicp)
    return _through_profile(picture, profile)


def _through_profile(picture: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    if not profile or profile[16:20] != _SPACES[picture.mode]:
        return _pixels(picture)  # there is none, or one for another kind of picture
    if (matrix := read_matrix_profile(profile)) is not None:
        return matrix.to_srgb(_pixels(picture))
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return _pixels(picture)  # a broken profile is common, and says nothing against the picture
    return _pixels(converted or picture)


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _from_deep(picture: Image.Image) -> Image.Image:
    """16-bit grey to 8-bit grey; a grey that stands for transparency becomes an alpha channel."""
    values = np.asarray(picture)
    grey = Image.fromarray((values // 257).astype(np.uint8))
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(255 * (values != clear).astype(np.uint8)))
    return grey
