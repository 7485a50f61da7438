"""A generation being drawn: the plugins' hooks are called, and each lost render is accounted for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likeness import generation
from likeness.generation import SECOND_TRY, Avatar, Lost
from likeness.packs import BUILTIN_PACKS, DEFAULT_STYLES, choose_styles
from likeness.photos import Crop, crop_face
from likeness.plan import PlannedRender, plan_renders
from likeness_engines import BackendError, Engines, bundled_pack
from likeness_engines.backends.fake_engine import FakeBackend
from likeness_plugins import Catalogue, discover, hookimpl

PACK = bundled_pack()


@pytest.fixture(scope="module")
def crop(astronaut: NDArray[np.uint8]) -> Crop:
    return crop_face(astronaut)


def catalogue(monkeypatch: pytest.MonkeyPatch, **hooks: Any) -> Catalogue:
    """The built-in packs and one more with these hooks."""
    import sys

    module = ModuleType("reviewer")
    for name, hook in hooks.items():
        setattr(module, name, hookimpl(hook))
    monkeypatch.setitem(sys.modules, "reviewer", module)
    return discover((*BUILTIN_PACKS, ("reviewer", "reviewer")))


def plan(packs: Catalogue, count: int) -> list[PlannedRender]:
    return plan_renders(choose_styles(packs, DEFAULT_STYLES), [1.0], count, seed=3)


def draw(packs: Catalogue, crop: Crop, count: int = 5, **backend: Any) -> list[Avatar | Lost]:
    return list(generation.draw(Engines(PACK, FakeBackend(**backend)), packs, [crop], plan(packs, count), steps=1))


def test_thirty_renders_give_thirty_avatars_of_all_styles(monkeypatch: pytest.MonkeyPatch, crop: Crop) -> None:
    results = draw(catalogue(monkeypatch), crop, 30)
    assert all(isinstance(result, Avatar) for result in results)
    assert sorted(result.render.index for result in results) == list(range(30))
    assert {result.render.style.name for result in results} == set(DEFAULT_STYLES)


def test_a_finish_hook_changes_the_avatar(monkeypatch: pytest.MonkeyPatch, crop: Crop) -> None:
    packs = catalogue(monkeypatch, likeness_finish_avatar=lambda avatar: np.full_like(avatar, 7))
    for result in draw(packs, crop):
        assert isinstance(result, Avatar)
        assert (result.pixels == 7).all()


def test_a_refused_avatar_is_drawn_again_with_another_seed(monkeypatch: pytest.MonkeyPatch, crop: Crop) -> None:
    answers = iter(["Not this one.", *[None] * 9])
    results = draw(catalogue(monkeypatch, likeness_review_avatar=lambda avatar: next(answers)), crop)
    assert all(isinstance(result, Avatar) for result in results)
    extra = [result.seed - result.render.seed for result in results if isinstance(result, Avatar)]
    assert sorted(extra) == [0, 0, 0, 0, SECOND_TRY]


def test_an_avatar_refused_twice_is_lost_with_the_reviewers_words(monkeypatch: pytest.MonkeyPatch, crop: Crop) -> None:
    results = draw(
        catalogue(monkeypatch, likeness_review_avatar=lambda style: "No oil." * (style.name == "oil") or None), crop
    )
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(each.render.style.name, each.state, each.reason) for each in lost] == [("oil", "refused", "No oil.")]
    assert len(results) == 5


def test_a_finish_hook_that_raises_fails_its_avatars_alone(monkeypatch: pytest.MonkeyPatch, crop: Crop) -> None:
    def finish(style: Any) -> None:
        if style.name == "neon":
            raise ZeroDivisionError

    results = draw(catalogue(monkeypatch, likeness_finish_avatar=finish), crop)
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(each.render.style.name, each.state) for each in lost] == [("neon", "failed")]
    assert "reviewer" in lost[0].reason


def test_an_engine_that_fails_loses_renders_and_ends(monkeypatch: pytest.MonkeyPatch, crop: Crop) -> None:
    def spoil(*_: Any) -> Any:
        raise BackendError("out of memory")

    results = draw(catalogue(monkeypatch), crop, spoil=spoil)
    assert [(type(each), each.state) for each in results if isinstance(each, Lost)] == [(Lost, "failed")] * 5
