"""Moderation by a list: refuses photos that look like one on it, and avatars that show nothing.

`blocked.txt` beside this module has one fingerprint a line, as `python -m likeness_blocklist PHOTO...` prints them.
It is part of the distribution, because photos are reviewed in a process that has no environment and may write nothing.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from likeness_plugins import hookimpl

# Of 64 bits. Seen on 145 portraits: the same photo enlarged and compressed again differs by 3 at most, and by 0 in the
# median; of 10,440 pairs of people, the closest differ by 4. A longer list will refuse somebody else now and then.
CLOSE = 3
# Standard deviation of the brightness, 0 to 255. A drawn face is far above.
PLAIN = 6.0


@hookimpl
def likeness_review_photo(photo: NDArray[np.uint8]) -> str | None:
    """Refuse what is on the list."""
    found = fingerprint(photo)
    if any((found ^ blocked).bit_count() <= CLOSE for blocked in blocklist()):
        return "This picture may not be used here. Use photos of yourself."
    return None


@hookimpl
def likeness_review_avatar(avatar: NDArray[np.uint8]) -> str | None:
    """Refuse what shows nothing; it is drawn once more with another seed."""
    return "The avatar shows nothing." if avatar.mean(axis=2).std() < PLAIN else None


def fingerprint(picture: NDArray[np.uint8]) -> int:
    """A 64-bit difference hash: whether each of 8 x 8 cells is darker than the one to its right."""
    grey = picture.mean(axis=2)
    rows, columns = (
        np.linspace(0, side, cells + 1).astype(int) for side, cells in zip(grey.shape, (8, 9), strict=True)
    )
    cells = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
    cells /= np.outer(np.diff(rows), np.diff(columns))
    return int("".join("1" if bit else "0" for bit in (cells[:, :-1] < cells[:, 1:]).ravel()), 2)


@lru_cache(1)
def blocklist() -> tuple[int, ...]:
    """The list's fingerprints; lines that begin with # are comments."""
    lines = files(__name__).joinpath("blocked.txt").read_text().splitlines()
    return tuple(int(line, 16) for line in lines if line.strip() and not line.startswith("#"))
