"""The built wheel, in an environment of its own and next to a stranger's pack, draws avatars."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import httpx
import pytest

from tests.patience import patience_s
from tests.serving import CONSENT

ROOT = Path(__file__).parent.parent


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=patience_s(300)
    )


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
    assert list(styles) == ["comic", "sketch", "neon", "watercolour", "oil", "pop-poster"]
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


def test_a_new_pack_comes_out_of_the_wheel_whole(fresh_python: Path, tmp_path: Path) -> None:
    for command in (("new", "wet-ink", "--code"), ("check", "wet-ink")):
        done = likeness(fresh_python, "styles", *command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "nothing to put right (wet-ink with 12 looks)" in done.stdout
    assert {".github", ".gitignore", "LICENSE"} < {path.name for path in (tmp_path / "wet-ink").iterdir()}


def test_the_example_of_moderation_refuses_a_listed_photo_with_its_own_words(
    moderated_python: Path, photos: list[Path], tmp_path: Path
) -> None:
    """Installed as a platform would: its words reach the user of the API, and nothing of the upload stays."""
    command = [str(moderated_python), "-m", "likeness", "serve", "--no-worker", "--port", "0", "--data", "data"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        with httpx.Client(base_url=server.stdout.readline().split()[-1], timeout=patience_s()) as client:
            answer = client.post(
                "/v1/generations",
                files=[("photos", (photo.name, photo.read_bytes(), "image/jpeg")) for photo in photos],
                data={"styles": "comic", "consent": CONSENT},
            )
        server.terminate()
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "photo_refused"), problem
    refused = {photo["index"]: (photo["code"], photo["message"]) for photo in problem["photos"]}
    assert refused == {1: ("refused_by_review", "This picture may not be used here. Use photos of yourself.")}


def test_the_examples_own_tests_pass(moderated_python: Path, tmp_path: Path) -> None:
    tests = ROOT / "plugins" / "example_blocklist" / "tests"
    done = run(
        moderated_python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tests),
        str(tests),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout
