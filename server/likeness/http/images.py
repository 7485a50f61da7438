"""Avatars as responses: the size and format that the client wants, and the ETag of what it gets."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from likeness.provenance import MEDIA_TYPES, WEBP
from likeness.refusals import NotAcceptableError
from likeness.variants import Size

SizeQuery = Annotated[
    Size, QueryParameter(name="size", description="Side in pixels; `full` is as drawn.", required=False)
]

LEAST: Final = 0.001
QUALITY: Final = re.compile(r"0?\.\d+|0\.?|1(\.0*)?")


class Picture(msgspec.Struct, frozen=True):
    """An encoded image and its media type; `tag` is its ETag."""

    data: bytes
    media_type: str

    @property
    def tag(self) -> str:
        """A strong ETag, of this very encoding."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


def image_responses() -> dict[int, ResponseSpec]:
    """The OpenAPI response of routes that answer an image."""
    spec = ResponseSpec(data_container=bytes, generate_examples=False, media_type=WEBP, description="The image.")
    return {200: spec}


def choose_format(accept: str | None) -> str:
    """The offered format that an Accept header prefers, of equal ones the first of `MEDIA_TYPES`, which is WebP; raises
    NotAcceptableError when it takes none.

    Who asks for `text/html` alone opens a link to an image, and takes whatever a browser can show.
    """
    ranges = _ranges(accept or "*/*")
    if ranges.get("text/html", 0.0) > 0:
        ranges.setdefault("*/*", LEAST)
    best = max(MEDIA_TYPES, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) > 0:
        return best
    raise NotAcceptableError


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """That of the most specific range that covers a media type (RFC 9110, 12.5.1)."""
    return next((ranges[each] for each in (media_type, "image/*", "*/*") if each in ranges), 0.0)


def _ranges(accept: str) -> dict[str, float]:
    """The quality of each media range, 0 where it is none from 0 to 1."""
    found: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, *options = (piece.strip() for piece in part.split(";"))
        given = next((option[2:] for option in options if option.startswith("q=")), "1")
        found.setdefault(name, float(given) if QUALITY.fullmatch(given) else 0.0)
    return found
