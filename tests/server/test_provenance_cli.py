"""`likeness provenance`: sentences, JSON and exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from likeness.cli import main
from likeness.provenance import AVIF, COMPOSITE_SOURCE_TYPE, JPEG, PNG, Marker, encode_png, open_marker
from tests.certificates import Authority


@pytest.fixture
def files(marker: Marker, pixels: NDArray[np.uint8], tmp_path: Path) -> dict[str, Path]:
    parent = marker.mark(pixels)
    broken = bytearray(parent)
    broken[9_000] ^= 1
    contents = {
        "good.webp": parent,
        "small.png": marker.derive(parent, pixels[::4, ::4], PNG, "c2pa.resized", "c2pa.transcoded"),
        "small.jpg": marker.derive(parent, pixels[::4, ::4], JPEG, "c2pa.resized", "c2pa.transcoded"),
        "small.avif": marker.derive(parent, pixels[::4, ::4], AVIF, "c2pa.resized", "c2pa.transcoded"),
        "sheet.webp": marker.mark(pixels, source=COMPOSITE_SOURCE_TYPE),
        "broken.webp": bytes(broken),
        "xmp.png": encode_png(pixels),
    }
    plain = io.BytesIO()
    Image.fromarray(pixels).save(plain, "JPEG")
    contents["plain.jpg"] = plain.getvalue()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("good.webp", 0, ["good.webp: made by a model", "unchanged since it was signed", "proves nothing about who"]),
        ("small.png", 0, ["small.png: made by a model", "made of another picture:", "c2pa.opened, c2pa.resized"]),
        ("small.jpg", 0, ["small.jpg: made by a model", "made of another picture:", "c2pa.opened, c2pa.resized"]),
        ("small.avif", 0, ["small.avif: made by a model", "made of another picture:", "c2pa.opened, c2pa.resized"]),
        ("sheet.webp", 0, ["sheet.webp: partly made by a model", "compositeWithTrainedAlgorithmicMedia"]),
        ("broken.webp", 1, ["says that it was made by a model", "BROKEN", "changed after it was signed"]),
        ("xmp.png", 0, ["says that it was made by a model", "can be removed or forged"]),
        ("plain.jpg", 1, ["carries no mark of its making"]),
    ],
)
def test_the_command_says_what_a_file_carries(
    files: dict[str, Path], name: str, code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["provenance", str(files[name])]) == code
    said = capsys.readouterr().out
    assert not [each for each in words if each not in said], said


def test_the_command_takes_many_files_and_prints_json(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(path) for path in files.values()]
    assert main(["provenance", "--json", *given]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["file"] for each in found] == given
    assert [each["holds"] for each in found] == [True, True, True, True, True, False, True, False]
    [small] = [each["provenance"] for each in found if each["file"].endswith("small.png")]
    assert len(small["parents"]) == 1
    assert main(["provenance", str(tmp_path / "nowhere.png"), given[0]]) == 2
    said = capsys.readouterr()
    assert "nowhere.png: The file cannot be read" in said.err
    assert "good.webp: made by a model" in said.out


def test_the_command_believes_whom_it_is_told_to(
    authority: Authority, tmp_path: Path, pixels: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    own = open_marker(*map(str, authority.issue(tmp_path)), None)
    (tmp_path / "a.webp").write_bytes(own.mark(pixels))
    (tmp_path / "root.pem").write_bytes(authority.root)
    assert main(["provenance", str(tmp_path / "a.webp"), "--trust", str(tmp_path / "root.pem")]) == 0
    said = capsys.readouterr().out
    assert "by a signer that you trust" in said
    assert "signed by  Social Network Ltd, Avatars\n" in said
    (tmp_path / "root.pem").write_text("nothing")
    assert main(["provenance", str(tmp_path / "a.webp"), "--trust", str(tmp_path / "root.pem")]) == 2
    assert "There is no certificate in" in capsys.readouterr().err
