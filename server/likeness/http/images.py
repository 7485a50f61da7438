"""Avatars as responses: the size and format that the client wants, and the ETag of what it gets."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from likeness.provenance import PNG, WEBP
from likeness.refusals import NotAcceptableError
from likeness.variants import Size

SizeQuery = Annotated[
    Size, QueryParameter(name="size", description="Side in pixels; `full` is as drawn.", required=False)
]


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
    """WebP unless the Accept header prefers PNG; raises NotAcceptableError when it takes neither."""
    ranges = _ranges(accept or "*/*")
    best = max((WEBP, PNG), key=lambda media_type: _preference(media_type, ranges))
    if _preference(best, ranges)[0] > 0:
        return best
    raise NotAcceptableError


def _preference(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """Quality and earliness of the most specific range that covers a media type (RFC 9110, 12.5.1)."""
    for wanted in (media_type, "image/*", "*/*"):
        for place, (name, quality) in enumerate(ranges):
            if name == wanted:
                return quality, -place
    return 0.0, 0


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.split(","):
        name, *options = (piece.strip() for piece in part.split(";"))
        quality = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            found.append((name.lower(), float(quality)))
        except ValueError:
            found.append((name.lower(), 0.0))
    return found
