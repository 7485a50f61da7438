"""The hooks that a pack may implement. Pictures are NumPy arrays, uint8 [H, W, 3], RGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pluggy

from likeness_plugins.key_store import KeyStore
from likeness_plugins.publication import Publication
from likeness_plugins.refused_photos import RefusedPhotos
from likeness_plugins.style import Look, Style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

PROJECT: Final = "likeness"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def likeness_styles() -> list[Style]:  # type: ignore[empty-body]
    """Return the pack's styles; called once, when packs are discovered."""


@hookspec
def likeness_prepare_reviews() -> None:
    """Load the models of the hooks for photos; called once in each process that decodes an upload, before it starts."""


@hookspec
def likeness_review_photo(photo: Picture) -> str | None:
    """Return a reason, for the user to read, to refuse a photo's aligned crop, or None."""


@hookspec
def likeness_review_photos(crops: Sequence[Picture], user: str) -> str | RefusedPhotos | None:
    """Return a reason to refuse a whole set of crops (not one person, a minor, a public figure), RefusedPhotos to leave
    out some of them, or None.

    `user` is a keyed digest of who uploads, the same for one user of one installation. It is not the `sub` that a
    Publication names, from which nobody gets it without the installation's secret. In `likeness render` it is "local".
    """


@hookspec
def likeness_review_avatar(avatar: Picture, style: Style, look: Look) -> str | None:
    """Return a reason to refuse an avatar, or None; a refused one is drawn once more, then left out."""


@hookspec
def likeness_finish_avatar(avatar: Picture, style: Style, look: Look) -> Picture | None:
    """Return the avatar changed, in the same shape and type, or None to leave it; each pack gets the one before's."""


@hookspec
def likeness_avatar_published(publication: Publication) -> None:
    """A user has set a profile picture or posted a story; called once it is committed, outside the request."""


@hookspec
def likeness_key_store(location: str) -> KeyStore | None:
    """Return a store for a `keys` setting such as vault://..., or None when it is somebody else's."""
