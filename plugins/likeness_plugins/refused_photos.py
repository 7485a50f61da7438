"""Some photos of a set, refused for one reason."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class RefusedPhotos(msgspec.Struct, frozen=True):
    """Photos that a review leaves out of a set: the reason, for the user to read, and their places in `crops`, from
    0.
    """

    reason: str
    photos: Sequence[int]

    def is_valid(self, count: int) -> bool:
        """Whether there is a reason, and at least one photo, each among `count` crops; plugins may pass anything."""
        if not isinstance(self.reason, str) or not self.reason.strip():
            return False
        if not isinstance(self.photos, list | tuple) or not self.photos:
            return False
        return all(type(photo) is int and 0 <= photo < count for photo in self.photos)
