"""What users consent to. Changing the text means raising the version: old consents are then refused."""

from __future__ import annotations

from typing import Final

from likeness.settings import Settings, Tier

VERSION: Final = "1"
_VERSION_WITH_FACES: Final = f"{VERSION}-faces"
_TEXT: Final = """\
We make avatars of you from the photos that you upload, and use the photos for nothing else. Upload only photos of
yourself, or of somebody who has agreed. The photos are encrypted while we have them. We keep a crop of each face until
the avatars are drawn, and delete the photos {photos}, and in any case within {most} of the upload. Avatars that you do
not save are deleted {avatars} after they are drawn. You can delete everything at any time, and get a signed receipt
for what was deleted. Every avatar is marked as made by AI."""
_FACES_TEXT: Final = """
We compare the faces in your photos with each other, by computer, to find photos of somebody else. What is measured of a
face for that stays in memory, is forgotten as soon as the upload has been checked, and is never stored."""


def policy_version(faces_compared: bool) -> str:
    """The version that an upload's consent must name; comparing faces needs a consent of its own."""
    return _VERSION_WITH_FACES if faces_compared else VERSION


def policy_text(settings: Settings, tier: Tier, faces_compared: bool) -> str:
    """The policy as this installation keeps it, for a tier."""
    after = settings.photos_after_s(tier)
    photos = "at once when the avatars are drawn" if after == 0 else f"within {_span(after)} after that"
    text = _TEXT.format(photos=photos, most=_span(settings.photos_most_s), avatars=_span(settings.avatars_after_s))
    return text + _FACES_TEXT if faces_compared else text


def _span(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'s' * (count != 1)}"
    return f"{seconds:g} seconds"
