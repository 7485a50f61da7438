"""Everything that Likeness refuses or fails at.

LikenessError               code, HTTP status, exit code, and a text for users that ends with the remedy
├── PhotoError              one photo cannot be used; `read_photos` collects these into PhotosRefusedError
│   └── ReviewError         a plugin's review refuses it
├── PhotosRefusedError      too few photos can be used; names each that cannot
├── PhotoCountError         too few or too many photos
├── PhotoFileError          files that cannot be read at all (command line)
├── UnknownStyleError       style names that no installed pack has
├── OutputError             avatars cannot be written (command line)
│   └── OutputFolderError   the folder asked for is in use, or none
├── SettingsError           a setting is unknown or out of bounds
└── ServiceError            refusals of the HTTP service, one class each, in `refusals.py`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import msgspec

PhotoCode = Literal[
    "not_an_image",
    "unsupported_format",
    "animated",
    "too_large",
    "too_small",
    "no_face",
    "several_faces",
    "blurred",
    "face_covered",
    "turned_away",
    "duplicate",
    "refused_by_review",
]
# What a photo's refusal may have: the text of our own errors is shorter, a plugin's reason may not be.
MOST_LETTERS: Final = 1000


class LikenessError(Exception):
    """Base of all; `str()` of it is what a user reads."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1


class PhotoError(LikenessError):
    """One photo cannot be used: `reason` is the stable code, the text says why and what to do."""

    code = "photo_refused"
    status = 422
    exit_code = 2

    def __init__(self, reason: PhotoCode, message: str) -> None:
        self.reason: PhotoCode = reason
        super().__init__(message)


class ReviewError(PhotoError):
    """A plugin refuses a photo, for a reason of any length: its first 1,000 letters are kept."""

    def __init__(self, reason: str) -> None:
        super().__init__("refused_by_review", reason[:MOST_LETTERS])


class BadPhoto(msgspec.Struct, frozen=True):
    """A refused photo: its place among those given (from 0), its name, the code, and a sentence with the remedy."""

    index: int
    name: str
    code: PhotoCode
    message: str


class PhotoResult(msgspec.Struct, frozen=True):
    """Whether a photo is used, by its place among those given, from 0; `reason` is the stable code and `message` the
    sentence with the remedy of one that is not.
    """

    index: int
    accepted: bool
    reason: PhotoCode | None = None
    message: str | None = None


class PhotosRefusedError(LikenessError):
    """Fewer photos than the `fewest` can be used of those `given`; `photos` has all that cannot."""

    code = "photo_refused"
    status = 422
    exit_code = 2

    def __init__(self, photos: Sequence[BadPhoto], given: int, fewest: int) -> None:
        self.photos = tuple(photos)
        usable = given - len(photos)
        missing = f"{usable} of {given} photos can be used. Give at least {fewest - usable} more that can."
        super().__init__("\n".join([*(f"{photo.name}: {photo.message}" for photo in photos), missing]))


class PhotoCountError(LikenessError):
    """Fewer than 3 or more than 10 photos."""

    code = "wrong_photo_count"
    status = 422
    exit_code = 2

    def __init__(self, count: int, fewest: int, most: int) -> None:
        super().__init__(f"{count} photo{'s' * (count != 1)} given: give {fewest} to {most} photos of one person.")


class PhotoFileError(LikenessError):
    """Files that are not there, are folders or may not be read."""

    code = "photo_unreadable"
    status = 422
    exit_code = 2

    def __init__(self, failures: Sequence[tuple[str, OSError]]) -> None:
        super().__init__("\n".join(f"{name}: {_why(error)}" for name, error in failures))


class UnknownStyleError(LikenessError):
    """Style names that no installed pack has."""

    code = "unknown_style"
    status = 422
    exit_code = 2

    def __init__(self, unknown: Sequence[str], known: Sequence[str]) -> None:
        plural = "s" * (len(unknown) > 1)
        super().__init__(
            f"Unknown style{plural} {', '.join(unknown)}: choose from {', '.join(known) or 'none installed'}."
        )


class OutputError(LikenessError):
    """Avatars cannot be written."""

    code = "cannot_write"


class OutputFolderError(OutputError):
    """The folder that was asked for is in use, or is none that can be written to."""

    exit_code = 2


class SettingsError(LikenessError):
    """A setting is unknown, out of bounds, or contradicts another."""

    code = "bad_setting"
    exit_code = 2


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "There is no such file. Check the name."
    if isinstance(error, IsADirectoryError):
        return "This is a folder. Name the photos in it, for instance with *.jpg."
    return f"The file cannot be read ({error.strerror}). Check its permissions."
