"""Opening AVIF, which Pillow reads, and HEIC, which needs the extra `heif`.

Their orientation is a property of the picture that both libraries apply or tell; EXIF may repeat it, and is not asked.
"""

from __future__ import annotations

import io
from typing import Final

from PIL import AvifImagePlugin

from likeness.errors import PhotoError
from likeness.photos.boxes import declared_size, hide_metadata, read_cicp
from likeness.photos.opened import Opened, pad
from likeness.photos.orientation import read_orientation

try:
    import pi_heif
except ImportError:
    pi_heif = None

HEIC_IS_READ: Final = pi_heif is not None


def limit_threads() -> None:
    """For a process whose address space is limited, of which each thread takes its share."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if pi_heif is not None:
        pi_heif.options.DECODE_THREADS = 2


def open_avif(data: bytes) -> Opened:
    """Read the header; raises what Pillow does."""
    whole = pad(data, declared_size(data))
    # Pillow would write the orientation into the file's EXIF, and fail where that is odd.
    picture = AvifImagePlugin.AvifImageFile(io.BytesIO(hide_metadata(whole)))
    orientation = read_orientation(picture.info.get("exif", b""))
    return Opened(picture, picture.size, picture.n_frames, orientation, read_cicp(data), len(whole) > len(data))


def open_heic(data: bytes) -> Opened:
    """Read the header; of a burst, a depth map or a thumbnail only the primary picture counts."""
    if pi_heif is None:
        raise PhotoError(
            "unsupported_format", "This is a HEIC file, which is not read here. Save it as JPEG, PNG, WebP or AVIF."
        )
    try:
        # pi_heif crashes on metadata whose kind is not UTF-8.
        picture = pi_heif.HeifImageFile(io.BytesIO(hide_metadata(data)))
    except SyntaxError as error:
        if declared_size(data) > len(data):
            raise
        raise PhotoError(
            "unsupported_format",
            "This HEIC file is of an unusual kind, or damaged. Save it as JPEG, PNG, WebP or AVIF.",
        ) from error
    return Opened(picture, picture.size, cicp=read_cicp(data))
