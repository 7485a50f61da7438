"""`likeness packs import`, as a shell sees it: what it says, and one sentence for what it refuses."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from likeness.cli import main
from likeness_engines import open_pack
from tests.engines import checkpoints
from tests.engines.single_files import write_single_file


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return checkpoints.sd_checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """So small networks only lose time when threads wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(checkpoint: Path | str, *options: str) -> int:
    return main(["packs", "import", str(checkpoint), *options])


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_one_thread")
def test_a_single_file_becomes_a_pack(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_single_file(checkpoint, tmp_path / "portraits.safetensors")
    adapter, encoder = checkpoints.ip_adapter(tmp_path, checkpoint / "unet")
    out = tmp_path / "packs" / "portraits"
    face = ["--ip-adapter", str(adapter), "--image-encoder", str(encoder), "--ip-adapter-licence", "Apache-2.0"]
    options = ["--family", "sd", "--out", str(out), "--config", str(checkpoint), "--licence", "MIT", "--steps", "8"]
    assert run(file, *options, *face) == 0
    said = capsys.readouterr().out
    assert re.search(r"^ +[0-9.]+ s  unet: exporting$", said, re.MULTILINE)
    assert f"The pack portraits 1 is in {out}: " in said
    assert re.search(r"Furthest off is \w+ of \w+: by [0-9.]+e-\d+, of [0-9.]+\.", said)
    assert "Licences: checkpoint MIT, ip adapter Apache-2.0, image encoder mit" in said
    about = open_pack(out).about
    assert (about.default_steps, about.licence) == (8, "MIT")
    assert about.identity is not None


@pytest.mark.export
@pytest.mark.filterwarnings("ignore")
def test_a_refusal_is_one_sentence(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint, "--family", "sdxl", "--out", str(tmp_path / "out")) == 1
    said = capsys.readouterr().err
    assert "checkpoint looks like sd, not like sdxl" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out*"))


def test_without_the_extra_the_remedy_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run("owner/name", "--family", "sd", "--out", str(tmp_path / "out")) == 1
    assert capsys.readouterr().err.strip() == (
        "Importing needs torch, which is not installed. Run `pip install 'likeness[export]'`."
    )


@pytest.mark.parametrize("options", [[], ["--family", "flux", "--out", "x"], ["--family", "sd"]])
def test_a_wrong_call_is_named(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("owner/name", *options)
    assert caught.value.code == 2
    assert "--family" in capsys.readouterr().err


def test_the_listing_is_still_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["packs", "--json"]) == 0
    assert '"miniature"' in capsys.readouterr().out
