"""The style kit as its user sees it: a new pack is whole, a bad one is named and told why, a sheet has all looks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from likeness.cli import main
from likeness.cli.style_preview import plan_looks
from likeness.packs import load_catalogue
from likeness.provenance import COMPOSITE_SOURCE_TYPE, DIGITAL_SOURCE_TYPE
from likeness.style_kit import _words
from likeness_plugins import PackSourceError, child_process, style_from_folder, trial
from likeness_plugins.new_pack import NOBODY, TEMPLATE, Kind, new_pack
from likeness_plugins.pack_check import check_pack_source
from likeness_plugins.pack_source import open_pack_source
from miniature.vocabulary import words

ROOT = Path(__file__).parent.parent.parent
FOREIGN = ROOT / "tests" / "foreign_pack"
STYLE = """
from likeness_plugins import Look, Recipe, Style, hookimpl

def style(name="odd", **changes):
    looks = tuple(Look(f"look-{n}", f"oil portrait {n}") for n in range(10))
    return Style(**{"name": name, "title": "Odd", "description": "Odd.", "looks": looks, "licence": "MIT",
                    "author": "Me", **changes})

@hookimpl
def likeness_styles():
    return [style()]
"""
LAYER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[[Path | str], tuple[int, str]]:
    """Run `likeness styles check`; answers the exit code and what was said."""

    def run(place: Path | str) -> tuple[int, str]:
        code = main(["styles", "check", str(place)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A style's folder with no project around it."""
    new_pack("paper", tmp_path / "paper", "folder")
    edit(tmp_path / "paper", NOBODY, "Me")
    return tmp_path / "paper"


def project(folder: Path, code: str) -> Path:
    """A project `odd` whose module has this code."""
    new_pack("odd", folder, "code")
    (folder / "odd_pack" / "__init__.py").write_text(code)
    return folder


def edit(folder: Path, old: str, new: str, name: str = "style.toml") -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("options", "described"),
    [
        ([], "wet_ink_pack/style.toml"),
        (["--code"], "wet_ink_pack/style.toml"),
        (["--folder"], "style.toml"),
    ],
)
def test_a_new_pack_passes_its_check_and_its_own_tests(
    options: list[str],
    described: str,
    tmp_path: Path,
    check: Callable[[Path], tuple[int, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "deep" / "wet-ink"
    assert main(["styles", "new", "wet-ink", *options, "--out", str(folder)]) == 0
    steps = [f"{folder / described},", f"preview {folder} ", f"check {folder}", f"install {folder}"]
    told = capsys.readouterr().out
    assert [step for _, step in sorted((told.index(step), step) for step in steps)] == steps
    code, said = check(folder)
    passed = "nothing to put right (wet-ink with 12 looks)"
    assert (code, passed in said, passed in told) == (0, True, True)  # `new` checks what it made
    assert "Note: The author of the style wet-ink is Your Name: put yours there" in said
    assert check(folder / described)[0] == 0  # the file stands for its folder
    texts = [path for path in folder.rglob("*") if path.suffix in (".py", ".toml", ".yml", ".md") and path.is_file()]
    written = "".join(path.read_text() for path in texts)
    assert not {name for name in ("new-style", "new_style", "New Style") if name in written}
    assert "Wet Ink" in written
    if "--folder" in options:
        return
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("folder", {"preview.webp", "style.toml"}),
        (
            "data",
            {
                ".github/workflows/test.yml",
                ".gitignore",
                "pyproject.toml",
                "tests/test_pack.py",
                "wet_ink_pack/__init__.py",
                "wet_ink_pack/preview.webp",
                "wet_ink_pack/style.toml",
            },
        ),
    ],
)
def test_what_a_new_pack_has(kind: Kind, more: set[str], tmp_path: Path) -> None:
    new_pack("wet-ink", tmp_path / "wet-ink", kind)
    files = {
        str(path.relative_to(tmp_path / "wet-ink")) for path in (tmp_path / "wet-ink").rglob("*") if path.is_file()
    }
    assert files == {"LICENSE", "README.md"} | more


@pytest.mark.parametrize("place", ["folder", "code/new_style_pack"])
def test_the_preview_of_a_new_pack_says_that_a_model_drew_it(place: str) -> None:
    with Image.open(TEMPLATE / place / "preview.webp") as preview:
        assert preview.size == (256, 256)
        assert DIGITAL_SOURCE_TYPE in preview.info["xmp"].decode()


def test_a_wheel_and_an_installed_pack_are_checked_too(
    tmp_path: Path,
    build_wheel: Callable[[Path], Path],
    check: Callable[[Path | str], tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new_pack("wet-ink", tmp_path / "wet-ink", "code")
    edit(tmp_path / "wet-ink" / "wet_ink_pack", NOBODY, "Me")
    wheel = build_wheel(tmp_path / "wet-ink")
    assert check(wheel) == (0, "wet-ink: nothing to put right (wet-ink with 12 looks).\n")
    site = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.syspath_prepend(str(site))
    assert check("likeness-wet-ink") == (0, "wet-ink: nothing to put right (wet-ink with 12 looks).\n")
    (site / "wet_ink_pack" / "style.toml").unlink()
    code, said = check("likeness-wet-ink")
    assert (code, "style.toml cannot be read" in said) == (1, True)


def test_a_project_with_folders_of_its_own_is_found(check: Callable[[Path], tuple[int, str]]) -> None:
    assert check(FOREIGN) == (0, "pop-poster: nothing to put right (pop-poster with 10 looks).\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Wet Ink", "is no slug"),
        ("wet_ink", "is no slug"),
        ("a" * 51, "50 at most"),
        ("comic", "a style comic already"),
    ],
)
def test_bad_names_are_refused(name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles", "new", name, "--out", str(tmp_path / "pack")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles", "new", "wet-ink", "--out", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PackSourceError, match="No space left"):
        new_pack("wet-ink", tmp_path / "wet-ink")
    assert not (tmp_path / "wet-ink").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("steps = 25", "steps = 10000", "The sd recipe of the style paper has 10000 steps: use 1 to 50."),
        ('"fern"', '"dusk"', "The style paper has two looks with the name 'dusk': make them differ."),
        ('"preview.webp"', '"../../a.webp"', "The path ../../a.webp leads out of the folder: keep all files inside."),
        ("title =", "titel =", "Object contains unknown field `titel`. Correct the file."),
        ('name = "paper"', 'name = "comic"', "Likeness has a style comic of its own: rename this one."),
    ],
)
def test_bad_data_is_named(
    data: Path, old: str, new: str, sentence: str, check: Callable[[Path], tuple[int, str]]
) -> None:
    edit(data, old, new)
    assert check(data) == (1, f"paper: {sentence}\n")


