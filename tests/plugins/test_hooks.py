"""Calling hooks: reviews fail closed, finishing is a chain, a failing plugin is named and harms only its own call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from likeness_plugins import Catalogue, Look, PluginError, Publication, RefusedPhotos, Style, discover, hookimpl
from likeness_plugins.catalogue import REFUSED_BY_FAILURE

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


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Catalogue]:
    """Packs as modules that a process of their hooks can import, with what each hook for avatars returns."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**packs: tuple[str, str]) -> Catalogue:
        for name, (hook, returned) in packs.items():
            monkeypatch.delitem(sys.modules, name, raising=False)
            (tmp_path / f"{name}.py").write_text(
                "from likeness_plugins import hookimpl\n\n\n"
                f"@hookimpl\ndef likeness_{hook}_avatar(avatar, style, look):\n    return {returned}\n"
            )
        return discover([(name, name) for name in packs])

    return make


def boom(**_: Any) -> Any:
    raise RuntimeError("boom")


def raises_on_photo(photo: Any) -> Any:
    return boom()


def test_without_hooks_everything_passes(catalogue: Any) -> None:
    empty = catalogue()
    assert empty.review_photo(PICTURE) is None
    assert empty.review_photos([PICTURE], "user") == [None]
    assert empty.review_avatar(PICTURE, STYLE, LOOK) is None
    assert empty.finish_avatar(PICTURE, STYLE, LOOK) is PICTURE


def test_the_first_reason_counts(catalogue: Any) -> None:
    both = catalogue(
        kind={"likeness_review_photo": lambda photo: None},
        strict={"likeness_review_photo": lambda photo: "Too blue."},
        late={"likeness_review_photo": lambda photo: "Too red."},
    )
    assert both.review_photo(PICTURE) == "Too blue."


def test_hooks_get_their_arguments(catalogue: Any, written: Callable[..., Catalogue]) -> None:
    seen: list[Any] = []
    noting = catalogue(pack={"likeness_review_photos": lambda crops, user: seen.append((len(crops), user))})
    assert noting.review_photos([PICTURE, PICTURE], "ann") == [None, None]
    assert seen == [(2, "ann")]
    words = 'f"{style.name} {len(style.looks)} {look.name} {avatar.shape} {avatar.sum()}"'
    reviewing = written(echo=("review", words))
    assert reviewing.review_avatar(PICTURE + 1, STYLE, LOOK) == "s 10 l0 (8, 8, 3) 192"


@pytest.mark.parametrize("hook", [raises_on_photo, lambda photo: False, lambda photo: "  ", lambda photo: 7])
def test_a_review_that_fails_or_talks_nonsense_refuses(catalogue: Any, hook: Any) -> None:
    broken = catalogue(broken={"likeness_review_photo": hook})
    reason = broken.review_photo(PICTURE)
    assert reason is not None
    assert "boom" not in reason
    assert broken.review_photo(PICTURE) == reason
    [problem] = broken.problems
    assert problem.pack == "broken"


def reviewing(catalogue: Any, *returned: Any) -> Catalogue:
    """Packs whose reviews of a set return these, in their order."""
    packs: Catalogue = catalogue(
        **{
            f"pack{number}": {"likeness_review_photos": lambda crops, value=value: value}
            for number, value in enumerate(returned)
        }
    )
    return packs


def test_a_text_refuses_the_whole_set(catalogue: Any) -> None:
    assert reviewing(catalogue, None, "Not one person.").review_photos([PICTURE] * 3, "ann") == ["Not one person."] * 3


def test_a_review_may_refuse_some_photos_of_a_set(catalogue: Any) -> None:
    packs = reviewing(catalogue, RefusedPhotos("Not you.", (1, 3)))
    assert packs.review_photos([PICTURE] * 4, "ann") == [None, "Not you.", None, "Not you."]


