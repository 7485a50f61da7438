"""Any mode and any profile to RGB in sRGB, transparent parts over white."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image, ImageCms

from likeness.photos import cicp as code_points
from likeness.photos.cicp import Cicp

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


def to_srgb(picture: Image.Image, profile: bytes | None, cicp: Cicp | None) -> Image.Image:
    """Convert one of the modes of `to_full_colour`; code points count where there is no profile, or for HDR."""
    alpha = picture.getchannel("A") if "A" in picture.getbands() else None
    colours = picture if alpha is None else picture.convert(picture.mode.removesuffix("A"))
    if cicp is not None and not cicp.is_srgb and (cicp.is_hdr or not profile):
        converted = Image.fromarray(code_points.to_srgb(np.asarray(colours.convert("RGB")), cicp))
    else:
        converted = _through_profile(colours, profile)
        if converted.mode != "RGB":
            converted = converted.convert("RGB")
    if alpha is None:
        return converted
    white = Image.new("RGB", converted.size, "white")
    white.paste(converted, mask=alpha)
    return white


def _through_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile or profile[16:20] != _SPACES[picture.mode]:
        return picture  # there is none, or one for another kind of picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture  # a broken profile is common, and says nothing against the picture
    return converted or picture


def _from_deep(picture: Image.Image) -> Image.Image:
    """16-bit grey to 8-bit grey; a grey that stands for transparency becomes an alpha channel."""
    values = np.asarray(picture)
    grey = Image.fromarray((values // 257).astype(np.uint8))
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(255 * (values != clear).astype(np.uint8)))
    return grey