def test_a_lora_must_fit_the_bundled_model(data: Path, check: Callable[[Path], tuple[int, str]]) -> None:
    edit(data, "[recipes.sd]", '[recipes.pix2pix]\nlora = "paper.safetensors"\n\n[recipes.sd]')
    for inputs, right in ((176, True), (320, False)):
        down, up = np.zeros((4, inputs), np.float32), np.zeros((176, 4), np.float32)
        save_file({f"{LAYER}.lora_down.weight": down, f"{LAYER}.lora_up.weight": up}, data / "paper.safetensors")
        code, said = check(data)
        assert code == (0 if right else 1), said
    assert "paper: The pix2pix recipe of the style paper does not fit miniature: paper.safetensors: " in said
    assert "(320, 4)" in said


@pytest.mark.parametrize(
    ("prompt", "notes"),
    [
        ("crimson zeppelin", ["The style paper uses zeppelin, which the bundled miniature does not know."]),
        ("gold " * 22, []),
        ("gold " * 23, ["Of the prompts of rose-press in the style paper, the bundled miniature reads"]),
        ("gold, " * 38, ["the bundled miniature reads the beginning", "Stable Diffusion reads the beginning"]),
        ("ink, " * 10 + "antidisestablishmentarianism", ["uses antidis", "the bundled miniature reads"]),
    ],
)
def test_words_that_are_not_understood_or_not_read_are_a_note(
    data: Path, check: Callable[[Path], tuple[int, str]], prompt: str, notes: list[str]
) -> None:
    edit(data, "sketch portrait, crimson ink on cream paper, stripes", prompt)
    code, said = check(data)
    assert (code, said.count("Note: ")) == (0, len(notes))
    assert all(note in said for note in notes), said


def test_the_built_in_looks_use_every_word_of_the_miniature() -> None:
    catalogue = load_catalogue()
    used = {word for name in list(catalogue.styles)[:5] for word in _words(catalogue.styles[name])}
    assert used == set(words()) - {","}


