"""What a platform's own plugin is told when a user shows an avatar."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class Publication(msgspec.Struct, frozen=True):
    """A new profile picture or story. `user` is the `sub` of the platform's token, or "local" on a server without
    tokens, and never the digest that `likeness_review_photos` gets; `url` is the image, public until `until` or, where
    that is None, until it is taken back.
    """

    kind: Literal["picture", "story"]
    user: str
    url: str
    caption: str = ""
    until: datetime | None = None