def test_a_pack_sees_the_photos_that_the_ones_before_it_let_pass(catalogue: Any) -> None:
    seen: list[list[int]] = []

    def look(crops: Any) -> RefusedPhotos:
        seen.append([int(crop[0, 0, 0]) for crop in crops])
        return RefusedPhotos("Too dark.", [1])

    packs = catalogue(
        first={"likeness_review_photos": lambda crops: RefusedPhotos("Not you.", (0, 2))},
        second={"likeness_review_photos": look},
    )
    crops = [PICTURE + number for number in range(5)]
    assert packs.review_photos(crops, "ann") == ["Not you.", None, "Not you.", "Too dark.", None]
    assert seen == [[1, 3, 4]]


@pytest.mark.parametrize(
    "returned",
    [
        RefusedPhotos("Not you.", (3,)),
        RefusedPhotos("Not you.", (-1,)),
        RefusedPhotos("Not you.", ()),
        RefusedPhotos("Not you.", (True,)),
        RefusedPhotos("Not you.", ("1",)),  # type: ignore[arg-type]
        RefusedPhotos("Not you.", 1),  # type: ignore[arg-type]
        RefusedPhotos(" ", (1,)),
        RefusedPhotos(None, (1,)),  # type: ignore[arg-type]
        [1],
        "",
    ],
)
def test_a_review_of_a_set_that_talks_nonsense_refuses_all(catalogue: Any, returned: Any) -> None:
    packs = reviewing(catalogue, returned)
    assert packs.review_photos([PICTURE] * 3, "ann") == [REFUSED_BY_FAILURE] * 3
    [problem] = packs.problems
    assert "likeness_review_photos must return a text, RefusedPhotos" in problem.sentence


def test_models_are_loaded_before_a_review_and_one_that_fails_is_noted(catalogue: Any) -> None:
    loaded: list[int] = []
    packs = catalogue(
        broken={"likeness_prepare_reviews": boom},
        heavy={"likeness_prepare_reviews": lambda: loaded.append(1)},
    )
    packs.prepare_reviews()
    [problem] = packs.problems
    assert (loaded, problem.pack) == ([1], "broken")


def test_finishing_is_a_chain_in_the_order_of_discovery(written: Callable[..., Catalogue]) -> None:
    chain = written(zebra=("finish", "avatar.__iadd__(1)"), skips=("finish", "None"), ant=("finish", "avatar * 10"))
    assert (chain.finish_avatar(PICTURE, STYLE, LOOK) == 10).all()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("1 / 0", "ZeroDivisionError in sloppy.py, line 6"),
        ("avatar[:4]", "it changed the avatar's shape or type"),
        ("avatar.astype(float)", "it changed the avatar's shape or type"),
        ("'nonsense'", "it changed the avatar's shape or type"),
        ("__import__('os')._exit(3)", "its process ended (exit status 3)"),
        ("__import__('os').abort()", "its process ended (signal 6)"),
        ("bytearray(10**11)", "MemoryError in sloppy.py, line 6"),
    ],
)
def test_a_finish_that_fails_or_changes_the_shape_is_named_and_the_next_goes_on(
    written: Callable[..., Catalogue], returned: str, words: str
) -> None:
    packs = written(sloppy=("finish", f"avatar + 1 if look.name == 'l1' else {returned}"))
    with pytest.raises(PluginError) as raised:
        packs.finish_avatar(PICTURE, STYLE, LOOK)
    assert str(raised.value) == f"The pack sloppy failed to finish an avatar: {words}. Update or remove it."
    assert (packs.finish_avatar(PICTURE, STYLE, STYLE.looks[1]) == 1).all()


@pytest.mark.parametrize(
    ("returned", "words"),
    [("1 / 0", "ZeroDivisionError in broken.py, line 6"), ("7", "it must return a text or None, not int")],
)
def test_a_review_of_an_avatar_that_fails_refuses(written: Callable[..., Catalogue], returned: str, words: str) -> None:
    packs = written(broken=("review", returned))
    assert packs.review_avatar(PICTURE, STYLE, LOOK) == REFUSED_BY_FAILURE
    [problem] = packs.problems
    assert problem.sentence == f"likeness_review_avatar failed: {words}."


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
