"""Who belongs together: embeddings to groups of photos that may show one person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A photo belongs to a group when it is nearer than this to one of it. Of 8,001 pairs of different people 1% were nearer
# than 0.599; of 875 changed photos of one person (light, sunglasses, tilt, noise) none was further from the others.
CLEARLY_DIFFERENT: Final = 0.6
ENOUGH: Final = 3


def find_strangers(embeddings: NDArray[np.float32]) -> list[int] | None:
    """The photos that are clearly not of the person in most of them, by float32 [n, 128]; None when there is no such
    person: no group is the largest alone and has three photos, or more than half.
    """
    groups = sorted(_groups(embeddings), key=len, reverse=True)
    if len(groups) < 2:
        return []
    largest, second = groups[:2]
    if len(largest) == len(second) or (len(largest) < ENOUGH and 2 * len(largest) <= len(embeddings)):
        return None
    return sorted(index for group in groups[1:] for index in group)


def _groups(embeddings: NDArray[np.float32]) -> list[list[int]]:
    """Photos that are linked by distances under the threshold, directly or through others."""
    linked = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2) < CLEARLY_DIFFERENT
    groups: list[list[int]] = []
    waiting = set(range(len(embeddings)))
    while waiting:
        group = [waiting.pop()]
        for index in group:  # grows while it is gone through
            found = [other for other in waiting if linked[index, other]]
            waiting.difference_update(found)
            group += found
        groups.append(sorted(group))
    return groups
