"""A LoRA is trained for the bank, on a miniature that stays as it is, and a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from likeness_engines.lora import LoraBankSize, LoraLayer, arrange_lora
from likeness_engines.lora_file import read_lora
from miniature.medallion import draw_medallion, oval_place
from miniature.teachers import XX, YY
from miniature.vocabulary import LookWords

if TYPE_CHECKING:
    import torch

    from miniature.unet import LatentPairs, Painter

pytestmark = [pytest.mark.export, pytest.mark.filterwarnings("ignore")]

BLOCK = "mid_block.attentions.0.transformer_blocks.0"
SIZE = LoraBankSize(
    slots=2, rank=4, layers=[LoraLayer(f"{BLOCK}.attn1.to_q", 16, 16), LoraLayer(f"{BLOCK}.attn2.to_out.0", 16, 16)]
)


@pytest.fixture
def make_painter() -> Callable[[], Painter]:
    """Small, frozen, and the same each time."""
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from miniature.unet import Painter

    def make() -> Painter:
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=8,
            out_channels=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            block_out_channels=(16, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=8,
            attention_head_dim=2,
        )
        words = CLIPTextModel(CLIPTextConfig(9, 8, 8, 8, num_hidden_layers=1, num_attention_heads=2, eos_token_id=8))
        return Painter(unet, words).requires_grad_(False)

    return make


@pytest.fixture
def data() -> LatentPairs:
    """Two poses of noise."""
    import torch

    from miniature.unet import LatentPairs

    generator = torch.Generator().manual_seed(1)
    latents = [torch.randn((2, count, 4, 8, 8), generator=generator).half() for count in (3, 2)]
    tokens = torch.randint(9, (2, 2, 6), generator=generator)
    return LatentPairs(latents[0], latents[1], tokens, tokens[0, :1])


def weights(painter: torch.nn.Module, *, lora: bool) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in painter.state_dict().items() if (".lora_" in name) == lora}


def test_a_stopped_training_goes_on_and_leaves_the_base_alone(
    make_painter: Callable[[], Painter], data: LatentPairs, tmp_path: Path
) -> None:
    import torch
    from diffusers import AutoencoderKL

    from miniature.loop import Plan
    from miniature.lora import train_lora

    def run(steps: int, work: Path) -> Painter:
        plan = Plan(steps=steps, learning_rate=1e-2, warm_up=10, average=0.5, save_every=2)
        return train_lora(data, make_painter(), SIZE, AutoencoderKL(), work, plan=plan)

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "stopped")
    resumed = run(4, tmp_path / "stopped")
    learnt, again = weights(whole, lora=True), weights(resumed, lora=True)
    assert len(learnt) == 2 * len(SIZE.layers)
    assert all(torch.equal(learnt[name], again[name]) for name in learnt)
    assert all(value.abs().sum() > 0 for value in learnt.values())
    base = {name.replace(".base.", "."): value for name, value in weights(whole, lora=False).items()}
    untouched = make_painter().state_dict()
    assert base.keys() == untouched.keys()
    assert all(torch.equal(base[name], untouched[name]) for name in base)


def test_what_is_written_is_what_was_learnt(make_painter: Callable[[], Painter], tmp_path: Path) -> None:
    import torch

    from miniature.lora import add_lora, write_lora

    painter = make_painter()
    add_lora(painter.unet, SIZE)
    for name, value in painter.named_parameters():
        if ".lora_" in name:
            value.data = torch.randn(value.shape).half().float()
    write_lora(painter, tmp_path / "new" / "style.safetensors")
    layers = {layer.name: painter.unet.get_submodule(layer.name) for layer in SIZE.layers}
    expected = arrange_lora(
        "",
        {
            name: (layer.lora_A.weight.detach().numpy().T, layer.lora_B.weight.detach().numpy().T)
            for name, layer in layers.items()
        },
        SIZE,
    )
    read = read_lora(tmp_path / "new" / "style.safetensors", SIZE)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)


def test_a_lora_adds_nothing_before_it_has_learnt(make_painter: Callable[[], Painter], data: LatentPairs) -> None:
    import torch

    from miniature.lora import add_lora

    painter = make_painter()
    arguments = (data.targets[:, 0].float(), data.inputs[:, 0].float(), torch.tensor([10, 900]), data.tokens[:, 0])
    before = painter(*arguments)
    add_lora(painter.unet, SIZE)
    assert torch.equal(painter(*arguments), before)


def test_a_folder_without_portraits_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from miniature.lora import main

    assert (
        main(["--photos", str(tmp_path), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "x.safetensors")])
        == 2
    )
    assert f"No .jpg portraits in {tmp_path}: clone https://" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_the_teacher_leaves_the_paper_around_the_oval_blank_and_fills_the_ground() -> None:
    mask = (np.hypot(XX - 128, (YY - 130) * 0.8) < 60).astype(np.float32)
    person = np.stack([0.3 + 0.4 * np.sin(XX / 17) ** 2, 0.5 * np.cos(YY / 23) ** 2, 0.4 + 0 * XX], 2)
    picture = draw_medallion(person.astype(np.float32), mask, LookWords("sketch", "black", "white", "hatching"))
    outside = oval_place() > 1.05
    ground = (oval_place() < 0.95) & (np.hypot(XX - 128, (YY - 130) * 0.8) > 85)
    assert picture[outside].min() > 0.9
    assert 0.3 < picture[ground].mean() < 0.6
