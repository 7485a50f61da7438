"""A picture whose header was read and whose pixels were not."""

from __future__ import annotations

from typing import Final, NamedTuple

from PIL import ImageFile

from likeness.photos.cicp import Cicp

# A file that lacks more of its bytes is not mended; the bytes that are lacking spoil up to a tenth of the rows.
MAX_PADDED: Final = 0.02


class Opened(NamedTuple):
    """`size` is the whole picture's, width before height; the picture may decode at a reduced scale.

    `padded` says that the file lacked its last bytes and got zeros in their place: its last rows are spoilt.
    """

    picture: ImageFile.ImageFile
    size: tuple[int, int]
    frames: int = 1
    orientation: int = 1
    cicp: Cicp | None = None
    padded: bool = False


def pad(data: bytes, size: int) -> bytes:
    """Lengthen a file that lacks its last few bytes to its size with zeros, as browsers' decoders read on."""
    missing = size - len(data)
    return data + bytes(missing) if 0 < missing <= MAX_PADDED * size else data
