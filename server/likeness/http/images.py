"""Avatars as responses: in the size and format that the client wants, each variant marked as AI-made."""

from __future__ import annotations

import hashlib
import io
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from PIL import Image

from likeness.provenance import encode_png, encode_webp
from likeness.refusals import NotAcceptableError

Size = Literal["64", "128", "256", "full"]
SizeQuery = Annotated[Size, Parameter(query="size", description="Side in pixels; `full` is as drawn.", required=False)]
WEBP: Final = "image/webp"
PNG: Final = "image/png"


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
    ranked = sorted(_ranges(accept or "*/*"), key=lambda each: -each[1])
    for wanted, quality in ranked:
        if quality > 0 and wanted in (WEBP, "image/*", "*/*"):
            return WEBP
        if quality > 0 and wanted == PNG:
            return PNG
    raise NotAcceptableError


def make_variant(webp: bytes, size: Size, media_type: str) -> Picture:
    """Resize and encode a stored avatar; the full WebP is the stored one, byte for byte."""
    if size == "full" and media_type == WEBP:
        return Picture(webp, WEBP)
    with Image.open(io.BytesIO(webp), formats=["WEBP"]) as picture:
        rgb = picture.convert("RGB")
    if size != "full":
        side = int(size)
        rgb = rgb.resize((side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(rgb)
    return Picture(encode_png(pixels), PNG) if media_type == PNG else Picture(encode_webp(pixels), WEBP)


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
