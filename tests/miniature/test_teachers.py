"""The teachers: what they draw depends on the look's words, not on the photo's backdrop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from miniature.teachers import draw
from miniature.vocabulary import KINDS, STYLES, LookWords, draw_look

YY, XX = np.mgrid[0:256, 0:256]
MASK = (np.hypot(XX - 128, (YY - 120) * 0.8) < 80).astype(np.float32)
PERSON = np.stack([0.3 + 0.4 * np.sin(XX / 17) ** 2, 0.5 * np.cos(YY / 23) ** 2, 0.4 + 0 * XX], 2).astype(np.float32)


@pytest.mark.parametrize("style", STYLES)
def test_drawings_are_pictures_and_repeatable(style: str) -> None:
    look = draw_look(style, np.random.default_rng(4))
    picture = draw(PERSON, MASK, look)
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < picture.max() <= 1
    assert np.array_equal(picture, draw(PERSON, MASK, look))


@pytest.mark.parametrize("style", STYLES)
def test_every_kind_is_drawn_differently(style: str) -> None:
    pictures = [draw(PERSON, MASK, LookWords(style, "indigo", "cream", kind, "bold")) for kind in KINDS[style]]
    for first, second in itertools.pairwise(pictures):
        assert np.abs(first - second).mean() > 0.01


@pytest.mark.parametrize("style", STYLES)
def test_colours_change_the_picture(style: str) -> None:
    kind = KINDS[style][0]
    first = draw(PERSON, MASK, LookWords(style, "indigo", "cream", kind, "fine"))
    second = draw(PERSON, MASK, LookWords(style, "crimson", "sky", kind, "fine"))
    assert np.abs(first - second).mean() > 0.02


@pytest.mark.parametrize("style", STYLES)
def test_the_old_backdrop_does_not_shine_through(style: str) -> None:
    look = draw_look(style, np.random.default_rng(1))
    other = np.where(MASK[..., None] > 0.5, PERSON, 1 - PERSON).astype(np.float32)
    assert np.abs(draw(PERSON, MASK, look) - draw(other, MASK, look)).mean() < 0.01
