"""Postage: its looks are in `style.toml`; the perforated edge of its stamps is drawn here."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness_plugins import Style, hookimpl, style_from_folder

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

# Shares of the shorter side. How far from the picture's edge the holes, the printed line and the picture within it are.
HOLES, LINE, PRINT = 1 / 40, 1 / 12, 1 / 11
PITCH, RADIUS = 1 / 15, 1 / 60
PAPER = (250, 247, 238)
SHADE = 0.3  # the line, and the album behind the stamp: the avatar's mean colour, so much of it


@hookimpl
def likeness_styles() -> list[Style]:
    """The style that `style.toml` beside this file describes."""
    return [style_from_folder(Path(__file__).parent)]


@hookimpl
def likeness_finish_avatar(avatar: Picture, style: Style) -> Picture | None:
    """Make a stamp of an avatar: its edge gives way to paper with holes, and nothing within the line changes."""
    if style.name != "postage":
        return None
    shade = avatar[::8, ::8].mean(axis=(0, 1)) * SHADE
    tones = np.linspace(PAPER, shade, 256).round().astype(np.uint8)
    stamp = tones[edge(*avatar.shape[:2])]
    margin = round(min(stamp.shape[:2]) * PRINT)
    stamp[margin:-margin, margin:-margin] = avatar[margin:-margin, margin:-margin]
    return stamp


@lru_cache(maxsize=4)
def edge(height: int, width: int) -> Picture:
    """0 where a stamp of this size shows paper, 255 where it shows the line or the album, uint8 [height, width]."""
    side = min(height, width)
    y, x = np.meshgrid(_inset(height), _inset(width), indexing="ij")
    inset = np.minimum(y, x)
    hole = np.minimum(
        np.hypot(_from_hole(height, side)[:, None], x - side * HOLES),
        np.hypot(_from_hole(width, side)[None, :], y - side * HOLES),
    )
    paper = _within(inset - side * HOLES) * _within(hole - side * RADIUS) * _within(side * LINE - inset)
    return np.round(255 * (1 - paper)).astype(np.uint8)


def _inset(length: int) -> Floats:
    """How far each pixel's middle is from the nearer end."""
    middles = np.arange(length) + 0.5
    return np.asarray(np.minimum(middles, length - middles))


def _from_hole(length: int, side: int) -> Floats:
    """How far each pixel is from the middle of the nearest hole along an edge, which has one in each corner."""
    start = side * HOLES
    holes = max(1, round((length - 2 * start) / (side * PITCH)))
    pitch = (length - 2 * start) / holes
    along = np.arange(length) + 0.5 - start
    return along - pitch * np.clip(np.round(along / pitch), 0, holes)


def _within(distance: Floats) -> Floats:
    """0 outside, 1 inside, and across one pixel what is between; distances are in pixels, negative outside."""
    return np.asarray(np.clip(distance + 0.5, 0, 1))
