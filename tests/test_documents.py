"""What the READMEs say is so: the walk works as pasted, and every command, setting and make target is there."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.demo import write_photos
from likeness.cli.main import _parser
from likeness.cli.operate import settings_table
from likeness_plugins.new_pack import new_pack
from likeness_plugins.pack_source import open_pack_source
from tests.patience import patience_s
from tests.serving import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
OPERATOR = (ROOT / "server" / "README.md").read_text()
GUIDE = (ROOT / "plugins" / "README.md").read_text()


def test_the_walk_works_as_pasted(tmp_path: Path) -> None:
    [walk] = re.findall(r"```sh\n(api=.*?)```", README, re.DOTALL)
    write_photos(tmp_path / "out" / "photos")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "likeness").symlink_to(Path(sys.executable).with_name("likeness"))
    server = Server(tmp_path / "data", avatars=6, steps=1).start()
    try:
        address = str(server.client.base_url).rstrip("/")
        script = "set -eu -o pipefail\n" + walk.replace("http://127.0.0.1:8000", address)
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=patience_s(120), check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout + server.log.read_text()
        assert "event: done" in done.stdout
        assert done.stdout.count("event: avatar") == 6
        assert '"items":[1,2,4,5]' in done.stdout  # discarded
        assert '"caption":"Hello"' in done.stdout
        assert "Valid. Generation" in done.stdout
        assert (tmp_path / "out" / "first.png").read_bytes().startswith(b"\x89PNG")
        again = server.upload([path.read_bytes() for path in sorted((tmp_path / "out" / "photos").iterdir())])
        assert again.status_code == 429  # as the page says
    finally:
        server.close()


def test_the_settings_reference_is_the_codes_own() -> None:
    [table] = re.findall(r"<!-- made by `likeness settings` -->\n(.*?)<!-- end -->", OPERATOR, re.DOTALL)
    assert table == settings_table()


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [choices] = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(choices)


@pytest.mark.parametrize("command", commands(_parser()))
def test_every_command_is_documented(command: str) -> None:
    assert f"likeness {command}" in README + OPERATOR


@pytest.mark.parametrize("command", commands(commands(_parser())["styles"]))
def test_the_guide_of_styles_has_every_command_of_the_kit(command: str) -> None:
    assert f"likeness styles {command}" in GUIDE


def test_the_module_of_the_guide_is_the_templates(tmp_path: Path) -> None:
    [module] = re.findall(r"^`my_style_pack/__init__.py`.*?```python\n(.*?)```", GUIDE, re.DOTALL | re.MULTILINE)
    new_pack("my-style", tmp_path / "my-style")
    (tmp_path / "my-style" / "my_style_pack" / "__init__.py").write_text(module)
    with open_pack_source(str(tmp_path / "my-style")) as source:
        assert source.data_folder(source.entries[0]) == tmp_path / "my-style" / "my_style_pack"


@pytest.mark.parametrize("target", re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
def test_every_make_target_is_documented(target: str) -> None:
    assert f"make {target}" in README


def test_the_image_decodes_no_heic_by_itself() -> None:
    assert "the `Dockerfile` leaves it out" in OPERATOR
    [extras] = re.findall(r'pip install .*"\.\[(.*)\]"', (ROOT / "Dockerfile").read_text())
    assert extras.split(",") == ["postgres"]
