"""Opening PNG: Pillow gets the chunks that draw the picture, whole and with sums that hold.

A browser shows a picture in spite of a spoilt text, or of a tail that was cut off; Pillow stops at either.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from PIL import PngImagePlugin

from likeness.photos.cicp import Cicp
from likeness.photos.opened import Opened, limit_parts
from likeness.photos.orientation import read_orientation

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = (b"IHDR", b"PLTE", b"tRNS", b"iCCP")


def open_png(data: bytes) -> Opened:
    """Read the header; raises what Pillow does, and ValueError."""
    header: dict[bytes, bytes] = {}
    pixels = []
    for kind, body, intact in limit_parts(_chunks(data)):
        if kind == b"IDAT":
            pixels.append(body)
        elif kind == b"eXIf" or intact:
            header.setdefault(kind, body)
    drawing = [_chunk(kind, header[kind]) for kind in _HEADER if kind in header]
    # Pillow takes longer for many chunks than for their pixels.
    drawing += _chunk(b"IDAT", b"".join(pixels)), _chunk(b"IEND", b"")
    picture = PngImagePlugin.PngImageFile(io.BytesIO(_SIGNATURE + b"".join(drawing)))
    frames = int.from_bytes(header.get(b"acTL", b"\0\0\0\1")[:4])
    return Opened(picture, picture.size, frames, read_orientation(header.get(b"eXIf", b"")), _read_cicp(header))


def _read_cicp(header: Mapping[bytes, bytes]) -> Cicp | None:
    body = header.get(b"cICP", b"")
    return Cicp(body[0], body[1]) if len(body) == 4 else None


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
