"""Folding pixels and reading prompts."""

from __future__ import annotations

import numpy as np
import pytest

from likeness_engines import bundled_pack
from likeness_engines.backends.base import HostArrays
from likeness_engines.pixels import to_network, to_pixels
from likeness_engines.text import Prompts

PACK = bundled_pack()


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_pixels_come_back_unchanged(fold: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
    folded = to_network(pixels, fold)
    assert folded.shape == (2, 3 * fold**2, 16 // fold, 24 // fold)
    assert -1 <= folded.min() < -0.9
    assert 0.9 < folded.max() <= 1
    assert np.array_equal(to_pixels(HostArrays(), folded, fold), pixels)


def test_values_beyond_the_range_are_clipped() -> None:
    assert np.array_equal(to_pixels(HostArrays(), np.float32([[[[3.0]], [[-3.0]], [[0.0]]]]), 1).ravel(), [255, 0, 128])


@pytest.mark.export
@pytest.mark.parametrize(
    "prompt", ["", "oil portrait, amber and brown backdrop, warm light", "A Zeppelin!", "gold " * 60]
)
def test_tokens_are_those_of_transformers(prompt: str) -> None:
    from transformers import CLIPTokenizerFast

    theirs = CLIPTokenizerFast.from_pretrained(PACK.folder / "tokenizer")
    length = PACK.about.prompt_length
    expected = theirs([prompt], padding="max_length", truncation=True, max_length=length).input_ids
    assert Prompts(PACK.folder / "tokenizer", length).tokens([prompt]).tolist() == expected
