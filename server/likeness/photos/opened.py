"""A picture whose header was read and whose pixels were not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from PIL import ImageFile

from likeness.photos.cicp import Cicp

T = TypeVar("T")
# A file that lacks more of its bytes is not mended; the bytes that are lacking spoil up to a tenth of the rows.
MAX_PADDED: Final = 0.02
# Segments, chunks or boxes of one file: a PNG of 15 MB in pieces of 1 KiB has 15,000.
MAX_PARTS: Final = 20_000


class Opened(NamedTuple):
    """`size` is the whole picture's, width before height; a JPEG may be decoded at a reduced scale.

    `padded` says that the file lacked its last bytes and got zeros in their place: its last rows are spoilt.
    """

    picture: ImageFile.ImageFile
    size: tuple[int, int]
    frames: int = 1
    orientation: int = 1
    cicp: Cicp | None = None
    padded: bool = False


def limit_parts(parts: Iterable[T]) -> Iterator[T]:
    """Pass on a file's parts; raises ValueError at one more than MAX_PARTS, as only a hostile file has."""
    for count, part in enumerate(parts):
        if count == MAX_PARTS:
            raise ValueError(f"over {MAX_PARTS} parts")
        yield part


def pad(data: bytes, size: int) -> bytes:
    """Lengthen a file that lacks its last few bytes to its size with zeros, as browsers' decoders read on."""
    missing = size - len(data)
    return data + bytes(missing) if 0 < missing <= MAX_PADDED * size else data
