"""Opening WebP: Pillow gets the chunks that draw the picture, whatever became of those behind them."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Final

from PIL import WebPImagePlugin

from likeness.photos.opened import Opened, limit_parts, pad
from likeness.photos.orientation import read_orientation

_DRAWING: Final = (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")


def open_webp(data: bytes) -> Opened:
    """Read the header; raises what Pillow does."""
    drawing, exif, padded = [b"WEBP"], b"", False
    for kind, length, rest in limit_parts(_chunks(data)):
        if kind == b"EXIF":
            exif = exif or rest
        elif kind in _DRAWING:
            body = pad(rest, length)
            padded = padded or len(body) > len(rest)
            drawing += kind, struct.pack("<I", length), body, bytes(length % 2)
    content = b"".join(drawing)
    whole = b"RIFF" + struct.pack("<I", len(content)) + content
    picture = WebPImagePlugin.WebPImageFile(io.BytesIO(whole))
    return Opened(picture, picture.size, picture.n_frames, read_orientation(exif), padded=padded)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, length and content of each; the last one's content may be shorter than it should be."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, length, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
