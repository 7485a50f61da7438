"""Decoding untrusted bytes into pixels: few formats, bounded size, upright, sRGB, nothing but the picture kept."""

from __future__ import annotations

import io
import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from likeness.errors import PhotoError

MOST_BYTES: Final = 15_000_000
MOST_PIXELS: Final = 64_000_000
# Faces are looked for and cut from a copy of at most this side: enough for a 256-pixel crop of a small face.
LONGEST_SIDE: Final = 2048
# JPEG decodes at 1/2, 1/4 or 1/8 of the scale for a fraction of the time; so small, but no smaller.
LEAST_DRAFT: Final = 1440
FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF")  # a phone's MPO opens as JPEG
# What the first bytes say about formats that Likeness does not take, so that the refusal can name them.
_OTHERS: Final = (
    (b"GIF8", 0, "GIF"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"BM", 0, "BMP"),
    (b"%PDF", 0, "PDF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypheix", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIC"),
    (b"ftyphevc", 4, "HEIC"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL"),
)


def decode_photo(data: bytes) -> NDArray[np.uint8]:
    """Decode a photo to uint8 [H, W, 3] sRGB, upright, longest side at most 2048; raises PhotoError."""
    if len(data) > MOST_BYTES:
        raise PhotoError("too_large", "The file has more than 15 MB. Use a smaller photo.")
    with warnings.catch_warnings():
        # The limit of pixels below is stricter than the one that Pillow warns of.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        picture = _open(data)
        try:
            return np.asarray(_to_rgb(_shrink(picture)))
        except (OSError, SyntaxError, ValueError, MemoryError, EOFError) as error:
            raise PhotoError("not_an_image", "The picture is damaged or cut off. Save or send it again.") from error


def _open(data: bytes) -> Image.Image:
    """Read the header, and refuse by it before any pixel is decoded."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _refusal(data) from error
    except Image.DecompressionBombError as error:
        raise PhotoError("too_large", "The picture has too many pixels. Use one of at most 64 megapixels.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotoError("not_an_image", "The picture is damaged or cut off. Save or send it again.") from error
    # Many phones' JPEGs open as MPO, with a depth map or a second view as further frames: frame 0 is the photo.
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        raise PhotoError("animated", "This is an animation. Use a still photo.")
    if picture.width * picture.height > MOST_PIXELS:
        megapixels = picture.width * picture.height / 1e6
        raise PhotoError("too_large", f"The picture has {megapixels:.0f} megapixels. Use one of at most 64.")
    return picture


def _refusal(data: bytes) -> PhotoError:
    for mark, offset, name in _OTHERS:
        if data[offset : offset + len(mark)] == mark:
            return PhotoError("unsupported_format", f"This is a {name} file. Save it as JPEG, PNG, WebP or AVIF.")
    what = "The file is empty" if not data else "This is not a picture"
    return PhotoError("not_an_image", f"{what}. Use a JPEG, PNG, WebP or AVIF photo.")


def _shrink(picture: Image.Image) -> Image.Image:
    """Decode at a reduced scale where the format can, then shrink the rest of the way."""
    if picture.format in ("JPEG", "MPO"):
        picture.draft(None, (LEAST_DRAFT, LEAST_DRAFT))
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _from_deep(picture)
    if max(picture.size) > LONGEST_SIDE:
        # Palettes and bitmaps have no intermediate colours: go to full colour before resampling.
        smooth = picture.convert("RGBA") if picture.mode in ("P", "1", "PA") else picture
        smooth.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
        smooth.info = picture.info
        return smooth
    return picture


def _from_deep(picture: Image.Image) -> Image.Image:
    """16-bit grey to 8-bit grey."""
    values = np.asarray(picture).astype(np.float64)
    return Image.fromarray((values / 257).clip(0, 255).astype(np.uint8))


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Through the embedded profile to sRGB, transparent parts over white."""
    coloured = _to_srgb(picture)
    if "A" in coloured.getbands() or "transparency" in coloured.info:
        layered = coloured.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return coloured.convert("RGB")


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture  # a broken profile is common, and says nothing against the picture
    return converted or picture
