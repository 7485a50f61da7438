"""A generation being drawn: the plugins' hooks are called, and each lost render is accounted for."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from likeness import generation
from likeness.generation import SECOND_TRY, Avatar, Lost
from likeness.packs import BUILTIN_PACKS, DEFAULT_STYLES, choose_styles
from likeness.photos import Crop, crop_face
from likeness.plan import PlannedRender, plan_renders
from likeness_engines import BackendError, Engines, ModelPack, bundled_pack
from likeness_engines.backends.fake_engine import FakeBackend
from likeness_engines.pack import Identity
from likeness_plugins import Catalogue, Recipe, discover, hookimpl

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


def test_a_lora_that_does_not_fit_the_pack_loses_its_styles_avatars_alone(
    monkeypatch: pytest.MonkeyPatch, crop: Crop, tmp_path: Path
) -> None:
    pickle = tmp_path / "style.safetensors"
    pickle.write_bytes(b"\x80\x04 not tensors")
    packs = catalogue(monkeypatch)
    recipe = Recipe(lora=pickle)
    neon = msgspec.structs.replace(packs.styles["neon"], recipes={PACK.family: recipe})
    results = draw(packs.with_styles(packs.packs, {**packs.styles, "neon": neon}), crop)
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(each.render.style.name, each.state) for each in lost] == [("neon", "failed")]
    assert "is a pickle" in lost[0].reason
    assert len(results) == 5


def test_photos_of_a_person_are_encoded_once_and_all_renders_get_them(
    monkeypatch: pytest.MonkeyPatch, crop: Crop
) -> None:
    identity = Identity(
        tokens=4, width=8, layers=3, side=32, mean=(0.5,) * 3, std=(0.5,) * 3, encoder="test", licence="MIT"
    )
    backend = FakeBackend(max_rows=30)
    pack = ModelPack(PACK.folder, msgspec.structs.replace(PACK.about, family="sd", identity=identity))
    packs = catalogue(monkeypatch)
    results = list(generation.draw(Engines(pack, backend), packs, [crop, crop], plan(packs, 10), steps=1))
    assert all(isinstance(result, Avatar) for result in results)
    faces = [call["pixel_values"].shape for call in backend.calls["face_encoder"] if call["presence"].all()]
    assert faces == [(2, 3, 32, 32)]
    [call, *_] = backend.calls["unet"]
    tokens = call["identity_tokens"][:, 0, 0]
    assert len(set(tokens[tokens != 0])) == 1  # the one person; the rows that guidance steers away from show nobody
    assert (call["identity_scale"] == np.float32(identity.scale)).all()
