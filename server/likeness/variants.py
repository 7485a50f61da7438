"""Avatars in the size and format that somebody wants: made and signed once, then kept beside the avatar.

A variant is encrypted under the avatar's key and goes with it. Two requests for the same one at the same moment may
both make it; what the second made is dropped, and both get what the first made.
"""

from __future__ import annotations

import io
import secrets
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likeness.provenance import AVIF, JPEG, PNG, WEBP, Marker
from likeness.records import deadlines, variants
from likeness.records.gallery import Saved
from likeness.records.variants import MAKING_S, Variant
from likeness.refusals import GoneError
from likeness.retention import erase_object
from likeness.safe import Place, Safe
from likeness.vault import KeyGoneError

Size = Literal["64", "128", "256", "full"]
_ENDINGS: Final = {WEBP: "webp", PNG: "png", JPEG: "jpeg", AVIF: "avif"}


class Original(msgspec.Struct, frozen=True):
    """A stored avatar: which it is, its object, and whose key (`keeper`) it is under."""

    purpose: variants.Purpose
    subject: str
    index: int
    object: str
    keeper: str

    def place(self, variant: str = "") -> Place:
        """Where it belongs, or one of its variants."""
        return Place(self.subject, self.index, self.purpose, variant)


def of_generation(generation: str, index: int, name: str) -> Original:
    """An avatar of a generation, stored under an object name."""
    return Original("avatar", generation, index, name, generation)


def of_gallery(saved: Saved) -> Original:
    """A saved avatar."""
    return Original("gallery", saved.id, 0, saved.object, saved.owner)


def open_original(safe: Safe, original: Original) -> bytes:
    """The stored WebP; raises GoneError when it was deleted a moment ago."""
    return _open(safe, original, original.place(), original.object)


def open_variant(safe: Safe, marker: Marker, original: Original, size: Size, media_type: str) -> bytes:
    """An avatar in a size and format; the full WebP is the stored one, byte for byte. Raises GoneError."""
    kind = f"{size}.{_ENDINGS[media_type]}"
    if kind == "full.webp":
        return open_original(safe, original)
    kept = safe.database.read(variants.find, original.purpose, original.subject, original.index, kind)
    if kept is None:
        stored = open_original(safe, original)
        made = _make(marker, stored, size, media_type)
        if made is stored or _keep(safe, original, kind, made):
            return made
        kept = safe.database.read(variants.find, original.purpose, original.subject, original.index, kind)
    if kept is None:
        raise GoneError("avatar")  # meanwhile: else another request's would be there
    return _open(safe, original, original.place(kind), kept.object)


def _make(marker: Marker, stored: bytes, size: Size, media_type: str) -> bytes:
    """Resize, encode and sign, with the stored WebP as the parent; the stored one itself where nothing changes."""
    with Image.open(io.BytesIO(stored), formats=["WEBP"]) as picture:
        side = picture.width if size == "full" else int(size)
        resized = ["c2pa.resized"] if side != picture.width else []
        transcoded = ["c2pa.transcoded"] if media_type != WEBP else []
        if not resized + transcoded:
            return stored
        pixels = _pixels(picture, side)
    return marker.derive(stored, pixels, media_type, *resized, *transcoded)


def _pixels(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    rgb = picture.convert("RGB")
    return np.asarray(rgb if side == rgb.width else rgb.resize((side, side), Image.Resampling.LANCZOS))


def _keep(safe: Safe, original: Original, kind: str, made: bytes) -> bool:
    """Store beside the avatar; False, and nothing is left, when another was faster or the avatar is gone."""
    place = original.place(kind)
    name = f"{place.name}-{secrets.token_hex(4)}"  # of two that are made at once, neither writes over the other
    safe.database.write(deadlines.expect, name, MAKING_S)
    try:
        _, digest = safe.put(place, safe.key(original.keeper, original.purpose), made, name)
    except KeyGoneError as error:
        raise GoneError("avatar") from error
    entry = Variant(original.purpose, original.subject, original.index, kind, name, digest)
    if safe.database.write(variants.enter, entry, original.object, original.keeper):
        return True
    erase_object(safe, name)
    return False


def _open(safe: Safe, original: Original, place: Place, name: str) -> bytes:
    try:
        return safe.get(place, safe.key(original.keeper, original.purpose), name)
    except (FileNotFoundError, KeyGoneError) as error:
        raise GoneError("avatar") from error
