"""Building for the torch backend: what is refused, and that what was compiled is found again."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from likeness_engines import BackendError, BackendOptions, ModelPack, bundled_pack, create_compiler

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("diffusers", reason="the torch extra is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers warns that there is no GPU
    from likeness_engines.backends import torch_compiler
    from likeness_engines.backends.base import Target
    from likeness_engines.backends.torch_backend import TorchBackend
    from likeness_engines.backends.torch_compiler import TorchCompiler
    from likeness_engines.backends.torch_plan import Plan, best_plan
    from likeness_engines.building import build_engines
    from likeness_engines.lora import LoraBankSize
    from likeness_engines.torch_networks import Network, UNet, lora_layers

PACK = bundled_pack()
VERSION = str(torch.__version__)
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to compile with")


def enlarged(resolution: int) -> ModelPack:
    return ModelPack(PACK.folder, msgspec.structs.replace(PACK.about, resolution=resolution))


class Small(Network):
    """Something to compile in a second: rows, a bank, and a convolution."""

    inputs, outputs = ("sample", "lora_slot", "lora_down_3"), ("prediction",)

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(torch.nn.Conv2d(3, 3, 3, padding=1))

    def example(self, rows: int) -> dict[str, Any]:
        slots = torch.arange(rows) % 4
        return {"sample": torch.randn(rows, 3, 8, 8), "lora_slot": slots, "lora_down_3": torch.randn(4, 1, 3, 2)}

    def forward(self, sample: Any, slot: Any, bank: Any) -> Any:
        return torch.tanh(self.part(sample)) + bank[slot].mean(dim=(1, 3))[:, :, None, None]


@pytest.fixture
def kept() -> Iterator[None]:
    """A compiler without memory: neither of this process nor of the disk."""
    from torch._inductor.utils import fresh_cache

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with fresh_cache():
        yield
    torch._dynamo.reset()


def test_without_a_gpu_there_is_nothing_to_build_for() -> None:
    compiler = create_compiler("torch")
    with pytest.raises(BackendError, match=r"this machine has none\. On a CPU the torch backend needs no building"):
        compiler.target(60)
    assert compiler.free_memory() == 0


@pytest.mark.parametrize(
    ("capability", "best", "refused"),
    [((7, 5), "fp16", ("bf16", "fp8")), ((8, 6), "bf16", ("fp8",)), ((8, 9), "bf16", ()), ((9, 0), "bf16", ())],
)
def test_a_target_is_what_the_gpu_multiplies(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], best: str, refused: tuple[str, ...]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Test")
    compiler = TorchCompiler(GPU)
    device = f"NVIDIA Test sm_{capability[0]}{capability[1]}"
    assert compiler.target(60) == Target("torch", VERSION, device, best, 60)
    assert best_plan(GPU) == Plan(GPU, best, 60, buckets=True, compiled=True)
    for precision in ("fp32", "fp16", "bf16", "fp8"):
        if precision in refused:
            with pytest.raises(BackendError, match=rf"does not multiply {precision}. Build with --precision {best}"):
                compiler.target(60, precision)
        else:
            assert compiler.target(60, precision).precision == precision


def test_autoencoders_take_few_rows_of_large_pictures() -> None:
    plan = Plan(GPU, "bf16", 60, buckets=True, compiled=True)
    for resolution, rows in ((256, 16), (512, 16), (1024, 4), (4096, 1)):
        assert plan.sizes(enlarged(resolution), "vae_decoder")[-1] == rows
        assert plan.sizes(enlarged(resolution), "unet")[-1] == 60


@needs_compiler
def test_what_was_built_is_found_and_not_compiled_again(
    kept: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor.utils import fresh_cache

    counters = torch._dynamo.utils.counters
    monkeypatch.setattr(torch_compiler, "open_network", lambda pack, name: Small())
    target = Target("torch", VERSION, "CPU", "fp32", 2)
    pack = enlarged(2048)  # whose autoencoders have one bucket
    with fresh_cache():
        built = build_engines(pack, TorchCompiler(CPU), target, tmp_path, lambda *_: None)
    assert set(built.about.files) == {"unet.torch", "vae_decoder.torch"}
    torch._dynamo.reset()
    counters.clear()
    backend = TorchBackend(best_plan(CPU), BackendOptions(cache=tmp_path))
    engine = backend.host(pack, "unet", Small())
    assert backend.max_rows == 2
    for rows in (1, 2):
        inputs = Small().example(rows)
        found = engine.run(inputs)["prediction"]
        assert torch.allclose(found, Small()(*inputs.values()), atol=1e-5)
    assert counters["inductor"]["fxgraph_cache_hit"] == 2
    assert not counters["inductor"]["fxgraph_cache_miss"]


def test_a_damaged_build_says_how_to_build_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_compiler, "open_network", lambda pack, name: Small())
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr(torch.compiler, "save_cache_artifacts", lambda: (b"artifacts", None))
    target = Target("torch", VERSION, "CPU", "fp32", 3)
    built = build_engines(PACK, TorchCompiler(CPU), target, tmp_path, lambda *_: None)
    (built.folder / "unet.torch").write_bytes(b"other")
    with pytest.raises(BackendError, match="Run `likeness engines build miniature --backend torch --rows 3"):
        TorchBackend(best_plan(CPU), BackendOptions(cache=tmp_path)).load(PACK, "unet")


def smallest_unet() -> tuple[ModelPack, UNet]:
    """The true classes, with a LoRA on every attention projection, as few as they come."""
    from diffusers import UNet2DConditionModel

    part = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D",),
        mid_block_type=None,
        up_block_types=("CrossAttnUpBlock2D",),
        block_out_channels=(16,),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
    )
    bank = LoraBankSize(3, 2, lora_layers(part, feed_forward=False))
    about = msgspec.structs.replace(PACK.about, family="sd", latents=(4, 8, 8), lora=bank)
    return ModelPack(PACK.folder, about), UNet(part.eval(), about)


@pytest.mark.slow
@needs_compiler
def test_a_unet_compiles_whole_and_once_a_bucket(kept: None) -> None:
    """`fullgraph` refuses a network that would fall apart into several graphs."""
    pack, network = smallest_unet()
    examples = [network.example(rows) for rows in (1, 2, 1)]
    with torch.no_grad():
        wanted = [network(*inputs.values()) for inputs in examples]
    engine = TorchBackend(Plan(CPU, "fp32", 2, buckets=True, compiled=True), None).host(pack, "unet", network)
    for inputs, prediction in zip(examples, wanted, strict=True):
        assert torch.allclose(engine.run(inputs)["prediction"], prediction, atol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
