"""Every look that training can draw is a prompt that reads back, in words that are single tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from miniature.vocabulary import STYLES, draw_look, parse, words


@pytest.mark.parametrize("style", STYLES)
def test_prompts_read_back(style: str) -> None:
    rng = np.random.default_rng(0)
    for look in (draw_look(style, rng) for _ in range(50)):
        assert parse(look.prompt) == look
        assert look.a != look.b


@pytest.mark.parametrize("prompt", ["", "comic", "etching portrait, a and b sun", "oil portrait, warm light"])
def test_other_prompts_are_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="templates"):
        parse(prompt)


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")
def test_every_word_is_one_token(tmp_path: Path) -> None:
    from miniature.prompts import LENGTH, write_tokenizer

    tokenizer = write_tokenizer(tmp_path)
    for word in words():
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1, word
    longest = tokenizer("comic portrait, crimson and gold sunburst, bold ink").input_ids
    assert len(longest) < LENGTH
    assert len(tokenizer("zeppelin", add_special_tokens=False).input_ids) > 1
