"""Calling hooks: reviews fail closed, finishing is a chain, a failing plugin is named and harms only its own call."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from likeness_plugins import Catalogue, Look, PluginError, Publication, Style, discover, hookimpl

PICTURE = np.zeros((8, 8, 3), np.uint8)
STYLE = Style("s", "S", "A style.", tuple(Look(f"l{n}", f"p{n}") for n in range(10)), "MIT", "Me")
LOOK = STYLE.looks[0]


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(**packs: dict[str, Any]) -> Catalogue:
        for name, hooks in packs.items():
            created = ModuleType(name)
            for hook, function in hooks.items():
                setattr(created, hook, hookimpl(function))
            monkeypatch.setitem(sys.modules, name, created)
        return discover([(name, name) for name in packs])

    return make


def boom(**_: Any) -> Any:
    raise RuntimeError("boom")


def raises_on_photo(photo: Any) -> Any:
    return boom()


def test_without_hooks_everything_passes(catalogue: Any) -> None:
    empty = catalogue()
    assert empty.review_photo(PICTURE) is None
    assert empty.review_photos([PICTURE], "user") is None
    assert empty.review_avatar(PICTURE, STYLE, LOOK) is None
    assert empty.finish_avatar(PICTURE, STYLE, LOOK) is PICTURE


def test_the_first_reason_counts(catalogue: Any) -> None:
    both = catalogue(
        kind={"likeness_review_photo": lambda photo: None},
        strict={"likeness_review_photo": lambda photo: "Too blue."},
        late={"likeness_review_photo": lambda photo: "Too red."},
    )
    assert both.review_photo(PICTURE) == "Too blue."


def test_hooks_get_their_arguments(catalogue: Any) -> None:
    seen: list[Any] = []
    noting = catalogue(
        pack={
            "likeness_review_photos": lambda crops, user: seen.append((len(crops), user)),
            "likeness_review_avatar": lambda avatar, style, look: f"{style.name} {look.name} {avatar.shape}",
        }
    )
    assert noting.review_photos([PICTURE, PICTURE], "ann") is None
    assert noting.review_avatar(PICTURE, STYLE, LOOK) == "s l0 (8, 8, 3)"
    assert seen == [(2, "ann")]


@pytest.mark.parametrize("hook", [raises_on_photo, lambda photo: False, lambda photo: "  ", lambda photo: 7])
def test_a_review_that_fails_or_talks_nonsense_refuses(catalogue: Any, hook: Any) -> None:
    broken = catalogue(broken={"likeness_review_photo": hook})
    reason = broken.review_photo(PICTURE)
    assert reason is not None
    assert "boom" not in reason
    assert broken.review_photo(PICTURE) == reason
    [problem] = broken.problems
    assert problem.pack == "broken"


def test_finishing_is_a_chain_in_the_order_of_discovery(catalogue: Any) -> None:
    chain = catalogue(
        first={"likeness_finish_avatar": lambda avatar, style, look: avatar + 1},
        skips={"likeness_finish_avatar": lambda avatar, style, look: None},
        second={"likeness_finish_avatar": lambda avatar, style, look: avatar * 10},
    )
    assert (chain.finish_avatar(PICTURE, STYLE, LOOK) == 10).all()


@pytest.mark.parametrize(
    "hook",
    [
        lambda avatar, style, look: boom(),
        lambda avatar, style, look: avatar[:4],
        lambda avatar, style, look: avatar.astype(float),
        lambda avatar, style, look: "nonsense",
    ],
)
def test_a_finish_that_fails_or_changes_the_shape_is_named(catalogue: Any, hook: Any) -> None:
    with pytest.raises(PluginError, match="sloppy"):
        catalogue(sloppy={"likeness_finish_avatar": hook}).finish_avatar(PICTURE, STYLE, LOOK)


def test_a_publication_reaches_every_pack_even_past_one_that_fails(catalogue: Any) -> None:
    seen: list[Publication] = []

    def note(publication: Publication) -> None:
        seen.append(publication)

    packs = catalogue(
        broken={"likeness_avatar_published": lambda publication: boom()},
        platform={"likeness_avatar_published": note},
    )
    story = Publication("story", "ann", "https://avatars.example/p/1", "Hello")
    packs.avatar_published(story)
    [problem] = packs.problems
    assert seen == [story]
    assert (problem.pack, "likeness_avatar_published failed" in problem.sentence) == ("broken", True)
