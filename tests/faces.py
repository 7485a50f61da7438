"""For tests of comparing faces: a face that is nobody's, and what an embedding would look like in a file."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.photos import crop_face, decode_photo
from likeness_identity.faces import embed

# The middle of the face in astronaut[:300, 90:390] and its width.
X, Y, WIDTH = 134.0, 115.0, 103.0
# Where the picture is shrunk, from the middle in widths, how far around, and how much.
CHANGES = ((0.08, 0.22, (0.7, 0.7)), (0.4, 0.35, (0.4, 0.0)))


def someone_else(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The astronaut with another nose and chin, uint8 [300, 300, 3]: 0.7 from herself, where one person has 0.6."""
    picture = astronaut[:300, 90:390]
    y, x = np.mgrid[:300, :300].astype(np.float32)
    from_x, from_y = x.copy(), y.copy()
    for down, reach, (across, along) in CHANGES:
        middle = Y + down * WIDTH
        near = np.exp(-((x - X) ** 2 + (y - middle) ** 2) / (reach * WIDTH) ** 2)
        from_x += (x - X) * across * near
        from_y += (y - middle) * along * near
    changed = cv2.remap(
        picture,
        from_x.astype(np.float32),
        from_y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(changed, np.uint8)


def traces_of(photos: Sequence[bytes]) -> list[bytes]:
    """A part of each photo's embedding, in binary and as text."""
    parts = embed([crop_face(decode_photo(photo)).pixels for photo in photos])[:, 40:44]
    binary = [kind.tobytes() for part in parts for kind in (part, part.astype(np.float64))]
    return [*binary, *(f"{value:.6f}"[:9].encode() for value in parts.flat)]
