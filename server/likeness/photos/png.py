"""Opening PNG: Pillow gets the chunks that draw the picture, whole and with sums that hold.

A browser shows a picture in spite of a spoilt text, or of a tail that was cut off; Pillow stops at either.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from PIL import PngImagePlugin

from likeness.photos.cicp import Cicp
from likeness.photos.opened import Opened
from likeness.photos.orientation import read_orientation

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_NEEDED: Final = (b"IHDR", b"PLTE", b"IDAT")
_OPTIONAL: Final = (b"tRNS", b"iCCP", b"acTL", b"fcTL")


def open_png(data: bytes) -> Opened:
    """Read the header; raises what Pillow does."""
    drawing, exif, cicp = [_SIGNATURE], b"", None
    for kind, body, intact in _chunks(data):
        if kind == b"eXIf":
            exif = exif or body
        elif kind == b"cICP" and intact and len(body) == 4:
            cicp = Cicp(body[0], body[1])
        elif (kind in _OPTIONAL and intact) or (kind in _NEEDED and (intact or kind == b"IDAT")):
            drawing.append(_chunk(kind, body))
    drawing.append(_chunk(b"IEND", b""))
    picture = PngImagePlugin.PngImageFile(io.BytesIO(b"".join(drawing)))
    return Opened(picture, picture.size, picture.n_frames, read_orientation(exif), cicp)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, content, and whether the sum of both is right; what was cut off is as long as what is left of it."""
    at = len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        check = data[at + 8 + length : at + 12 + length]
        yield kind, body, check == zlib.crc32(kind + body).to_bytes(4)
        if kind == b"IEND":
            return
        at += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)
