"""`likeness engines`: what a shell sees of building, listing and verifying."""

from __future__ import annotations

import json
import shutil
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import likeness.worker.process as process_module
import likeness_engines.backends.onnxruntime_engine as onnxruntime_module
from likeness.cli import main
from likeness.settings import Settings, setting_rows
from likeness_engines import BACKENDS, BackendOptions, EngineError, bundled_pack

pytest.importorskip("onnx", reason="the memory estimate needs it, and the export extra has it")

BUILD = ("engines", "build", "miniature", "--backend", "onnxruntime", "--rows", "4")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one true build."""
    cache = tmp_path_factory.mktemp("engines")
    assert main([*BUILD, "--cache", str(cache)]) == 0
    return cache


@pytest.fixture
def cache(built: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    return shutil.copytree(built, tmp_path / "cache")


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence or two on stderr; nothing that looks like a traceback."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


def change(cache: Path, old: str, new: str) -> None:
    [description] = cache.glob("*/engine.json")
    text = description.read_text()
    assert old in text
    description.write_text(text.replace(old, new))


def test_build_says_how_much_memory_then_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BUILD, "--cache", str(tmp_path)]) == 0
    said = capsys.readouterr()
    first, second, *networks, done, where = said.out.splitlines()
    assert first.startswith("miniature 1.0.0 for onnxruntime ")
    assert first.endswith("fp32, up to 4 rows")
    assert second.startswith("Memory, estimated: 0.")
    assert [line.split()[0] for line in networks] == list(bundled_pack().networks)
    assert done.startswith("Built in ")
    assert Path(where.strip()).parent == tmp_path
    assert said.err == ""


def test_what_is_there_is_not_built_again(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BUILD, "--cache", str(built)]) == 0
    assert "there already" in capsys.readouterr().out


def test_a_pack_by_its_folder(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(bundled_pack().folder)
    assert main([*BUILD[:2], folder, *BUILD[3:], "--cache", str(built)]) == 0
    assert "there already" in capsys.readouterr().out


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(onnxruntime_module, "free_ram", lambda: 90_000_000)
    assert main([*BUILD, "--cache", str(tmp_path)]) == 1
    said = refusal(capsys)
    assert "has 0.09 GB free. Use --rows " in said
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("pack", "options", "words"),
    [
        ("miniature", ("--backend", "abacus"), "Use one of onnxruntime, openvino, tensorrt, torch."),
        ("miniature", ("--backend", "openvino"), "builds no engines ahead"),
        ("miniature", ("--backend", "onnxruntime", "--precision", "fp16"), "Use --precision fp32"),
        ("maximum", ("--backend", "onnxruntime"), "one of miniature"),
    ],
)
def test_what_cannot_be_built_is_said(
    pack: str, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engines", "build", pack, "--rows", "4", *options]) == 1
    assert words in refusal(capsys)


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_a_library_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "build", "miniature", "--backend", "tensorrt", "--rows", "60"]) == 1
    assert "pip install 'likeness[tensorrt]'" in refusal(capsys)


@pytest.mark.parametrize(
    "call",
    [
        ("build", "miniature", "--backend", "onnxruntime"),
        ("build", "miniature", "--rows", "4"),
        ("build", "miniature", "--backend", "onnxruntime", "--rows", "0"),
        ("build", "miniature", "--backend", "onnxruntime", "--rows", "4", "--precision", "int4"),
        ("bake",),
    ],
)
def test_a_wrong_call(call: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["engines", *call])
    assert caught.value.code == 2


def test_ctrl_c_while_building(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(onnxruntime_module.OnnxRuntimeCompiler, "build", interrupted)
        assert main([*BUILD, "--cache", str(tmp_path)]) == 130
    assert main(["engines", "list", "--cache", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().out.endswith("[]\n")
    assert main([*BUILD, "--cache", str(tmp_path)]) == 0


def listed(cache: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["engines", "list", "--json", "--cache", str(cache)]) == 0
    [line] = json.loads(capsys.readouterr().out)
    return dict(line)


def test_list_shows_what_is_built(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = listed(cache, capsys)
    assert (line["pack"], line["backend"], line["precision"], line["rows"]) == ("miniature", "onnxruntime", "fp32", 4)
    assert Path(line["folder"]).parent == cache
    assert line["bytes"] > 50_000_000
    assert line["problem"] is None
    assert main(["engines", "list", "--cache", str(cache)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split()[-1] == "yes"
    assert said.err == ""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"version": "', '"version": "0.', "this machine has"),
        ('"device": "', '"device": "NVIDIA A100 ', "Built for NVIDIA A100"),
        ('"backend": "onnxruntime"', '"backend": "abacus"', "There is no backend 'abacus'"),
        ('"source": "miniature"', '"source": "/nowhere"', "Its pack /nowhere is not there."),
        ('"pack_digest": "', '"pack_digest": "0', "Its pack miniature has changed since."),
        ('"format": 1', '"format": 0', "Build them again"),
    ],
)
def test_list_says_why_engines_are_of_no_use_here(
    cache: Path, old: str, new: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(cache, old, new)
    assert why in listed(cache, capsys)["problem"]
    assert main(["engines", "list", "--cache", str(cache)]) == 0
    assert why in refusal(capsys)


def test_the_cache_of_the_servers_setting(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKENESS_ENGINE_CACHE", str(built))
    assert main(["engines", "list"]) == 0
    assert "miniature" in capsys.readouterr().out


@pytest.mark.parametrize("pack", [(), ("miniature",)])
def test_verify_gives_a_verdict_for_each_network(
    built: Path, pack: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engines", "verify", *pack, "--cache", str(built)]) == 0
    name, *verdicts = capsys.readouterr().out.splitlines()
    assert name.startswith("miniature-onnxruntime")
    assert [line.split()[0] for line in verdicts] == list(bundled_pack().networks)
    assert all(line.endswith(": good") for line in verdicts)


def test_verify_refuses_a_damaged_file(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [file] = cache.glob("*/unet.onnx.data")
    with file.open("r+b") as opened:
        opened.truncate(1000)
    assert main(["engines", "verify", "--cache", str(cache)]) == 1
    assert "unet.onnx.data is missing or damaged. Run `likeness engines build miniature" in refusal(capsys)


def test_verify_skips_what_is_another_machines(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(cache, '"device": "', '"device": "NVIDIA A100 ')
    assert main(["engines", "verify", "--cache", str(cache)]) == 1  # nothing could be compared
    assert "not compared: Built for NVIDIA A100" in capsys.readouterr().out
    assert main([*BUILD, "--cache", str(cache)]) == 0
    assert main(["engines", "verify", "--cache", str(cache)]) == 0


def test_verify_without_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "verify", "--cache", str(tmp_path)]) == 1
    assert "There are no engines in" in refusal(capsys)


def test_every_backend_is_named_where_one_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["render", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    [meaning] = [meaning for name, _, meaning in setting_rows() if name == "backend"]
    for backend in BACKENDS:
        assert backend in help_text.partition("what runs the networks:")[2]
        assert backend in meaning


@pytest.mark.parametrize("cache", ["", "/srv/engines"])
def test_the_worker_looks_where_the_setting_says(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[BackendOptions] = []

    def load(pack: object, backend: str, options: BackendOptions) -> None:
        asked.append(options)
        raise EngineError("Seen enough.")

    monkeypatch.setattr(process_module, "load_engines", load)
    with pytest.raises(EngineError, match="Seen enough"):
        process_module._draw(None, Settings(engine_cache=cache, threads=2), "worker", threading.Event())  # type: ignore[arg-type]
    assert asked == [BackendOptions(2, Path(cache) if cache else None)]
