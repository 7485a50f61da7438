"""Opening JPEG: Pillow gets the segments that its pixels and colours depend on, and none of the others.

An odd EXIF block, a list of further pictures or megabytes of a phone's own data can then do no harm.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Final

from PIL import JpegImagePlugin

from likeness.photos.opened import Opened, limit_parts
from likeness.photos.orientation import read_orientation

# The frame and all tables of a sound file take some 2,000 bytes; Pillow reads them slowly.
MAX_TABLE_BYTES: Final = 65_536
END_OF_IMAGE: Final = b"\xff\xd9"
# A marker with a length: not a byte FF of data or padding, and not one of the markers that stand alone.
_SEGMENT: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd9\xff](..)", re.DOTALL)
_START_OF_SCAN: Final = 0xDA
_COMMENT: Final = 0xFE
_APP: Final = range(0xE0, 0xF0)


def open_jpeg(data: bytes) -> Opened:
    """Read the header; raises what Pillow does, and ValueError."""
    drawing, exif = _split(data)
    picture = JpegImagePlugin.JpegImageFile(io.BytesIO(drawing))
    return Opened(picture, picture.size, orientation=read_orientation(exif))


def _split(data: bytes) -> tuple[bytes, bytes]:
    """The segments that draw with all that follows the header, and the first EXIF block; raises ValueError."""
    kept, exif, table_bytes = [data[:2]], b"", 0
    for marker, start, end in limit_parts(_segments(data)):
        if marker == _START_OF_SCAN:
            return b"".join((*kept, data[start:])), exif
        if marker not in _APP and marker != _COMMENT:
            table_bytes += end - start
        if table_bytes > MAX_TABLE_BYTES:
            raise ValueError(f"over {MAX_TABLE_BYTES} bytes of tables")
        body = data[start + 4 : end]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body
        if _draws(marker, body):
            kept.append(data[start:end])
    raise ValueError("there is no scan")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each; what lies between them is skipped, as libjpeg does it."""
    at = 2
    while found := _SEGMENT.search(data, at):
        start = found.start()
        at = start + 2 + max(int.from_bytes(found[1]), 2)
        yield data[start + 1], start, at


def _draws(marker: int, body: bytes) -> bool:
    """Whether pixels or colours depend on a segment: of the APP ones JFIF's, Adobe's and the ICC profile do."""
    if marker in _APP:
        return (
            (marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14)
            or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14)
            or (marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12)
        )
    return marker != _COMMENT
