"""Styles from a folder: what is unknown, missing or outside is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness_plugins import Recipe, StyleError, style_from_folder

HEAD = """
name = "paper"
title = "Paper"
description = "Cut paper."
licence = "MIT"
author = "Me"
"""
LOOKS = "".join(f'\n[[looks]]\nname = "look-{n}"\nprompt = "paper portrait {n}"\n' for n in range(10))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pack").mkdir()
    return tmp_path / "pack"


def write(folder: Path, head: str = HEAD, looks: str = LOOKS) -> Path:
    (folder / "style.toml").write_text(head + looks)
    return folder


def test_a_good_folder(folder: Path) -> None:
    (folder / "preview.png").write_bytes(b"\x89PNG....")
    (folder / "paper.safetensors").write_bytes(b"weights")
    recipe = '\n[recipes.sd]\nsteps = 20\nguidance = 6.5\nlora = "paper.safetensors"\n'
    style = style_from_folder(write(folder, HEAD + 'preview = "preview.png"\n' + recipe))
    assert style.name == "paper"
    assert len(style.looks) == 10
    assert style.preview == folder / "preview.png"
    assert style.recipe("sd").lora == folder / "paper.safetensors"
    assert style.recipe("sdxl") == Recipe()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (HEAD + 'colour = "red"\n', "colour"),
        (HEAD.replace('licence = "MIT"\n', ""), "licence"),
        (HEAD + 'preview = "../secret.png"\n', "leads out of the folder"),
        (HEAD + 'preview = "/etc/hostname"\n', "leads out of the folder"),
        (HEAD + 'preview = "none.png"\n', "none.png"),
        (HEAD + "[recipes.sd]\nsteps = 900\n", "900 steps"),
        (HEAD + "[recipes.sd]\nguidance = 0.5\n", "guidance 0.5"),
        (HEAD + '[recipes.sd]\nlora = "../x"\n', "leads out of the folder"),
        (HEAD + "[recipes.flux]\nsteps = 4\n", "flux"),
        (HEAD.replace('"paper"', '"Paper Cut"'), "slug"),
        (HEAD.replace('"MIT"', '""'), "licence"),
        (HEAD.replace('"MIT"', "3"), "licence"),
        ("name = ", "style.toml"),
        ("name = " + "[" * 10_000, "recursion"),
    ],
)
def test_bad_folders(folder: Path, head: str, words: str) -> None:
    (folder.parent / "secret.png").write_bytes(b"\x89PNG")
    with pytest.raises(StyleError, match=words):
        style_from_folder(write(folder, head))


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        (LOOKS.replace("look-9", "look-8"), "look-8"),
        (LOOKS.replace("portrait 9", "portrait 8"), "paper portrait 8"),
        (LOOKS.rsplit("\n[[looks]]", 1)[0], "9 looks"),
        (LOOKS.replace('"look-3"', '"Look 3"'), "Look 3"),
    ],
)
def test_bad_looks(folder: Path, looks: str, words: str) -> None:
    with pytest.raises(StyleError, match=words):
        style_from_folder(write(folder, looks=looks))


def test_a_folder_without_a_description(folder: Path) -> None:
    with pytest.raises(StyleError, match=r"style\.toml cannot be read"):
        style_from_folder(folder)


def test_all_problems_at_once(folder: Path) -> None:
    with pytest.raises(StyleError) as caught:
        style_from_folder(
            write(folder, HEAD.replace('"MIT"', '""').replace('"Me"', '""'), LOOKS.replace("look-9", "look-8"))
        )
    assert len(caught.value.problems) == 3
