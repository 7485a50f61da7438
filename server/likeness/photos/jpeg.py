"""Opening JPEG: Pillow gets the segments that its pixels and colours depend on, and none of the others.

An odd EXIF block, a list of further pictures or megabytes of a phone's own data can then do no harm.
"""

from __future__ import annotations

import io
from typing import Final

from PIL import JpegImagePlugin

from likeness.photos.opened import Opened
from likeness.photos.orientation import read_orientation

# JPEG decodes at 1/2, 1/4 or 1/8 of the scale for a fraction of the time; so small, but no smaller.
MIN_DRAFT: Final = 1440
END_OF_IMAGE: Final = b"\xff\xd9"
_COMMENT: Final = 0xFE
_APP: Final = range(0xE0, 0xF0)


def open_jpeg(data: bytes) -> Opened:
    """Read the header; the pixels will be decoded at a reduced scale where that leaves enough of them."""
    drawing, exif = _split(data)
    picture = JpegImagePlugin.JpegImageFile(io.BytesIO(drawing))
    size = picture.size
    picture.draft(None, (MIN_DRAFT, MIN_DRAFT))
    return Opened(picture, size, orientation=read_orientation(exif))


def _split(data: bytes) -> tuple[bytes, bytes]:
    """What is to be drawn, and the first EXIF block; from the first byte on that is no segment, all is kept."""
    kept, exif, at = [data[:2]], b"", 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"", b"\xda"):
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if length < 2:
            break
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body
        if _draws(marker, body):
            kept.append(data[at : at + 2 + length])
        at += 2 + length
    return b"".join(kept) + data[at:], exif


def _draws(marker: int, body: bytes) -> bool:
    """Whether pixels or colours depend on a segment: of the APP ones JFIF's, Adobe's and the ICC profile do."""
    if marker in _APP:
        return (
            (marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14)
            or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14)
            or (marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12)
        )
    return marker != _COMMENT
