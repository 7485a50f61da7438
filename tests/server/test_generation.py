"""A generation being drawn: the plugins' hooks are called, and each lost render is accounted for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
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
from likeness_plugins import Catalogue, Recipe, discover

PACK = bundled_pack()


@pytest.fixture(scope="module")
def crop(astronaut: NDArray[np.uint8]) -> Crop:
    return crop_face(astronaut)


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Catalogue]:
    """The built-in packs and one more, whose hooks have these bodies."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**hooks: str) -> Catalogue:
        functions = (f"\n\n@hookimpl\ndef {name}(avatar, style):\n    {body}\n" for name, body in hooks.items())
        monkeypatch.delitem(sys.modules, "reviewer", raising=False)
        head = "from likeness_plugins import hookimpl\n\nseen = []\n"
        (tmp_path / "reviewer.py").write_text(head + "".join(functions))
        return discover((*BUILTIN_PACKS, ("reviewer", "reviewer")))

    return make


def plan(packs: Catalogue, count: int) -> list[PlannedRender]:
    return plan_renders(choose_styles(packs, DEFAULT_STYLES), [1.0], count, seed=3)


def draw(packs: Catalogue, crop: Crop, count: int = 5, **backend: Any) -> list[Avatar | Lost]:
    return list(generation.draw(Engines(PACK, FakeBackend(**backend)), packs, [crop], plan(packs, count), steps=1))


def test_thirty_renders_give_thirty_avatars_of_all_styles(catalogue: Callable[..., Catalogue], crop: Crop) -> None:
    results = draw(catalogue(), crop, 30)
    assert all(isinstance(result, Avatar) for result in results)
    assert sorted(result.render.index for result in results) == list(range(30))
    assert {result.render.style.name for result in results} == set(DEFAULT_STYLES)


def test_a_finish_hook_changes_the_avatar(catalogue: Callable[..., Catalogue], crop: Crop) -> None:
    packs = catalogue(likeness_finish_avatar="return avatar * 0 + 7")
    for result in draw(packs, crop):
        assert isinstance(result, Avatar)
        assert (result.pixels == 7).all()


def test_a_refused_avatar_is_drawn_again_with_another_seed(catalogue: Callable[..., Catalogue], crop: Crop) -> None:
    once = "seen.append(1); return 'Not this one.' if len(seen) == 1 else None"
    results = draw(catalogue(likeness_review_avatar=once), crop)
    assert all(isinstance(result, Avatar) for result in results)
    extra = [result.seed - result.render.seed for result in results if isinstance(result, Avatar)]
    assert sorted(extra) == [0, 0, 0, 0, SECOND_TRY]


def test_an_avatar_refused_twice_is_lost_with_the_reviewers_words(
    catalogue: Callable[..., Catalogue], crop: Crop
) -> None:
    results = draw(catalogue(likeness_review_avatar="return 'No oil.' if style.name == 'oil' else None"), crop)
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(each.render.style.name, each.state, each.reason) for each in lost] == [("oil", "refused", "No oil.")]
    assert len(results) == 5


def test_a_finish_hook_that_raises_fails_its_avatars_alone(catalogue: Callable[..., Catalogue], crop: Crop) -> None:
    results = draw(catalogue(likeness_finish_avatar="return avatar // (style.name != 'neon' or 1 / 0)"), crop)
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(each.render.style.name, each.state) for each in lost] == [("neon", "failed")]
    assert "reviewer" in lost[0].reason


def test_an_engine_that_fails_loses_renders_and_ends(catalogue: Callable[..., Catalogue], crop: Crop) -> None:
    def spoil(*_: Any) -> Any:
        raise BackendError("out of memory")

    results = draw(catalogue(), crop, spoil=spoil)
    assert [(type(each), each.state) for each in results if isinstance(each, Lost)] == [(Lost, "failed")] * 5


def test_a_lora_that_does_not_fit_the_pack_loses_its_styles_avatars_alone(
    catalogue: Callable[..., Catalogue], crop: Crop, tmp_path: Path
) -> None:
    pickle = tmp_path / "style.safetensors"
    pickle.write_bytes(b"\x80\x04 not tensors")
    packs = catalogue()
    recipe = Recipe(lora=pickle)
    neon = msgspec.structs.replace(packs.styles["neon"], recipes={PACK.family: recipe})
    results = draw(packs.with_styles(packs.packs, {**packs.styles, "neon": neon}), crop)
    lost = [result for result in results if isinstance(result, Lost)]
    assert [(each.render.style.name, each.state) for each in lost] == [("neon", "failed")]
    assert "is a pickle" in lost[0].reason
    assert len(results) == 5


def test_photos_of_a_person_are_encoded_once_and_all_renders_get_them(
    catalogue: Callable[..., Catalogue], crop: Crop
) -> None:
    identity = Identity(
        tokens=4, width=8, layers=3, side=32, mean=(0.5,) * 3, std=(0.5,) * 3, encoder="test", licence="MIT"
    )
    backend = FakeBackend(max_rows=30)
    pack = ModelPack(PACK.folder, msgspec.structs.replace(PACK.about, family="sd", identity=identity))
    packs = catalogue()
    results = list(generation.draw(Engines(pack, backend), packs, [crop, crop], plan(packs, 10), steps=1))
    assert all(isinstance(result, Avatar) for result in results)
    faces = [call["pixel_values"].shape for call in backend.calls["face_encoder"] if call["presence"].all()]
    assert faces == [(2, 3, 32, 32)]
    [call, *_] = backend.calls["unet"]
    tokens = call["identity_tokens"][:, 0, 0]
    assert len(set(tokens[tokens != 0])) == 1  # the one person; the rows that guidance steers away from show nobody
    assert (call["identity_scale"] == np.float32(identity.scale)).all()
