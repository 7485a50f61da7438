"""The torch backend on a CPU: the same pictures as ONNX Runtime's, and what it will do on a GPU, as far as a CPU can
play one.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likeness_engines import (
    BackendError,
    DeviceFullError,
    Engines,
    Lora,
    Render,
    Renderer,
    bundled_pack,
    create_backend,
    create_compiler,
)

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("diffusers", reason="the torch extra is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers warns that there is no GPU
    from likeness_engines.backends.torch_backend import TorchBackend
    from likeness_engines.backends.torch_plan import Plan
    from likeness_engines.torch_networks import Network, open_network

PACK = bundled_pack()
CPU = torch.device("cpu")
CHANNELS = PACK.about.latents[0]
SOURCES = np.random.default_rng(0).standard_normal((3, *PACK.about.latents)).astype(np.float32)


def random_lora(key: str, seed: int) -> Lora:
    random = np.random.default_rng(seed)
    shapes = PACK.about.lora.shapes()
    return Lora(key, {n: (random.standard_normal(s[1:]) * 0.05).astype(np.float32) for n, s in shapes.items()})


def render(name: str, source: Any, **changes: Any) -> Render:
    return Render(**{"id": name, "source": source, "prompt": "oil portrait", "steps": 2, "seed": 1, **changes})


def draw(backend: Any, renders: Callable[[Any], list[Render]]) -> dict[str, Any]:
    """All outcomes by id; `renders` is given the sources where the backend has its arrays."""
    renderer = Renderer(Engines(PACK, backend))
    for each in renders(backend.arrays.put(SOURCES)):
        renderer.submit(each)
    return {outcome.id: outcome for outcome in renderer.run()}


class Arithmetic(Network):
    """A UNet of fixed arithmetic, row by row, that a test can `spoil`: sees the inputs, may change the output."""

    outputs = ("prediction",)

    def __init__(self, spoil: Callable[[Mapping[str, Any], Any], Any] = lambda _, prediction: prediction) -> None:
        super().__init__(torch.nn.Linear(1, 1))
        self.spoil = spoil
        self.inputs = tuple(self.example(1))

    def example(self, rows: int) -> dict[str, Any]:
        return {
            "sample": torch.randn(rows, 2 * CHANNELS, *PACK.about.latents[1:]),
            "timestep": torch.linspace(10, 900, rows),
            "encoder_hidden_states": torch.randn(rows, PACK.about.prompt_length, 128),
            "lora_slot": torch.arange(rows) % PACK.about.lora.slots,
            **{name: torch.randn(shape) for name, shape in PACK.about.lora.shapes().items()},
        }

    def forward(self, *tensors: Any) -> Any:
        given = dict(zip(self.inputs, tensors, strict=True))
        noisy, source = given["sample"][:, :CHANNELS], given["sample"][:, CHANNELS:]
        shift = given["lora_down_128"][given["lora_slot"]].mean(dim=(1, 2, 3)) + given["timestep"] / 1000
        return self.spoil(given, torch.tanh(noisy - 0.3 * source + shift[:, None, None, None]))


class Arithmetics(TorchBackend):
    """The torch backend with that UNet, in buckets; the other networks are the pack's."""

    def __init__(self, unet: Arithmetic, rows: int = 8) -> None:
        super().__init__(Plan(CPU, "fp32", rows, buckets=True, compiled=False), None)
        self._unet = unet

    def _open(self, pack: Any, network: str) -> Network:
        return self._unet if network == "unet" else super()._open(pack, network)


@pytest.mark.parametrize("network", PACK.networks)
@pytest.mark.parametrize("buckets", [False, True])
def test_every_network_computes_what_onnx_runtime_does(network: str, buckets: bool) -> None:
    plan = Plan(CPU, "fp32", 4, buckets=buckets, compiled=False)
    ours, theirs = TorchBackend(plan, None), create_backend("onnxruntime")
    inputs = open_network(PACK, network).example(3)
    found = ours.load(PACK, network).run(inputs)
    wanted = theirs.load(PACK, network).run({name: tensor.numpy() for name, tensor in inputs.items()})
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), value, atol=1e-4, rtol=1e-4)


def test_mixed_styles_look_as_on_onnx_runtime() -> None:
    def renders(sources: Any) -> list[Render]:
        return [
            render("plain", sources[0], prompt="watercolour portrait"),
            render("lora", sources[1], lora=random_lora("oil", 1), steps=3),
            render("guided", sources[2], lora=random_lora("neon", 2), guidance=2.0, photo_guidance=1.5),
        ]

    found = draw(create_backend("torch"), renders)
    for name, outcome in draw(create_backend("onnxruntime"), renders).items():
        difference = outcome.pixels.astype(int) - found[name].pixels
        assert np.abs(difference).max() <= 2, name


