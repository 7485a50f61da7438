"""`likeness styles install`, `remove` and the list, as a shell sees them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likeness.cli import main
from likeness.cli.main import _parser
from likeness_plugins.new_pack import new_pack
from tests.style_packs.packs import pack


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["styles", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = run(capsys, "--json", *arguments)
    assert (code, err) == (0, "")
    return {line["name"]: line for line in json.loads(out)["styles"]}


def test_install_list_and_remove(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert "paper" not in listed(capsys, *data)
    assert not (tmp_path / "data").exists()  # a list makes nothing
    code, out, _ = run(capsys, "install", str(pack(tmp_path / "paper")), *data)
    assert (code, out) == (0, "Installed paper 1.0. Running servers and workers offer it within two seconds.\n")
    line = listed(capsys, *data)["paper"]
    assert (line["pack"], line["version"], line["author"], line["looks"]) == ("paper", "1.0", "Me", 10)
    code, out, _ = run(capsys, *data, "remove", "paper")  # the place may be said first
    assert code == 0
    assert out.startswith("Removed paper 1.0.")
    assert "paper" not in listed(capsys, *data)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("install", "nothing-there"), "no folder or wheel nothing-there"),
        (("install", "project"), "Build its wheel with `python -m build project`"),
        (("install", "empty"), "neither a style.toml nor a pyproject.toml"),
        (("remove", "paper"), "No pack paper is installed"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    (tmp_path / "empty").mkdir()
    new_pack("wet-ink", tmp_path / "project", "code")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments, "--data", str(tmp_path / "data"))
    assert code != 0
    assert words in err
    assert "Traceback" not in err


def test_a_database_that_does_not_answer_hides_no_other_style(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likeness.database import UnavailableError
    from likeness.style_packs import Shelf

    def silent(_: Shelf) -> None:
        raise UnavailableError

    data = ("--data", str(tmp_path / "data"))
    run(capsys, "install", str(pack(tmp_path / "paper")), *data)
    monkeypatch.setattr(Shelf, "look", silent)
    code, out, err = run(capsys, *data)
    assert code == 1
    assert "comic" in out
    assert "are not listed. The database does not answer." in err


@pytest.mark.parametrize("words", [["new", "x"], ["check", "x"], ["install", "x"], ["remove", "x"], ["schema"]])
def test_the_kit_and_the_packs_are_one_group_of_subcommands(words: list[str]) -> None:
    own, alone = _parser().parse_args(["styles", *words]), _parser().parse_args(["styles"])
    assert own.run is not alone.run


def test_without_a_subcommand_it_lists() -> None:
    assert _parser().parse_args(["styles", "--json"]).json


def test_a_project_and_a_wheel_without_code_are_installed_as_their_folder_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, build_wheel: Callable[[Path], Path]
) -> None:
    data = ("--data", str(tmp_path / "data"))
    new_pack("wet-ink", tmp_path / "wet-ink")
    code, out, _ = run(capsys, "install", str(tmp_path / "wet-ink"), *data)
    assert (code, out) == (0, "Installed wet-ink 0.1.0. Running servers and workers offer it within two seconds.\n")
    for file in ("pyproject.toml", "wet_ink_pack/style.toml"):
        path = tmp_path / "wet-ink" / file
        path.write_text(path.read_text().replace('"0.1.0"', '"0.2.0"'))
    code, out, _ = run(capsys, "install", str(build_wheel(tmp_path / "wet-ink")), *data)
    assert (code, out[:24]) == (0, "Installed wet-ink 0.2.0.")
    assert "wet_ink_pack" not in sys.modules
    assert listed(capsys, *data)["wet-ink"]["version"] == "0.2.0"
