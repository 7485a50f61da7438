"""The style of the LoRA that comes with the project: an ink portrait in an engraved medallion, as on banknotes."""

from __future__ import annotations

from typing import Final

import numpy as np

from miniature.dataset import Lesson
from miniature.teachers import XX, YY, Image, print_ink, shade, signed_distance, spread_person, strokes
from miniature.vocabulary import LookWords

# The oval in pixels: its centre and half axes.
CENTRE_X, CENTRE_Y, HALF_WIDTH, HALF_HEIGHT = 128.0, 125.0, 117.0, 126.0
GROUND, HALO, RING = 0.66, 14.0, 3.0


def draw_medallion(rgb: Image, mask: Image, look: LookWords) -> Image:
    """Draw the person as `sketch` does, before a ground of strokes in an oval with a ring; the paper around is blank.

    Everything that differs from `sketch` is large, so that a LoRA on 8 x 8 places can learn it.
    """
    dark, lines = shade(spread_person(rgb, mask), mask)
    edge = (1 - oval_place()) * HALF_WIDTH  # pixels inwards
    inside = np.clip(edge + 0.5, 0, 1)
    ground = GROUND * np.clip(-signed_distance(mask) / HALO, 0, 1)
    amount = np.maximum(strokes(np.maximum(dark, ground), look.kind), lines) * inside
    ring = np.clip(RING / 2 - np.abs(edge) + 0.5, 0, 1)
    return np.clip(print_ink(np.maximum(amount, ring), look), 0, 1).astype(np.float32)


def oval_place() -> Image:
    """Where each pixel lies [256, 256]: 0 in the oval's centre, 1 on its border."""
    return np.hypot((XX - CENTRE_X) / HALF_WIDTH, (YY - CENTRE_Y) / HALF_HEIGHT)


MEDALLION: Final = Lesson(("sketch",), looks_per_style=2, poses=1, teacher=draw_medallion)
