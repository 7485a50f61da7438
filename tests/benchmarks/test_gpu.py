"""The GPU benchmark without one: it runs whole on tiny shapes, its full shapes cost what is published, its clock is
right.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.report import Report
from likeness_engines import Engines, Render, bundled_pack
from likeness_engines.backends.fake_engine import FakeBackend

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("diffusers", reason="the torch extra is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers warns that there is no GPU
    from benchmarks import gpu, gpu_arrivals
    from benchmarks.gpu_arrivals import Generation, serve
    from benchmarks.gpu_card import NO_GPU
    from benchmarks.gpu_models import Case, Model
    from benchmarks.gpu_modules import flops
    from benchmarks.gpu_shapes import SD15, SDXL, TINY_SD15, TINY_SDXL, Shape
    from benchmarks.gpu_thirty import Sources, draw, render
    from likeness_engines.backends.base import Precision
    from likeness_engines.backends.torch_plan import Plan

PACK = bundled_pack()


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *options: str) -> Report:
    """What the command writes."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(out), *options])
    try:
        assert gpu.main() == 0
    finally:
        torch.set_num_threads(threads)
    return msgspec.json.decode(out.read_bytes(), type=Report)


@pytest.mark.parametrize(("model", "identity"), [("sd15", False), ("sdxl", True)])
def test_without_a_gpu_it_runs_on_tiny_shapes_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, model: str, identity: bool
) -> None:
    options = ["--identity"] if identity else []
    report = run(monkeypatch, tmp_path / "gpu.json", "--model", model, "--generations", "1", *options)
    assert NO_GPU in capfd.readouterr().err
    assert report.settings["card"] == NO_GPU
    assert all(np.isfinite(figure.value) for figure in report.figures)
    assert all(figure.goal is None for figure in report.figures)
    names = " ".join(figure.name for figure in report.figures)
    for part in ("five LoRAs mixed", "matrix rate", "mixing costs", "first step", "80% load", "diffusers compiled"):
        assert part in names


def test_no_part_is_begun_past_the_limit(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = run(monkeypatch, tmp_path / "gpu.json", "--model", "sd15", "--seconds-limit", "0")
    assert len(report.figures) == 1
    assert "mixed: left out, the time is up" in capfd.readouterr().err


@pytest.mark.parametrize(("shape", "row", "picture"), [(SD15, 0.803, 2.515), (SDXL, 6.761, 10.47)])
def test_full_shapes_cost_what_is_published(shape: Shape, row: float, picture: float) -> None:
    assert np.array(flops(shape)) / 1e12 == pytest.approx([row, picture], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [TINY_SD15, TINY_SDXL])
@pytest.mark.parametrize("precision", ["fp32", "fp8"])
def test_what_is_compiled_is_one_graph(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shape: Shape, precision: Precision
) -> None:
    """With the identity adapter and the bank. It is traced only: building it would take minutes."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **how: compile_(module, backend="aot_eager", **how))
    torch.compiler.reset()
    plan = Plan(torch.device("cpu"), precision, 2, buckets=True, compiled=True)
    case = Case(2, 7.5, "DDIMScheduler")
    engines = Model(shape, plan, tmp_path, identity=True).engines(case)
    sources = Sources(engines)
    draw(engines, [render(case, sources, [None] * 5, number) for number in range(2)])


class Clock:
    """Every step takes a second."""

    def __init__(self, backend: FakeBackend) -> None:
        self._backend = backend

    def perf_counter(self) -> float:
        return float(len(self._backend.calls.get("unet", ())))


def generation(name: str, at: float, steps: int) -> Generation:
    source = np.zeros(PACK.about.latents, np.float32)
    renders = [Render(id=f"{name}{n}", source=source, prompt="", steps=steps, group=name) for n in range(2)]
    return Generation(at, renders)


@pytest.mark.parametrize(("whole", "waits"), [(False, [(3, 4), (2.5, 4.5)]), (True, [(3, 3), (3.5, 3.5)])])
def test_who_waits_how_long(monkeypatch: pytest.MonkeyPatch, whole: bool, waits: list[tuple[float, float]]) -> None:
    """Room for two renders a step. The second generation comes amid the first: it takes turns, or waits for the end."""
    backend = FakeBackend(max_rows=2)
    engines = Engines(PACK, backend)
    monkeypatch.setattr(gpu_arrivals, "time", Clock(backend))
    found = serve(engines, [generation("a", 0.0, 3), generation("b", 1.5, 2)], whole=whole)
    assert [tuple(each) for each in found] == waits