def test_no_code_of_a_pack_of_data_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[[Path], tuple[int, str]]
) -> None:
    new_pack("wet-ink", tmp_path / "wet-ink")
    monkeypatch.setattr(child_process.subprocess, "Popen", None)
    assert check(tmp_path / "wet-ink")[0] == 0
    assert "wet_ink_pack" not in sys.modules


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "raise ValueError('no luck')",
            "The pack odd raised ValueError('no luck') in __init__.py, line 1: correct it.",
        ),
        ("import no_such_thing", "raised ModuleNotFoundError(\"No module named 'no_such_thing'\")"),
        ("import sys; sys.exit(3)", "raised SystemExit(3) in __init__.py, line 1"),
        ("def", "raised SyntaxError("),
        ("import os; os._exit(7)", "The pack odd ended its process (exit status 7): let it return, or raise."),
        ("import os; os.abort()", "The pack odd ended its process (signal 6): let it return, or raise."),
        ("data = bytearray(10**11)", "The pack odd takes more than 4 GB of memory: let it take less."),
        ("import os\nraise ValueError(os.environ.get('AWS_SECRET_ACCESS_KEY'))", "raised ValueError(None)"),
        (STYLE.replace("[style()]", "42"), "likeness_styles must return a list of Style, not 42: correct the pack."),
        (STYLE.replace("[style()]", "['comic']"), "'comic' is not a Style"),
        (STYLE.replace("[style()]", "[style(7)]"), "Expected `str`, got `int` - at `$.name`. Correct its fields."),
        (STYLE.replace("[style()]", "[style(), style()]"), "Two styles are called odd: rename one."),
        (STYLE.replace("style()]", "style('neon')]"), "Likeness has a style neon of its own: rename this one."),
        (
            STYLE.replace("style()]", "style(recipes={'sd': Recipe(steps=10_000)})]"),
            "The sd recipe of the style odd has 10000 steps: use 1 to 50.",
        ),
        (
            STYLE.replace("style()]", "style(preview=__import__('pathlib').Path('PREVIEW'))]"),
            "of the style odd leads out of the pack: keep all files inside.",
        ),
        (STYLE + "\n@hookimpl\ndef likeness_review_photo(picture): return None\n", "picture"),
        (
            STYLE + "\n@hookimpl\ndef likeness_finish_avatar(avatar): return 'nonsense'\n",
            "returned 'nonsense' for uint8 (64, 64, 3) of the look look-0: keep shape and type.",
        ),
        (STYLE + "\n@hookimpl\ndef likeness_review_photo(photo): return 3\n", "likeness_review_photo returned 3"),
        (
            "from likeness_plugins import hookimpl\n@hookimpl\ndef likeness_review_avatar(avatar): return 3\n",
            "likeness_review_avatar returned 3",
        ),
    ],
)
def test_bad_code_is_named(
    code: str, sentence: str, tmp_path: Path, check: Callable[[Path], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    code = code.replace("PREVIEW", str(TEMPLATE / "folder" / "preview.webp"))
    exit_code, said = check(project(tmp_path / "odd", code))
    assert (exit_code, said.startswith("odd: ")) == (1, True), said
    assert sentence in said


@pytest.mark.parametrize("code", ["while True: pass", STYLE.replace("return [", "while True: pass\n    return [")])
def test_a_pack_that_hangs_is_named(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[[Path], tuple[int, str]]
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 2.0)
    said = "odd: The pack odd is not done after 2 s: let nothing wait at import or in a hook.\n"
    assert check(project(tmp_path / "odd", code)) == (1, said)


def test_a_check_changes_nothing(tmp_path: Path, check: Callable[[Path], tuple[int, str]]) -> None:
    files = sorted(project(tmp_path / "odd", STYLE).rglob("*"))
    assert check(tmp_path / "odd")[0] == 0
    assert sorted((tmp_path / "odd").rglob("*")) == files


def test_what_a_pack_prints_or_leaves_running_does_not_matter(
    tmp_path: Path, check: Callable[[Path], tuple[int, str]]
) -> None:
    noise = "import threading, time\nprint('noise')\nthreading.Thread(target=time.sleep, args=(9999,)).start()\n"
    assert check(project(tmp_path / "odd", noise + STYLE))[0] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[project]\nname = "odd"\n', "names no pack: add [project.entry-points.likeness]"),
        ("[project", "cannot be read"),
        ('[project.entry-points]\nlikeness = "odd"\n', "cannot be read"),
    ],
)
def test_projects_that_name_no_pack(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert main(["styles", "check", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


def test_a_module_in_a_package_with_code_is_run(tmp_path: Path, check: Callable[[Path], tuple[int, str]]) -> None:
    folder = tmp_path / "odd"
    new_pack("odd", folder)
    (folder / "odd_pack").rename(folder / "inner")
    (folder / "outer").mkdir()
    (folder / "inner").rename(folder / "outer" / "odd_pack")
    (folder / "outer" / "__init__.py").write_text("raise ValueError('outer')")
    edit(folder, '"odd_pack"\n', '"outer.odd_pack"\n', "pyproject.toml")
    code, said = check(folder)
    assert (code, "raised ValueError('outer')" in said) == (1, True)


def test_a_module_that_is_not_there_is_named(tmp_path: Path, check: Callable[[Path], tuple[int, str]]) -> None:
    new_pack("odd", tmp_path / "odd")
    (tmp_path / "odd" / "odd_pack").rename(tmp_path / "odd" / "other")
    assert check(tmp_path / "odd") == (1, "odd: The module of odd = 'odd_pack' is not there: add or name it.\n")


@pytest.mark.parametrize("place", ["no-such-thing", "", "pytest", "empty", "broken.whl"])
def test_places_without_a_pack(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.whl").write_bytes(b"PK")
    monkeypatch.chdir(tmp_path)
    assert main(["styles", "check", place]) == 1
    assert capsys.readouterr().err.endswith((".\n", "likeness.\n"))


def test_the_sheet_and_the_preview(
    photos: list[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(data, 'preview = "preview.webp"\n', "")
    (data / "preview.webp").unlink()
    sheet = tmp_path / "sheet.webp"
    assert main(["styles", "preview", str(data), "--photos", str(photos[0].parent), "--out", str(sheet)]) == 0
    said = capsys.readouterr().out
    assert 'preview = "preview.webp"' in said
    with Image.open(sheet) as picture, Image.open(data / "preview.webp") as preview:
        assert picture.size[1] == 2 * 36 + 128 + 12 + 40 + 2 * 264  # twelve looks are two rows
        assert COMPOSITE_SOURCE_TYPE in picture.info["xmp"].decode()
        assert preview.size == (256, 256)
        assert DIGITAL_SOURCE_TYPE in preview.info["xmp"].decode()
        assert np.asarray(preview).std() > 20
    edit(data, "author", 'preview = "preview.webp"\nauthor')
    with open_pack_source(str(data)) as source:
        assert check_pack_source(source)[0].problems == []


def test_a_look_more_at_the_end_changes_no_other(data: Path) -> None:
    style = style_from_folder(data)
    fewer = msgspec.structs.replace(style, looks=style.looks[:-1])
    drawn, before = ([(r.look, r.photo, r.seed) for r in plan_looks([each], 5)] for each in (style, fewer))
    assert drawn[:-1] == before
    assert {photo for _, photo, _ in drawn} == set(range(5))


def test_a_hook_of_a_pack_is_seen_on_its_sheet(photos: list[Path], tmp_path: Path) -> None:
    new_pack("framed", tmp_path / "framed", "code")
    out = ["--out", str(tmp_path / "sheet.webp")]
    assert main(["styles", "preview", str(tmp_path / "framed"), "--photos", str(photos[0].parent), *out]) == 0
    with Image.open(tmp_path / "framed" / "framed_pack" / "preview.webp") as preview:
        assert np.asarray(preview)[:6].min() > 240


@pytest.mark.parametrize(
    ("photos_of", "out", "words"),
    [
        ("nowhere", "a.webp", "cannot be listed"),
        ("empty", "a.webp", "/empty has no photos, files that end in .jpg, "),
        ("paper", "a.webp", "1 photo given"),
        ("paper", "no/a.webp", "no .webp"),
    ],
)
def test_a_preview_that_cannot_be_drawn(
    photos_of: str, out: str, words: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data.parent / "empty").mkdir()
    arguments = ["--photos", str(data.parent / photos_of), "--out", str(data.parent / out)]
    assert main(["styles", "preview", str(data), *arguments]) != 0
    assert words in capsys.readouterr().err


def test_a_pack_of_hooks_alone_has_nothing_to_draw(
    photos: list[Path], tmp_path: Path, check: Callable[[Path], tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    code = "from likeness_plugins import hookimpl\n\n@hookimpl\ndef likeness_review_photo(photo): return None\n"
    folder = project(tmp_path / "odd", code)
    assert check(folder) == (0, "odd: nothing to put right (no styles, hooks alone).\n")
    assert main(["styles", "preview", str(folder), "--photos", str(photos[0].parent)]) == 1
    assert "has hooks alone" in capsys.readouterr().err


def test_a_bad_pack_is_not_drawn(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(data, "steps = 25", "steps = 10000")
    assert main(["styles", "preview", str(data), "--photos", str(tmp_path)]) == 1
    assert "10000 steps" in capsys.readouterr().err
