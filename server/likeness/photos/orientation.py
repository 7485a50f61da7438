"""Turning a picture the way its EXIF says, and reading nothing else of EXIF.

Cameras and editors write much that is odd there: what is not read cannot fail. Orientation in XMP is ignored, as
browsers do.
"""

from __future__ import annotations

import struct
from typing import Final

from PIL import Image

_ORIENTATION: Final = 0x0112
# TIFF's integer types: BYTE, SHORT, LONG.
_INTEGERS: Final = {1: "B", 3: "H", 4: "I"}
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_orientation(exif: bytes) -> int:
    """The orientation in the first directory of EXIF, 1 to 8; 1, upright, where it is missing or makes no sense."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        [directory] = struct.unpack_from(f"{order}I", tiff, 4)
        [entries] = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, entry)
            if tag == _ORIENTATION and kind in _INTEGERS and count == 1:
                [value] = struct.unpack_from(f"{order}{_INTEGERS[kind]}", tiff, entry + 8)
                return int(value) if value in _TURNS else 1
    except struct.error:
        pass  # it is cut off
    return 1


def turn_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Turn and mirror as EXIF's orientation says."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)
