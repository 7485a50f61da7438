"""The contact sheet shows every photo and every avatar, and grows with them."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.sheet import COLUMNS, LABEL, MARGIN, PAPER, TILE, Tile, draw_sheet

RED = np.full((256, 256, 3), (255, 0, 0), np.uint8)
BLUE = np.full((256, 256, 3), (0, 0, 255), np.uint8)


def share(sheet: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(sheet.astype(int) - colour).sum(axis=2) < 30).mean())


def test_one_tile_of_each_kind_is_drawn() -> None:
    sheet = draw_sheet([BLUE], [("Comic", [Tile(RED, "Look")])])
    assert share(sheet, (255, 0, 0)) > 0.05
    assert share(sheet, (0, 0, 255)) > 0.02
    assert tuple(sheet[1, 1]) == PAPER


def test_a_full_row_more_makes_the_sheet_higher_not_wider() -> None:
    tiles = [Tile(RED, "Look")]
    one = draw_sheet([BLUE], [("Comic", tiles * COLUMNS)])
    two = draw_sheet([BLUE], [("Comic", tiles * (COLUMNS + 1))])
    assert two.shape[1] == one.shape[1]
    assert two.shape[0] > one.shape[0]
    assert share(two, (255, 0, 0)) * two.size > share(one, (255, 0, 0)) * one.size


def test_styles_without_avatars_take_no_room() -> None:
    with_empty = draw_sheet([BLUE], [("Comic", [Tile(RED, "Look")]), ("Neon", [])])
    assert with_empty.shape == draw_sheet([BLUE], [("Comic", [Tile(RED, "Look")])]).shape


@pytest.mark.parametrize(
    "caption", ["A look with a title that goes on and on and on", "i" * 10_000, "two\nlines\nof it"]
)
def test_a_caption_stays_below_its_tile(caption: str) -> None:
    sheet = draw_sheet([BLUE], [(caption, [Tile(RED, caption), Tile(RED, "")])])
    captions = sheet[-MARGIN - LABEL : -MARGIN]
    assert (captions[:, : MARGIN + TILE] != PAPER).any()
    assert (captions[:, MARGIN + TILE :] == PAPER).all()
    assert (sheet[-MARGIN:] == PAPER).all()
    assert (sheet[:, -MARGIN:] == PAPER).all()
