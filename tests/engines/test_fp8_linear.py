"""8-bit linear layers: how far off they are, and that LoRAs still apply."""

from __future__ import annotations

import warnings

import pytest

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("diffusers", reason="the torch extra is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # diffusers warns that there is no GPU
    from likeness_engines import bundled_pack
    from likeness_engines.backends.fp8_linear import Fp8Linear, to_e4m3, use_fp8
    from likeness_engines.lora import LoraPlace
    from likeness_engines.torch_networks import BankedLinear, Conditions, open_network


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """How far off, as a share of what is wanted."""
    return float(torch.linalg.norm(found.float() - wanted.float()) / torch.linalg.norm(wanted.float()))


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (320, 1280), (1280, 320)])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_five_percent_off_at_most_whatever_its_scale(
    inputs: int, outputs: int, size: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(inputs, outputs)
    wanted = linear(x := torch.randn(2, 7, inputs) * size)
    layer = Fp8Linear(inputs, outputs, device="meta")
    layer.quantize(linear.to(dtype))
    found = layer(x.to(dtype))
    assert found.dtype == dtype
    assert found.shape == wanted.shape
    assert distance(found, wanted) < 0.05


def test_scales_are_per_row_and_nothing_overflows() -> None:
    matrix = torch.tensor([[1e-3, -2e-3], [5e4, 1.0], [0.0, 0.0]])
    narrow, scales = to_e4m3(matrix)
    assert scales.shape == (3, 1)
    assert torch.isfinite(narrow.float()).all()
    assert torch.allclose(narrow.float() * scales, matrix, rtol=1 / 16, atol=1e-3 * matrix.abs().max(1, True)[0].max())
    assert torch.equal(narrow[2].float(), torch.zeros(2))


def test_rows_do_not_change_each_other() -> None:
    layer = Fp8Linear(32, 16, device="meta")
    layer.quantize(torch.nn.Linear(32, 16))
    x = torch.randn(3, 5, 32)
    together = layer(torch.cat([x, 1e4 * torch.randn(1, 5, 32)]))[:3]
    assert torch.equal(together, layer(x))


def test_a_layer_keeps_its_lora() -> None:
    conditions = Conditions()
    banked = BankedLinear(torch.nn.Linear(32, 16), LoraPlace("down", 0, "up", 0), conditions)
    conditions.bank = {"down": torch.randn(2, 1, 32, 4), "up": torch.randn(2, 1, 4, 16)}
    root = torch.nn.ModuleDict({"attentions": torch.nn.ModuleDict({"to_q": banked})})
    assert use_fp8(root) == 1
    layer = root["attentions"]["to_q"]
    x = torch.randn(2, 5, 32)
    conditions.lora_slot = torch.tensor([0, 1])
    added = layer(x) - Fp8Linear.forward(layer, x)
    assert distance(added, (x @ conditions.bank["down"][:, 0]) @ conditions.bank["up"][:, 0]) < 1e-5


def test_a_whole_unet_is_close_and_takes_the_same_type() -> None:
    network = open_network(bundled_pack(), "unet")
    torch.manual_seed(0)
    inputs = network.example(2).values()
    with torch.no_grad():
        wanted = network(*inputs)
        assert use_fp8(network.part) == sum(isinstance(module, Fp8Linear) for module in network.modules()) > 0
        assert network.part.dtype == torch.float32
        assert 0 < distance(network(*inputs), wanted) < 0.05
