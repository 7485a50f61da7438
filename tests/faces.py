"""A face that is nobody's, for tests of sets with a stranger in them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

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
