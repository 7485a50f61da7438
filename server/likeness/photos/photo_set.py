"""Which of the photos given make the set: each usable by itself, no picture twice, and none that a review refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from likeness.errors import BadPhoto, PhotoCountError, PhotoError, PhotoResult, PhotosRefusedError, ReviewError
from likeness.photos.duplicates import Thumbnail, find_duplicates

FEWEST: Final = 3
MOST: Final = 10


class PhotoSet:
    """The photos of one request, as the command line and the server both choose from them."""

    def __init__(self, names: Sequence[str], photos: Sequence[Thumbnail | PhotoError]) -> None:
        """Take each photo's thumbnail, or why it cannot be used; of copies of a picture the largest alone is kept."""
        self._names = names
        self._refusals = {index: photo for index, photo in enumerate(photos) if isinstance(photo, PhotoError)}
        readable = {index: photo for index, photo in enumerate(photos) if isinstance(photo, Thumbnail)}
        for index, best in find_duplicates(readable).items():
            message = f"This is the same picture as {names[best]}. Use another one."
            self._refusals[index] = PhotoError("duplicate", message)

    @property
    def usable(self) -> list[int]:
        """The places of the photos that are not left out."""
        return [index for index in range(len(self._names)) if index not in self._refusals]

    def apply_review(self, reasons: Sequence[str | None]) -> None:
        """Leave out usable photos that a review refuses: one reason for each, None for one that passes."""
        for index, reason in zip(self.usable, reasons, strict=True):
            if reason is not None:
                self._refusals[index] = ReviewError(reason)

    def check_enough(self) -> None:
        """Raise PhotosRefusedError with every unusable photo where fewer than three are left."""
        if len(self.usable) < FEWEST:
            refused = [
                BadPhoto(index, self._names[index], error.reason, str(error))
                for index, error in sorted(self._refusals.items())
            ]
            raise PhotosRefusedError(refused, len(self._names), FEWEST)

    def results(self) -> list[PhotoResult]:
        """One result for every photo given, in their order."""
        return [self._result(index) for index in range(len(self._names))]

    def _result(self, index: int) -> PhotoResult:
        error = self._refusals.get(index)
        if error is None:
            return PhotoResult(index, accepted=True)
        return PhotoResult(index, accepted=False, reason=error.reason, message=str(error))


def check_count(count: int) -> None:
    """Raise PhotoCountError unless three to ten photos are given."""
    if not FEWEST <= count <= MOST:
        raise PhotoCountError(count, FEWEST, MOST)
