"""An optional pack that compares the faces of a set: photos of somebody else are left out, and a set of several people
is refused. It works where the extra `identity` is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from likeness_identity.faces import embed, load_models
from likeness_identity.groups import find_strangers
from likeness_plugins import RefusedPhotos, hookimpl

if TYPE_CHECKING:
    from likeness_plugins.hookspecs import Picture

__all__ = ["likeness_prepare_reviews", "likeness_review_photos"]

STRANGER: Final = "This photo seems to show another person than most of the others. Use photos of one person."
SEVERAL_PEOPLE: Final = (
    "The photos seem to show several people, and no one person in most of them. Use photos of one person."
)


@hookimpl
def likeness_prepare_reviews() -> None:
    """Load the models before the process is confined."""
    load_models()


@hookimpl
def likeness_review_photos(crops: Sequence[Picture]) -> str | RefusedPhotos | None:
    """Leave out the photos that clearly show somebody else than the largest group."""
    strangers = find_strangers(embed(crops))
    if strangers is None:
        return SEVERAL_PEOPLE
    return RefusedPhotos(STRANGER, strangers) if strangers else None
