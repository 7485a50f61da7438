"""Which format a file has, by its first bytes."""

from __future__ import annotations

from typing import Final

# Marks of formats: the bytes, where they stand, the name for users.
_MARKS: Final = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"WEBP", 8, "WebP"),
    (b"GIF8", 0, "GIF"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"II+\0", 0, "TIFF"),
    (b"MM\0+", 0, "TIFF"),
    (b"BM", 0, "BMP"),
    (b"%PDF", 0, "PDF"),
    (b"8BPS", 0, "Photoshop"),
    (b"\0\0\1\0", 0, "ICO"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG 2000"),
)
_AVIF: Final = frozenset({b"avif", b"avis"})
_HEIC: Final = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"heif", b"mif1", b"mif2", b"msf1")
)
_VIDEO: Final = frozenset({b"qt  ", b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"M4V ", b"3gp4", b"3gp5"})


def format_of(data: bytes) -> str | None:
    """The format's name for users, taken or not; None for what is not known."""
    if data[4:8] == b"ftyp":
        return _format_of_brands(data)
    for mark, offset, name in _MARKS:
        if data.startswith(mark, offset):
            return name
    return None


def _format_of_brands(data: bytes) -> str | None:
    """The ftyp box lists brands: the major one, a version, then those that the file is compatible with."""
    end = min(int.from_bytes(data[:4]), 256)
    compatible = {data[at : at + 4] for at in range(16, end, 4)}
    for brands in ({data[8:12]} - {b"mif1", b"mif2", b"msf1"}, compatible, {data[8:12]}):
        for family, name in ((_AVIF, "AVIF"), (_HEIC, "HEIC"), (_VIDEO, "video"), ({b"crx "}, "CR3")):
            if brands & family:
                return name
    return None
