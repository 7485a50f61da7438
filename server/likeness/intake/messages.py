"""What the server and a decoder process say to each other: frames of a 4-byte length and that many bytes.

The server sends NextPhoto and then the photo in frames of at most 64 KiB, ended by an empty one; the decoder answers
Accepted or Refused. After the last photo the server may send Review and then the accepted crops, a frame each; the
decoder answers Reviewed, and ends. It need not be the process that made the crops.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final

import msgspec

from likeness.errors import MOST_LETTERS, PhotoCode
from likeness.photos import MOST, Thumbnail
from likeness_plugins import Problem

MOST_CROP_BYTES: Final = 1024 * 1024 * 3
CHUNK_BYTES: Final = 65_536
# A crop and its envelope; a longer answer comes from a decoder that is no longer itself.
MOST_ANSWER_BYTES: Final = MOST_CROP_BYTES + 4096
LENGTH: Final = struct.Struct(">I")

Sentence = Annotated[str, msgspec.Meta(max_length=MOST_LETTERS)]


class DecoderLimits(msgspec.Struct, frozen=True):
    """What one decoder process may use, the `side` in pixels of the crops it makes, at most 1,024, and the packs to do
    `without`.

    64 megapixels, the most that a photo may have, were seen to take up to 1.7 GiB of address space and 3.3 s for crops
    of 256 pixels, and 2.4 GiB and 5.5 s for 1,024 (WebP with transparency and a profile, turned). The others for 1,024:
    AVIF 1.9 GiB and 3.8 s, PNG 1.7 and 3.2 (HDR 1.4 and 6.6), JPEG 1.3 and 3.0, HEIC 1.3 and 3.3.
    """

    side: int = 256
    memory_bytes: int = 3 << 30
    photo_cpu_s: int = 20
    photo_s: float = 30.0
    start_s: float = 60.0
    without: tuple[str, ...] = ()


class NextPhoto(msgspec.Struct, frozen=True, tag=True):
    """A photo's bytes follow."""


class Review(msgspec.Struct, frozen=True, tag=True):
    """So many crops follow: review them together."""

    user: str
    crops: Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The decoder has imported everything and has limited itself; what is wrong with the packs that it loaded."""

    problems: list[Problem]


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """A crop, uint8 [side, side, 3] RGB, and the thumbnail of the whole picture."""

    pixels: Annotated[bytes, msgspec.Meta(max_length=MOST_CROP_BYTES)]
    quality: Annotated[float, msgspec.Meta(ge=0, le=1)]
    thumbnail: Thumbnail


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The photo cannot be used: the stable code, and a sentence with the remedy."""

    code: PhotoCode
    message: Sentence


class Reviewed(msgspec.Struct, frozen=True, tag=True):
    """Why each crop is refused, in a plugin's words of any length, or None for one that passes."""

    reasons: Annotated[list[str | None], msgspec.Meta(max_length=MOST)]


Request = NextPhoto | Review
Answer = Ready | Accepted | Refused | Reviewed
