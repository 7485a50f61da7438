"""The built wheel, in an environment of its own and next to a stranger's pack, draws avatars."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parent.parent


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(python), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def likeness(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run(python, "-c", "import sys; from likeness.cli import main; sys.exit(main())", *arguments, cwd=cwd)


@pytest.mark.parametrize("package", ["likeness", "likeness_engines", "likeness_plugins", "likeness_styles"])
def test_the_wheel_is_what_is_imported(fresh_python: Path, tmp_path: Path, package: str) -> None:
    done = run(fresh_python, "-c", f"import {package}; print({package}.__file__)", cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(fresh_python.parent.parent), done.stdout + done.stderr


def test_the_wheel_renders_a_strangers_style(fresh_python: Path, photos: list[Path], tmp_path: Path) -> None:
    arguments = [
        "render",
        *map(str, photos),
        "--styles",
        "comic,pop-poster",
        "--count",
        "2",
        "--steps",
        "2",
        "--out",
        "out",
    ]
    done = likeness(fresh_python, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listing = json.loads((tmp_path / "out" / "avatars.json").read_text())
    files = {entry["style"]: entry["file"] for entry in listing["avatars"]}
    framed, plain = (cv2.imread(str(tmp_path / "out" / files[style])) for style in ("pop-poster", "comic"))
    # The stranger's finish hook drew its white frame on its own style, and on no other.
    assert framed[:4].min() > 230
    assert plain[:4].min() < 230


def test_the_stranger_is_listed_with_version_author_and_licence(fresh_python: Path, tmp_path: Path) -> None:
    done = likeness(fresh_python, "styles", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    styles = {style["name"]: style for style in json.loads(done.stdout)["styles"]}
    assert list(styles)[:5] == ["comic", "sketch", "neon", "watercolour", "oil"]
    assert styles["pop-poster"]["distribution"] == "likeness-pop-poster"
    assert styles["pop-poster"]["version"] == "1.2.0"
    assert (styles["pop-poster"]["author"], styles["pop-poster"]["licence"]) == ("Somebody Else", "MIT")


def test_the_strangers_own_tests_pass(fresh_python: Path, tmp_path: Path) -> None:
    tests = ROOT / "tests" / "foreign_pack" / "tests"
    done = run(
        fresh_python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tests), str(tests), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
