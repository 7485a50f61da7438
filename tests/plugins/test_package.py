"""The package itself: its public names, what importing it costs, and the conformance kit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import likeness_plugins
from likeness_plugins import Look, RefusedPhotos, Style, hookimpl
from likeness_plugins.testing import check_pack, examine_pack

ROOT = Path(__file__).parent.parent.parent


def test_public_names_are_exactly_these() -> None:
    assert sorted(likeness_plugins.__all__) == [
        "Catalogue",
        "KeyStore",
        "Look",
        "Pack",
        "PackSourceError",
        "PluginError",
        "Problem",
        "Publication",
        "Recipe",
        "RefusedPhotos",
        "Style",
        "StyleError",
        "discover",
        "hookimpl",
        "style_from_folder",
    ]
    assert all(hasattr(likeness_plugins, name) for name in likeness_plugins.__all__)


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, pluggy, msgspec; before = set(sys.modules);"
        " import likeness_plugins; print(set(sys.modules) - before)"
    )
    environment = {"PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = {name.split(".")[0] for name in eval(done.stdout)}
    assert not loaded & {"numpy", "cv2", "PIL", "tomllib", "onnxruntime", "torch"}


def module(**hooks: object) -> ModuleType:
    made = ModuleType("pack")
    for name, hook in hooks.items():
        setattr(made, name, hook)
    return made


def style_of(prompt: str) -> Style:
    looks = tuple(Look(f"l{n}", f"{prompt} {n}") for n in range(10))
    return Style("s", "S", "A style.", looks, "MIT", "Me")


def test_the_kit_names_an_unmarked_hook() -> None:
    with pytest.raises(AssertionError, match="likeness_styles is not marked"):
        check_pack(module(likeness_styles=list))


def test_the_kit_names_a_misspelt_hook() -> None:
    with pytest.raises(AssertionError, match="likeness_stylez"):
        check_pack(module(likeness_stylez=hookimpl(lambda: None)))


def test_the_kit_names_what_a_hook_returns_wrongly() -> None:
    with pytest.raises(AssertionError, match="likeness_review_photo returned 3"):
        check_pack(module(likeness_review_photo=hookimpl(lambda photo: 3)))


def test_the_kit_names_a_review_of_a_set_that_refuses_photos_which_are_not_there() -> None:
    check_pack(module(likeness_review_photos=hookimpl(lambda crops: RefusedPhotos("Not you.", [len(crops) - 1]))))
    with pytest.raises(AssertionError, match="likeness_review_photos returned RefusedPhotos"):
        check_pack(module(likeness_review_photos=hookimpl(lambda crops: RefusedPhotos("Not you.", [len(crops)]))))


def finish_of(wrong: Callable[[Any, Look], bool]) -> Callable[..., Any]:
    """A finish that spoils what it was given, and halves the avatars for which it is wrong."""

    def likeness_finish_avatar(avatar: Any, look: Look) -> Any:
        assert avatar.std() > 50  # nobody else has spoilt it
        avatar[:] = 0
        return avatar[::2] if wrong(avatar, look) else avatar

    return likeness_finish_avatar


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda avatar, look: False, ""),
        (lambda avatar, look: True, "uint8 (32, 64, 3) for uint8 (64, 64, 3) of the look l0"),
        (lambda avatar, look: look.name == "l9", "uint8 (32, 64, 3) for uint8 (64, 64, 3) of the look l9"),
        (lambda avatar, look: len(avatar) == 256, "uint8 (128, 256, 3) for uint8 (256, 256, 3) of the look l0"),
        (lambda avatar, look: len(avatar) == 1024, "uint8 (512, 1024, 3) for uint8 (1024, 1024, 3) of the look l0"),
    ],
)
def test_the_kit_tries_the_first_and_the_last_look_at_several_sizes(
    wrong: Callable[[Any, Look], bool], said: str
) -> None:
    pack = module(
        likeness_styles=hookimpl(lambda: [style_of("oil portrait")]),
        likeness_finish_avatar=hookimpl(finish_of(wrong)),
        likeness_review_avatar=hookimpl(lambda avatar: None if avatar.std() > 50 else 3),
        likeness_review_photo=hookimpl(lambda photo: None if photo.shape == (256, 256, 3) else 3),
    )
    _, problems = examine_pack(pack)
    assert problems == ([f"likeness_finish_avatar returned {said}: keep shape and type."] if said else [])


def test_the_kit_names_words_that_the_model_does_not_know() -> None:
    with pytest.raises(AssertionError, match="'7'"):
        check_pack(module(likeness_styles=hookimpl(lambda: [style_of("oil portrait")])), vocabulary={"oil", "portrait"})
