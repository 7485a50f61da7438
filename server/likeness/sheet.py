"""The contact sheet: the photos on top, below them one band of avatars a style."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, MARGIN, LABEL = 224, 12, 36, 40
PHOTO: Final = 128
COLUMNS: Final = 6
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
PAPER, INK, FAINT = (250, 249, 246), (28, 27, 31), (120, 118, 124)


class Tile(msgspec.Struct, frozen=True):
    """One avatar on the sheet: uint8 HxWx3 RGB, and the look's name."""

    pixels: NDArray[np.uint8]
    caption: str


def draw_sheet(photos: Sequence[NDArray[np.uint8]], bands: Sequence[tuple[str, Sequence[Tile]]]) -> NDArray[np.uint8]:
    """Draw photos (uint8 HxWx3 RGB crops) and titled bands of tiles; returns uint8 HxWx3 RGB."""
    filled = [(title, tiles) for title, tiles in bands if tiles]
    heights = [LABEL + _rows(tiles) * (TILE + LABEL) for _, tiles in filled]
    width = 2 * MARGIN + COLUMNS * TILE + (COLUMNS - 1) * GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + PHOTO + GAP + sum(heights)), PAPER)
    for column, photo in enumerate(photos):
        _paste(sheet, photo, (MARGIN + column * (PHOTO + GAP), MARGIN), PHOTO)
    top = MARGIN + PHOTO + GAP
    for (title, tiles), height in zip(filled, heights, strict=True):
        _draw_band(sheet, title, tiles, top)
        top += height
    return np.asarray(sheet)


def _rows(tiles: Sequence[Tile]) -> int:
    return -(-len(tiles) // COLUMNS)


def _draw_band(sheet: Image.Image, title: str, tiles: Sequence[Tile], top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(22), ImageFont.load_default(15)
    draw.text((MARGIN, top + 8), shorten(title, large, sheet.width - 2 * MARGIN), INK, large)
    for number, tile in enumerate(tiles):
        left = MARGIN + number % COLUMNS * (TILE + GAP)
        upper = top + LABEL + number // COLUMNS * (TILE + LABEL)
        _paste(sheet, tile.pixels, (left, upper), TILE)
        draw.text((left + 2, upper + TILE + 6), shorten(tile.caption, small, TILE - 4), FAINT, small)


def shorten(text: str, font: Font, width: int) -> str:
    """The text on one line of at most so many pixels; … stands for what is left out."""
    line = " ".join(text.split())
    if font.getlength(line) <= width:
        return line
    fits = bisect_left(range(len(line)), True, key=lambda letters: font.getlength(line[:letters] + "…") > width) - 1
    return line[:fits].rstrip() + "…"


def _paste(sheet: Image.Image, pixels: NDArray[np.uint8], corner: tuple[int, int], side: int) -> None:
    """Paste scaled to `side`, with rounded corners drawn at four times the size and shrunk, so that they are smooth."""
    mask = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * side - 1, 4 * side - 1), 4 * side // 16, 255)
    picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
    sheet.paste(picture, corner, mask.resize((side, side), Image.Resampling.LANCZOS))
