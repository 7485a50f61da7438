"""The package itself: its public names, what importing it costs, and the conformance kit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import likeness_plugins
from likeness_plugins import hookimpl
from likeness_plugins.testing import check_pack

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


def test_the_kit_names_an_unmarked_hook() -> None:
    with pytest.raises(AssertionError, match="likeness_styles is not marked"):
        check_pack(module(likeness_styles=list))


def test_the_kit_names_a_misspelt_hook() -> None:
    with pytest.raises(AssertionError, match="likeness_stylez"):
        check_pack(module(likeness_stylez=hookimpl(lambda: None)))


def test_the_kit_names_what_a_hook_returns_wrongly() -> None:
    with pytest.raises(AssertionError, match="likeness_review_photo returned 3"):
        check_pack(module(likeness_review_photo=hookimpl(lambda photo: 3)))


def test_the_kit_names_words_that_the_model_does_not_know() -> None:
    looks = tuple(likeness_plugins.Look(f"l{n}", f"oil portrait {n}") for n in range(10))
    style = likeness_plugins.Style("s", "S", "A style.", looks, "MIT", "Me")
    with pytest.raises(AssertionError, match="'7'"):
        check_pack(module(likeness_styles=hookimpl(lambda: [style])), vocabulary={"oil", "portrait"})