def test_buckets_and_their_padding_change_no_picture() -> None:
    def renders(sources: Any) -> list[Render]:
        return [render(str(number), sources[number], steps=1 + number % 2) for number in range(3)]

    exact = draw(create_backend("torch"), renders)
    padded = draw(TorchBackend(Plan(CPU, "fp32", 10, buckets=True, compiled=False), None), renders)
    for name, outcome in exact.items():
        assert np.abs(outcome.pixels.astype(int) - padded[name].pixels).max() <= 2


def test_nan_fails_its_render_alone_and_names_the_step() -> None:
    def spoil(given: Mapping[str, Any], prediction: Any) -> Any:
        marked = (given["sample"][:, CHANNELS:] == 9.0).all(dim=3).all(dim=2).all(dim=1)
        late = given["timestep"] < 500
        return torch.where((marked & late)[:, None, None, None], torch.nan, prediction)

    def renders(sources: Any) -> list[Render]:
        return [render("good", sources[0]), render("bad", torch.full_like(sources[0], 9.0), steps=4)]

    outcomes = draw(Arithmetics(Arithmetic(spoil)), renders)
    assert outcomes["good"].pixels is not None
    assert outcomes["bad"].pixels is None
    assert outcomes["bad"].error == "Render bad became not a number at step 3."


def test_a_full_gpu_takes_fewer_rows_and_everything_still_ends() -> None:
    tried = []

    def spoil(given: Mapping[str, Any], prediction: Any) -> Any:
        if prediction.device.type != "meta":
            tried.append(len(prediction))
            if len(prediction) > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return prediction

    outcomes = draw(Arithmetics(Arithmetic(spoil)), lambda s: [render(str(number), s[0]) for number in range(8)])
    assert all(outcome.pixels is not None for outcome in outcomes.values())
    assert len(outcomes) == 8
    assert tried[:2] == [8, 4]
    assert set(tried[2:]) <= {1, 2}


def test_a_batch_that_did_not_fit_leaves_nothing_behind() -> None:
    """Not even while its error is kept, as that of a decoded batch is until someone asks."""
    left = []

    def spoil(given: Mapping[str, Any], prediction: Any) -> Any:
        if prediction.device.type == "meta":
            return prediction
        left.append(weakref.ref(prediction))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    engine = Arithmetics(Arithmetic(spoil)).load(PACK, "unet")
    with pytest.raises(DeviceFullError) as kept:
        engine.run(Arithmetic().example(2))
    assert kept.value.__traceback__ is not None
    assert [each() for each in left] == [None]


def test_what_fails_because_memory_is_short_counts_as_such() -> None:
    def spoil(given: Mapping[str, Any], prediction: Any) -> Any:
        if prediction.device.type == "meta":
            return prediction
        try:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    [outcome] = draw(Arithmetics(Arithmetic(spoil)), lambda s: [render("a", s[0])]).values()
    assert "The GPU has no memory left for this batch" in outcome.error


def test_another_failure_of_torch_is_a_backend_error() -> None:
    def spoil(given: Mapping[str, Any], prediction: Any) -> Any:
        if prediction.device.type != "meta":
            raise RuntimeError("an illegal instruction was encountered")
        return prediction

    [outcome] = draw(Arithmetics(Arithmetic(spoil)), lambda s: [render("a", s[0])]).values()
    assert outcome.error.startswith("PyTorch could not run a batch: an illegal instruction")


def test_half_precision_keeps_a_half_bank_and_exact_networks() -> None:
    backend = TorchBackend(Plan(CPU, "bf16", 4, buckets=True, compiled=False), None)
    unet, words = backend.load(PACK, "unet"), backend.load(PACK, "text_encoder")
    assert {unet.inputs[name].dtype for name in PACK.about.lora.shapes()} == {np.dtype(np.float16)}
    assert unet.inputs["sample"].dtype == np.float32
    exact = create_backend("torch")
    for engine, network, tolerance in ((unet, "unet", 0.05), (words, "text_encoder", 1e-6)):
        inputs = open_network(PACK, network).example(3)
        typed = {name: backend.arrays.cast(t, engine.inputs[name].dtype) for name, t in inputs.items()}
        [found], [wanted] = engine.run(typed).values(), exact.load(PACK, network).run(inputs).values()
        assert torch.linalg.norm(found - wanted) / torch.linalg.norm(wanted) < tolerance


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from likeness_engines import backends

    for name in ("torch_backend", "torch_compiler"):
        monkeypatch.setitem(sys.modules, f"likeness_engines.backends.{name}", None)
        monkeypatch.delattr(backends, name, raising=False)
    for make in (create_backend, create_compiler):
        with pytest.raises(BackendError, match=r"not installed .*pip install 'likeness\[torch\]'"):
            make("torch")


def test_weights_that_cannot_be_read_name_the_network(tmp_path: Path) -> None:
    from likeness_engines import ModelPack

    with pytest.raises(BackendError, match="PyTorch cannot load unet of"):
        create_backend("torch").load(ModelPack(tmp_path, PACK.about), "unet")
