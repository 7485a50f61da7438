"""The packs in `styles/` beside the built-in ones: as good as a stranger's must be, and no part of Likeness."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness.packs import DEFAULT_STYLES, choose_styles, load_catalogue
from likeness.style_kit import check_styles
from likeness_plugins import Style, style_from_folder
from likeness_plugins.pack_source import open_pack_source
from miniature.vocabulary import parse
from tests.conftest import ROOT
from tests.style_packs.conftest import House

STYLES = ROOT / "styles"
EXAMPLES = sorted(
    {path.parent for name in ("style.toml", "pyproject.toml") for path in STYLES.glob(f"*/{name}")},
    key=lambda folder: folder.name,
)
Pixels = NDArray[np.uint8]


def described(folder: Path) -> Path:
    """The folder of an example's style."""
    [file] = folder.rglob("style.toml")
    return file.parent


@pytest.fixture
def postage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the example with a hook."""
    monkeypatch.syspath_prepend(str(STYLES / "postage"))
    return import_module("postage_pack")


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Noise about a colour of the seed's, read-only: what is given to a hook is not its own."""
    rng = np.random.default_rng(seed)
    made = np.asarray(rng.integers(40, 160, 3) + rng.integers(0, 96, (height, width, 3)), np.uint8)
    made.flags.writeable = False
    return made


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_the_check_finds_nothing_to_say(folder: Path) -> None:
    with open_pack_source(str(folder)) as source:
        [verdict] = check_styles(source)
    assert (verdict.problems, verdict.warnings) == ([], [])
    [style] = verdict.styles
    assert style.name == folder.name
    assert style.preview is not None
    with Image.open(style.preview) as preview:
        assert (preview.format, min(preview.size) >= 128) == ("WEBP", True)
    assert {"LICENSE", "README.md"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("folder", [each for each in EXAMPLES if (each / "tests").is_dir()], ids=lambda each: each.name)
def test_its_own_tests_pass(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_look_is_drawn_from_words_of_a_built_in_look() -> None:
    builtin = {look.prompt for style in choose_styles(load_catalogue(), DEFAULT_STYLES) for look in style.looks}
    for folder in EXAMPLES:
        assert not {look.prompt for look in style_from_folder(described(folder)).looks} & builtin


@pytest.mark.parametrize("name", ["afterglow", "postage"])
def test_the_words_are_joined_as_in_no_built_in_style(name: str) -> None:
    for look in style_from_folder(described(STYLES / name)).looks:
        with pytest.raises(ValueError, match="none of the miniature's templates"):
            parse(look.prompt)


def test_none_comes_with_likeness(fresh_python: Path) -> None:
    names = {folder.name for folder in EXAMPLES}
    assert names >= {"afterglow", "postage"}
    modules = {described(folder).name for folder in EXAMPLES}
    [packages] = fresh_python.parent.parent.glob("lib/*/site-packages")
    assert not [path for path in packages.rglob("*") if path.name in names | modules]


def test_the_one_without_code_is_installed_while_servers_run(house: House) -> None:
    running = house.shelf()
    house.install(STYLES / "afterglow")
    running.look()
    [pack] = [pack for pack in running.catalogue.packs if pack.name == "afterglow"]
    toml = tomllib.loads((STYLES / "afterglow" / "style.toml").read_text())
    assert (pack.version, pack.author, pack.licence) == (toml["version"], toml["author"], toml["licence"])
    assert pack.problems == ()
    style = running.catalogue.styles["afterglow"]
    assert [look.prompt for look in style.looks] == [look["prompt"] for look in toml["looks"]]
    assert style.preview is not None
    assert style.preview.read_bytes() == (STYLES / "afterglow" / "preview.webp").read_bytes()
    assert not list((STYLES / "afterglow").rglob("*.py"))


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (512, 512), (1024, 1024), (300, 200)])
def test_a_stamp_keeps_shape_type_and_all_within_its_line(postage: Any, shape: tuple[int, int]) -> None:
    [style] = postage.likeness_styles()
    avatar = picture(*shape)
    stamp = postage.likeness_finish_avatar(avatar, style)
    assert (stamp.shape, stamp.dtype) == (avatar.shape, avatar.dtype)
    assert (stamp == postage.likeness_finish_avatar(avatar, style)).all()
    within = slice(round(min(shape) / 11), -round(min(shape) / 11))
    assert (stamp[within, within] == avatar[within, within]).all()
    assert not (stamp == avatar).all()


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_a_stamp_has_the_same_holes_in_its_paper_at_any_size(postage: Any, side: int) -> None:
    [style] = postage.likeness_styles()
    avatar = picture(side, side, seed=side)
    stamp = postage.likeness_finish_avatar(avatar, style).astype(float)
    album = avatar.mean(axis=(0, 1)) * postage.SHADE
    assert abs(stamp[0] - album).max() < 3
    assert abs(stamp[round(side / 20), side // 4 : -side // 4] - postage.PAPER).max() < 1  # below the holes
    across = stamp[round(side / 33)]  # through them
    dark = abs(across - album).max(axis=1) < 60
    assert [is_dark for is_dark, _ in groupby(dark)].count(True) == 15


def test_a_stamp_is_made_of_no_other_style(postage: Any) -> None:
    for style in choose_styles(load_catalogue(), DEFAULT_STYLES):
        assert postage.likeness_finish_avatar(picture(64, 64), style) is None


def test_the_preview_of_the_stamps_is_a_stamp(postage: Any) -> None:
    [style] = postage.likeness_styles()
    assert isinstance(style, Style)
    assert style.preview is not None
    with Image.open(style.preview) as preview:
        pixels = np.asarray(preview.convert("RGB")).astype(int)
    assert pixels[:3].mean() < 80
    assert abs(pixels[len(pixels) // 20, 64:-64] - postage.PAPER).mean() < 12


@pytest.mark.parametrize("name", [*DEFAULT_STYLES, *(folder.name for folder in EXAMPLES)])
def test_the_readme_says_what_each_shows(name: str) -> None:
    assert f"`{name}`" in (STYLES / "README.md").read_text()
