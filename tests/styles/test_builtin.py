"""The five built-in packs: complete, apart from each other, and in words that the miniature knows."""

from __future__ import annotations

from importlib import import_module
from itertools import combinations

import pytest
from PIL import Image

from likeness.packs import BUILTIN_PACKS, load_catalogue
from likeness_plugins.testing import check_pack
from miniature.vocabulary import COLOURS, parse, words

NAMES = [name for name, _ in BUILTIN_PACKS]


@pytest.mark.parametrize(("name", "module"), BUILTIN_PACKS)
def test_each_pack_conforms_in_known_words(name: str, module: str) -> None:
    [style] = check_pack(import_module(module), vocabulary=set(words()))
    assert style.name == name
    assert len(style.looks) >= 10
    assert all(parse(look.prompt).style == name for look in style.looks)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_looks_of_a_style_are_alike(name: str) -> None:
    looks = [parse(look.prompt) for look in load_catalogue().styles[name].looks]
    for one, other in combinations(looks, 2):
        far = sum(
            abs(p - q)
            for pair in ((one.a, other.a), (one.b, other.b))
            for p, q in zip(*map(COLOURS.get, pair), strict=True)
        )
        assert far > 60 or one.kind != other.kind, (one, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_preview_is_a_small_picture(name: str) -> None:
    preview = load_catalogue().styles[name].preview
    assert preview is not None
    with Image.open(preview) as picture:
        assert picture.format == "WEBP"
        assert min(picture.size) >= 128


def test_all_are_found_through_the_hooks_without_problems() -> None:
    catalogue = load_catalogue()
    assert list(catalogue.styles)[:5] == NAMES
    assert not [problem for problem in catalogue.problems if problem.pack in NAMES]
