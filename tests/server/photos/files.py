"""Files that tests of decoding are made of: pictures, EXIF blocks, ICC profiles, PNG chunks."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Triple = tuple[float, float, float]
PNG_HEAD = 8 + 25  # the signature and IHDR


class Space(NamedTuple):
    """An RGB space: red, green and blue as XYZ under D50, and the exponent of its curve, or sRGB's."""

    red: Triple
    green: Triple
    blue: Triple
    gamma: float | None = None


DISPLAY_P3 = Space((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = Space((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 2.2)
PROPHOTO = Space((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491), 1.8)


def encode(picture: Image.Image | Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
    buffer = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.encode(image.mode, image.size, image.tobytes(), buffer, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour: tuple[int, ...] | int, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (64, 64), colour)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk, behind its header."""
    return png[:PNG_HEAD] + png_chunk(kind, body) + png[PNG_HEAD:]


def exif(*entries: tuple[int, int, int, bytes], order: str = ">", following: int = 0) -> bytes:
    """An EXIF block of (tag, type, count, four bytes of value) entries."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    body = b"".join(struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    head = struct.pack(f"{order}IH", 8, len(entries))
    return b"Exif\0\0" + mark + head + body + struct.pack(f"{order}I", following)


def orientation(value: int, order: str = ">") -> tuple[int, int, int, bytes]:
    return 0x0112, 3, 1, struct.pack(f"{order}HH", value, 0)


def rgb_profile(space: Space) -> bytes:
    if space.gamma is None:
        curve = b"para" + struct.pack(
            ">IHH5i", 0, 3, 0, *(round(value * 65536) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
        )
    else:
        curve = _gamma(space.gamma)
    corners = {b"rXYZ": space.red, b"gXYZ": space.green, b"bXYZ": space.blue}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"RGB ", {kind: _xyz(value) for kind, value in corners.items()} | curves)


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """Ink of any colour is grey in it: lightness falls with C, M and Y alike, and with K to nothing."""
    grid = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    table = b"".join(bytes((round(255 * (1 - k) * (1 - (c + m + y) / 3)), 128, 128)) for c, m, y, k in grid)
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if index % 4 == 0 else 0 for index in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ramp * 4 + table + ramp * 3
    return _profile(b"CMYK", {b"A2B0": lut}, kind=b"prtr", pcs=b"Lab ")


def _gamma(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\0\0"


def _xyz(value: Triple) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(part * 65536) for part in value))


def _profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile of version 2: its header, the table of tags, and their contents."""
    tags = {b"wtpt": _xyz((0.9642, 1.0, 0.8249)), **tags}
    table, contents, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    head = bytes(8) + b"\x02\x10\0\0" + kind + space + pcs + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    whole = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + contents
    return struct.pack(">I", len(whole)) + whole[4:]
